"""Heads that classify each query by itself: its prediction does not depend on the other queries."""
