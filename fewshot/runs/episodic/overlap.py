"""Whether images of the tasks are among those of other data sets that a method learns from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from fewshot.errors import UserError
from fewshot.runs.episodic.pool import Pool

MOST = 0.5  # share of the images of a class beyond which the class itself is in the base set


def check_disjoint(pool: Pool, bases: Sequence[Pool]) -> None:
    """Check that no class of the tasks is a base class too, by the pixels of its images.

    Raises:
        UserError: a base set has at least half of the images of a class of the tasks.
    """
    for base in bases:
        sizes = torch.bincount(pool.labels, minlength=len(pool.classes))
        n_shared = torch.bincount(pool.labels[shared(pool, base)], minlength=len(pool.classes))
        share = n_shared / sizes.clamp(min=1)
        if share.max() >= MOST:
            name = pool.classes[int(share.argmax())]
            raise UserError(
                f"the base set {base.name} has the images of the tasks, such as those of class "
                f"'{name}': divide its classes with --split, or name another base set."
            )


def note(pool: Pool, base: Pool) -> str | None:
    """Return a sentence on the images of the tasks that a base set has too; None without any."""
    n_shared = int(shared(pool, base).sum())
    if not n_shared:
        return None
    return (
        f"{n_shared:,} of the {len(pool):,} images of the tasks are in the base set {base.name}, "
        "pixel by pixel"
    )


def shared(pool: Pool, base: Pool) -> Tensor:
    """Return which images of a pool a base set has too, bool [n]; none if their sizes differ."""
    known = set(_digests(base)) if _side(pool) == _side(base) else set()
    return torch.tensor([bool(known) and one in known for one in _digests(pool)], dtype=torch.bool)


def _side(pool: Pool) -> tuple[int, ...]:
    return tuple(pool.data.train.images.shape[1:])


@lru_cache(maxsize=4)  # of the tasks and of base sets, which two checks compare
def _digests(pool: Pool) -> list[bytes]:
    """Return a hash of the pixels of each image."""
    parts = zip(pool.data, (pool.train_rows, pool.test_rows), strict=True)
    return [
        hashlib.blake2b(part.images[row].contiguous().numpy().tobytes(), digest_size=16).digest()
        for part, rows in parts
        for row in rows.tolist()
    ]
