"""Arrays of images and labels: .npz, idx, CIFAR and other binary files."""
