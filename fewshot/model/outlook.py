"""How sure one can be with so few labels, and how many more would help, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from fewshot.model.classifier import LabelledFeatures, Recipe


def sentences(support: LabelledFeatures, classes: Sequence[str], recipe: Recipe) -> tuple[str, ...]:
    """Return sentences about more labels, from nested subsets of the labelled images.

    Args:
        support: the labelled images.
        classes: class names, in the order of the labels.
        recipe: how the head is fitted.
    """
    return ()
