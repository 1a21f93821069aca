"""Data for few-shot learning: data sets, labelled subsets, tasks, augmentation and streams.

This package knows nothing about learners; `fewshot` builds on it.
"""

__all__ = [
    "augment",
    "class_splits",
    "datasets",
    "errors",
    "rng",
    "samplers",
    "streams",
    "subsets",
    "types",
]
