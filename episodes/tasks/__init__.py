"""N-way k-shot tasks in bulk: which images are in them, how they are sampled, and their files."""
