"""Figures: one module for each kind, in the style of `style.py`."""
