"""A sentence about labels that look wrong, from predictions that a fit makes anyway."""

from __future__ import annotations

from collections.abc import Sequence

from fewshot.evaluation import confident_learning
from fewshot.evaluation.confident_learning import LikelyErrors
from fewshot.model.heads import OutOfFold
from fewshot.runs.doubtful_labels import BEGINNING


def find(held_out: OutOfFold, temperature: float) -> LikelyErrors:
    """Return the labels of held-out images that are most surely wrong.

    Args:
        held_out: predictions for labelled images.
        temperature: divides their logits.

    Returns:
        The errors, by the positions of the images among all labelled ones.
    """
    errors = confident_learning.surest(held_out.labels, held_out.logits, temperature)
    return errors._replace(indices=held_out.positions[errors.indices])


def without(notes: Sequence[str]) -> list[str]:
    """Return notes without the sentence about labels."""
    return [note for note in notes if not note.startswith(BEGINNING)]
