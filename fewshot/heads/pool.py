"""Inner products and class means of images of a pool, without copying the features of every image.

A task of 75 queries and 640 features would copy 48,000 numbers and use each of them a few times.
Here the products read the features where they are.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor
from torch.nn import functional as F

from episodes.tasks.task_set import TaskSet


def gathered(pool_ND: Tensor, images: Tensor) -> Tensor:
    """Return the features of some images, [*images.shape, d].

    On a CPU, `index_select` copies rows several times faster than indexing (docs/log.md).
    """
    return pool_ND.index_select(0, images.reshape(-1)).unflatten(0, images.shape)


def inner_products(rows_TRD: Tensor, pool_ND: Tensor, images_TQ: Tensor) -> Tensor:
    """Return the inner products of the rows of each task with some images of the pool, [t, r, q].

    Args:
        rows_TRD: rows of each task, such as class means, float [t, r, d].
        pool_ND: features of the pool, float [n, d].
        images_TQ: indices of the images of each task, int64 [t, q].

    Raises:
        IndexError: an index is outside the pool.
    """
    (t, r, _), q = rows_TRD.shape, images_TQ.shape[1]
    if pool_ND.device.type != "cpu" or q > len(pool_ND):  # a row has no more places than that
        return rows_TRD @ gathered(pool_ND, images_TQ).mT
    least, largest = images_TQ.aminmax()
    if least < 0 or largest >= len(pool_ND):
        raise IndexError(f"an image of a task is outside the pool of {len(pool_ND)} images")
    columns = images_TQ[:, None].expand(t, r, q).reshape(-1)
    # A sparse matrix with one row for each row of a task, which says what products are computed.
    starts = torch.arange(0, t * r * q + 1, q)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        places = torch.sparse_csr_tensor(
            starts,
            columns,
            rows_TRD.new_zeros(len(columns)),
            (t * r, len(pool_ND)),
            check_invariants=False,
        )
    products = torch.sparse.sampled_addmm(places, rows_TRD.flatten(0, 1), pool_ND.T, beta=0.0)
    return products.values().view(t, r, q)


def class_means(pool_ND: Tensor, tasks: TaskSet) -> Tensor:
    """Return the mean features of the support of each class, float [t, n_way, d]."""
    t, n_way = tasks.classes.shape
    order_TS = tasks.support_labels.argsort(dim=1, stable=True)
    counts_TW = (tasks.support_labels[..., None] == torch.arange(n_way, device=pool_ND.device)).sum(
        1
    )
    ends = counts_TW.flatten().cumsum(0)
    means = F.embedding_bag(
        tasks.support.gather(1, order_TS).flatten(),
        pool_ND,
        ends - counts_TW.flatten(),
        mode="mean",
    )
    return means.view(t, n_way, -1)
