"""What is learned from: images, splits, samplers, augmentation and streams. Knows no learner."""
