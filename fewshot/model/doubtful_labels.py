"""A sentence about labels that look wrong, from predictions that a fit makes anyway."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from episodes.datasets.names import readable_line
from fewshot.evaluation import confident_learning
from fewshot.evaluation.confident_learning import LikelyErrors
from fewshot.model.heads import OutOfFold

BEGINNING = "labels that look wrong:"


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


def notes(
    errors: LikelyErrors, names: Sequence[str], labels: Tensor, classes: Sequence[str]
) -> tuple[str, ...]:
    """Return a sentence that names the most likely error; nothing if there is none.

    Args:
        errors: from `find`.
        names: path or number of each labelled image.
        labels: int64 [n].
        classes: class names, in the order of the labels.
    """
    if not len(errors.indices):
        return ()
    first = int(errors.indices[0])
    given, suggested = classes[int(labels[first])], classes[int(errors.suggested[0])]
    return (
        f"{BEGINNING} {len(errors.indices):,} of {len(labels):,}, for example that of "
        f"{readable_line(names[first])} ({given}, more likely {suggested}); `fewshot check` lists "
        "them",
    )


def without(notes: Sequence[str]) -> list[str]:
    """Return notes without the sentence about labels."""
    return [note for note in notes if not note.startswith(BEGINNING)]
