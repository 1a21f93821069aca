"""Clusters of images that must be on one side of a split, such as the frames of one scene."""

from __future__ import annotations

import numpy as np

from episodes.datasets.source import Part
from episodes.errors import UserError


def clusters(part: Part, group_by: str) -> np.ndarray:
    """Return the number of the cluster of each image of a part, int64 [n].

    Args:
        part: the images.
        group_by: "subfolder", "prefix" or the name of a column of the source.

    Raises:
        UserError: the source has no such column.
    """
    raise UserError(f"--group-by {group_by}: images cannot be grouped yet.")
