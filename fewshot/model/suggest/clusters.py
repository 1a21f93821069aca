"""Clusters of a pool: one pick in each of those with the fewest labelled images, largest first."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from sklearn.cluster import KMeans
from torch import Tensor

from fewshot.model.suggest.picks import Pool

MOST = 500  # clusters
N_STARTS = 3  # of k-means, of which the best counts


class Clusters(NamedTuple):
    """Clusters of the images of a pool.

    Attributes:
        of_images: the cluster of each image, int64 [n].
        centres: float [n_clusters, d].
        order: clusters from which images are picked, one each, int64 [budget].
        shares: the part of the pool that is in these clusters, float [budget].
    """

    of_images: Tensor
    centres: Tensor
    order: Tensor
    shares: Tensor


def clusters(pool: Pool, budget: int, seed: int) -> Clusters:
    """Cluster a pool and its labelled images by k-means, with one cluster for each label.

    Args:
        pool: with features of unit length.
        budget: number of picks.
        seed: of the starts of k-means.
    """
    n = len(pool.features)
    everything = torch.cat([pool.features, pool.labelled])
    n_clusters = min(budget + len(pool.labelled), MOST, n)
    means = KMeans(n_clusters, n_init=N_STARTS, random_state=seed).fit(everything.numpy())
    numbers = torch.from_numpy(means.labels_).long()
    centres = torch.from_numpy(means.cluster_centers_)
    sizes = numbers[:n].bincount(minlength=n_clusters).numpy()
    n_labelled = numbers[n:].bincount(minlength=n_clusters).numpy()
    order, left = [], sizes.copy()
    for _ in range(budget):
        fewest = np.where(left > 0, n_labelled, np.iinfo(np.int64).max)
        cluster = int(np.lexsort((-left, fewest))[0])
        order.append(cluster)
        n_labelled[cluster] += 1
        left[cluster] -= 1
    chosen = torch.tensor(order)
    return Clusters(numbers[:n], centres, chosen, torch.from_numpy(sizes)[chosen] / n)
