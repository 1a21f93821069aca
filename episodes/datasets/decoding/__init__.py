"""From encoded images to square pixels in the cache."""
