"""What the transductive heads share: distances, coordinates within a task.

Capital suffixes are those of fewshot/heads/task_head.py; N stands for S or Q.
"""

from __future__ import annotations

import torch
from torch import Tensor


def squared_distances(a_TND: Tensor, b_TWD: Tensor) -> Tensor:
    """Return squared Euclidean distances [t, n, w], at least zero."""
    squares_TN1 = a_TND.square().sum(-1, keepdim=True)
    squares_T1W = b_TWD.square().sum(-1)[..., None, :]
    return (squares_TN1 + squares_T1W - 2 * a_TND @ b_TWD.mT).clamp(min=0)


def log_probabilities(values_TQW: Tensor) -> Tensor:
    """Return the logarithms of non-negative values divided by their sums over the classes."""
    logs_TQW = values_TQW.clamp(min=torch.finfo(values_TQW.dtype).tiny).log()
    return logs_TQW.log_softmax(-1)


def coordinates(support_TSD: Tensor, query_TQD: Tensor) -> tuple[Tensor, Tensor]:
    """Return features in an orthonormal basis of their task: fewer numbers, the same geometry.

    Inner products and distances within a task stay the same. Nothing changes for features that
    are no longer than the task has images.

    Returns:
        The support [t, s, r] and the queries [t, q, r], with r = s + q at most.
    """
    n_support, n_images = support_TSD.shape[1], support_TSD.shape[1] + query_TQD.shape[1]
    if support_TSD.shape[2] <= n_images:
        return support_TSD, query_TQD
    images_TND = torch.cat([support_TSD, query_TQD], 1)
    basis_TNR = torch.linalg.qr(images_TND.mT, mode="r").R.mT
    return basis_TNR[:, :n_support], basis_TNR[:, n_support:]
