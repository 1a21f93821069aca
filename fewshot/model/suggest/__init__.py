"""Which images of a pool to label first."""
