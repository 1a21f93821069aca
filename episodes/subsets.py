"""Select images by index: nested k-shot subsets, fractions, hold-outs and folds.

Every function takes labels, int64 [n] on the CPU, and returns indices into them, int64. Nothing
here reads an image.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from episodes.errors import UserError
from episodes.rng import generator


def by_class(labels: Tensor, n_classes: int) -> list[Tensor]:
    """Return the indices of each class, in ascending order.

    Args:
        labels: int64 [n], each from 0 to n_classes - 1.
        n_classes: number of classes, including classes without images.

    Returns:
        n_classes tensors, int64 [images of that class].
    """
    order = torch.argsort(labels, stable=True)
    return list(order.split(torch.bincount(labels, minlength=n_classes).tolist()))


def _shuffled_by_class(labels: Tensor, n_classes: int, seed: int) -> list[Tensor]:
    """Return the indices of each class in a random order that depends on the seed and the class.

    Every subset takes the first indices of this order, so subsets of one seed are nested.
    """
    return [
        indices[torch.randperm(len(indices), generator=generator(seed, "subset", label))]
        for label, indices in enumerate(by_class(labels, n_classes))
    ]


def shots(
    labels: Tensor,
    classes: Sequence[str],
    k: int,
    seed: int,
    other_numbers: Mapping[str, int] | None = None,
) -> Tensor:
    """Select k images of every class. For one seed, the subset for k contains that for k - 1.

    Args:
        labels: int64 [n].
        classes: class names, in the order of the labels.
        k: images per class, at least 1.
        seed: seed of the subset.
        other_numbers: images of single classes, by name, in place of `k`.

    Returns:
        int64 [selected images], class by class.

    Raises:
        UserError: `k` is below 1, a number is above the images of its class, or a name is wrong.
    """
    if k < 1:
        raise UserError(f"shots must be at least 1, not {k}.")
    numbers = dict.fromkeys(classes, k) | dict(other_numbers or {})
    if unknown := numbers.keys() - set(classes):
        raise UserError(
            f"class_shots names the class '{min(unknown)}', which the data does not have: its "
            f"classes are {', '.join(classes)}."
        )
    order_of_class = dict(zip(classes, _shuffled_by_class(labels, len(classes), seed), strict=True))
    smallest = min(classes, key=lambda name: len(order_of_class[name]) - numbers[name])
    n_available = len(order_of_class[smallest])
    if numbers[smallest] > n_available:
        raise UserError(
            f"shots={k} needs {k} training images of every class, but class '{smallest}' has only "
            f"{n_available}: use at most {n_available} shots, set a fraction instead, or give this "
            "class its own number in class_shots."
            if smallest not in (other_numbers or {})
            else f"class_shots asks for {numbers[smallest]} images of class '{smallest}', which "
            f"has only {n_available}: ask for at most {n_available}."
        )
    return torch.cat([order[: numbers[name]] for name, order in order_of_class.items()])


def fraction(labels: Tensor, n_classes: int, p: float, seed: int) -> Tensor:
    """Select a fraction p of every class, rounded, and at least one image of each.

    For one seed, subsets are nested in p, and they are nested with those of `shots`.

    Args:
        labels: int64 [n].
        n_classes: number of classes.
        p: fraction of the images of each class, above 0 and at most 1.
        seed: seed of the subset.

    Returns:
        int64 [selected images], class by class.

    Raises:
        UserError: `p` is out of range.
    """
    if not 0 < p <= 1:
        raise UserError(f"fraction must be above 0 and at most 1, not {p}.")
    order_by_class = _shuffled_by_class(labels, n_classes, seed)
    return torch.cat([order[: max(1, round(p * len(order)))] for order in order_by_class])


def hold_out(
    labels: Tensor, share: float, split_seed: int, clusters: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Split labelled images into a training and a validation set, class by class.

    Both sets get at least one image of each class that has images, as far as the clusters allow.
    If each class is one cluster, the clusters are ignored, as in `folds`.

    Args:
        labels: int64 [n].
        share: fraction of each class that goes to the validation set.
        split_seed: seed of the split.
        clusters: int64 [n], equal for images that must be in the same set.

    Returns:
        Indices of the training set and of the validation set, int64.

    Raises:
        UserError: a class has a single image, which cannot be in both sets.
    """
    orders: list[Tensor] = []
    for label, indices in enumerate(by_class(labels, int(labels.max()) + 1)):
        if len(indices) == 1:
            raise UserError(
                "a validation set needs at least two labelled images of every class: "
                "use more shots, or select: last (no validation)."
            )
        random = generator(split_seed, "hold-out", label)
        orders.append(indices[torch.randperm(len(indices), generator=random)])
    numbers = [min(max(1, round(share * len(order))), len(order) - 1) for order in orders]
    if clusters is not None and has_shared(clusters):
        held = _whole_clusters(labels.tolist(), clusters.tolist(), orders, numbers)
        if held:
            inside = torch.ones(len(labels), dtype=torch.bool)
            inside[held] = False
            return inside.nonzero()[:, 0], torch.tensor(held)
    split = [
        order.tensor_split([n]) for order, n in zip(orders, numbers, strict=True) if len(order)
    ]
    return torch.cat([rest for _, rest in split]), torch.cat([first for first, _ in split])


def _whole_clusters(
    labels: list[int], clusters: list[int], orders: Sequence[Tensor], numbers: Sequence[int]
) -> list[int]:
    """Return indices of images, in whole clusters, with at most so many of each class.

    A class that has no cluster of a fitting size gets the first one that leaves an image of every
    class.

    Args:
        labels: of all images.
        clusters: of all images.
        orders: for each class its images, in the order in which they are taken.
        numbers: for each class the number of images to take.
    """
    members: dict[int, list[int]] = {}
    for index, cluster in enumerate(clusters):
        members.setdefault(cluster, []).append(index)
    taken: set[int] = set()
    held = [0] * len(orders)
    for limits in (numbers, [len(order) - 1 for order in orders]):
        for label, order in enumerate(orders):
            for index in order.tolist():
                if held[label] >= (numbers[label] if limits is numbers else 1):
                    break
                own = Counter(labels[member] for member in members[clusters[index]])
                fits = all(held[one] + n <= limits[one] for one, n in own.items())
                if clusters[index] not in taken and fits:
                    taken.add(clusters[index])
                    for one, n in own.items():
                        held[one] += n
    return [index for index, cluster in enumerate(clusters) if cluster in taken]


def folds(
    labels: Tensor, n_folds: int, split_seed: int, clusters: Tensor | None = None
) -> list[tuple[Tensor, Tensor]]:
    """Return stratified folds for cross-validation.

    Args:
        labels: int64 [n].
        n_folds: number of folds.
        split_seed: seed of the split.
        clusters: int64 [n], equal for images that belong in the same fold. If each class is one
            cluster, they are ignored, because no image of a tested class would be left to train on.

    Returns:
        For each fold, the indices to train on and the indices held out, int64. Every index is held
        out in exactly one fold, unless it belongs to a class that is one cluster. With clusters
        there may be fewer folds.
    """
    fold_of_index, used = _dealt(labels, n_folds, split_seed, clusters)
    return [
        ((fold_of_index != fold).nonzero()[:, 0], (fold_of_index == fold).nonzero()[:, 0])
        for fold in used
    ]


def parts(
    labels: Tensor, n_parts: int, split_seed: int, clusters: Tensor | None = None
) -> Iterator[Tensor]:
    """Yield the indices that each fold of `folds` holds out.

    The indices to train on are left out: with a number of parts that grows with n, their memory
    would grow with the square of n.

    Args:
        labels, split_seed, clusters: as for `folds`.
        n_parts: number of folds.
    """
    fold_of_index, used = _dealt(labels, n_parts, split_seed, clusters)
    for fold in used:
        yield (fold_of_index == fold).nonzero()[:, 0]


def _dealt(
    labels: Tensor, n_folds: int, split_seed: int, clusters: Tensor | None
) -> tuple[Tensor, list[int]]:
    """Return the fold of each index, int64 [n], and the folds that hold out some; see `folds`."""
    if clusters is not None and has_shared(clusters):
        fold_of_index = fold_of_each(labels, n_folds, split_seed, clusters)
        used = fold_of_index[fold_of_index >= 0].unique().tolist()
        if len(used) > 1:
            return fold_of_index, used
    n_classes = int(labels.max()) + 1
    fold_of_index = torch.empty(len(labels), dtype=torch.int64)
    for label, indices in enumerate(by_class(labels, n_classes)):
        random = generator(split_seed, "folds", label)
        order = torch.randperm(len(indices), generator=random)
        fold_of_index[indices[order]] = torch.arange(len(indices)) % n_folds
    return fold_of_index, list(range(n_folds))


def has_shared(clusters: Tensor) -> bool:
    """Return whether some cluster, int64 [n], has several images."""
    return len(clusters.unique()) < len(clusters)


def can_be_tested(labels: Tensor, clusters: Tensor | None = None) -> Tensor:
    """Return which images a fold may test, bool [n].

    If all images of a class are in one cluster, or a class has a single image, a fold with them
    would leave no image of the class to train on, so they are never tested.

    Args:
        labels: int64 [n].
        clusters: int64 [n], images that must be on one side of a split; None if each is on its own.
    """
    cluster = _numbered(labels, clusters)
    n_classes = int(labels.max()) + 1
    pairs = (cluster * n_classes + labels).unique()
    clusters_of_class = (pairs % n_classes).bincount(minlength=n_classes)
    alone = cluster[clusters_of_class[labels] < 2]
    return ~torch.isin(cluster, alone)


def fold_of_each(
    labels: Tensor, n_folds: int, split_seed: int, clusters: Tensor | None = None
) -> Tensor:
    """Return the fold that tests each image, int64 [n]; -1 for images that no fold tests.

    Images of one cluster are in one fold. The images of each class are spread over the folds as
    evenly as the clusters allow, and so are all images. Every class has images outside each fold.

    Args:
        labels: int64 [n].
        n_folds: number of folds.
        split_seed: seed of the split.
        clusters: as for `can_be_tested`.
    """
    folds = _Folds(labels, n_folds, split_seed)
    cluster, testable = _numbered(labels, clusters), can_be_tested(labels, clusters)
    sizes = cluster.bincount()
    for members in _by_size(cluster, testable & (sizes[cluster] > 1), folds.random):
        folds.add_cluster(members)
    single = testable & (sizes[cluster] == 1)
    for label in torch.randperm(folds.n_classes, generator=folds.random).tolist():
        members = (single & (labels == label)).nonzero()[:, 0]
        folds.add_singles(members[torch.randperm(len(members), generator=folds.random)])
    for label in range(folds.n_classes):
        used = folds.fold_of_index[labels == label].unique()
        if len(used) == 1 and int(used[0]) >= 0:  # clusters with images of several classes
            first = cluster[labels == label][0]
            folds.fold_of_index[cluster == first] = -1
    return folds.fold_of_index


def _numbered(labels: Tensor, clusters: Tensor | None) -> Tensor:
    """Return the clusters, numbered from 0 without gaps, int64 [n]."""
    if clusters is None:
        return torch.arange(len(labels))
    numbers: Tensor = clusters.unique(return_inverse=True)[1]
    return numbers


def _by_size(cluster: Tensor, chosen: Tensor, random: torch.Generator) -> list[Tensor]:
    """Return the indices of each cluster among the chosen images, the largest first."""
    indices = chosen.nonzero()[:, 0]
    numbers = cluster[indices].unique(return_inverse=True)[1]
    members = by_class(numbers, int(numbers.max()) + 1) if len(numbers) else []
    order = torch.randperm(len(members), generator=random).tolist()
    return sorted((indices[members[position]] for position in order), key=len, reverse=True)


class _Folds:
    """Folds that are filled cluster by cluster.

    Attributes:
        fold_of_index: fold of each image, int64 [n]; -1 where none was chosen.
        counts: images of each class in each fold, float64 [n_folds, n_classes].
    """

    def __init__(self, labels: Tensor, n_folds: int, split_seed: int) -> None:
        self.labels, self.n_folds = labels, n_folds
        self.n_classes = int(labels.max()) + 1
        self.random = generator(split_seed, "cross-validation")
        self.fold_of_index = torch.full((len(labels),), -1)
        self.counts = torch.zeros(n_folds, self.n_classes, dtype=torch.float64)
        self.sizes = labels.bincount().double()

    def _emptiest(self) -> Tensor:
        """Return the folds from the fewest images to the most, equal ones in random order."""
        order = torch.randperm(self.n_folds, generator=self.random)
        return order[self.counts.sum(1)[order].argsort(stable=True)]

    def add_cluster(self, members: Tensor) -> None:
        """Put a cluster into the fold with the smallest share of its classes."""
        own = self.labels[members].bincount(minlength=self.n_classes).double()
        order = self._emptiest()
        # The sum of squared shares grows least where the classes have their smallest shares.
        growth = (self.counts[order] * (own / self.sizes.clamp(min=1) ** 2)).sum(1)
        fold = int(order[growth.round(decimals=12).argsort(stable=True)[0]])
        self.fold_of_index[members] = fold
        self.counts[fold] += own

    def add_singles(self, members: Tensor) -> None:
        """Put images of one class, each on its own, where the class has the fewest images."""
        if not len(members):
            return
        order, label = self._emptiest(), int(self.labels[members[0]])
        counts = self.counts[order, label]
        # Place p of a fold is taken once it has p images of the class; the lowest are taken first.
        # No fold takes more than this number of images, as folds that have more take fewer.
        most = int((len(members) + counts.sum()) / self.n_folds - counts.min()) + 2
        places = counts + torch.arange(min(most, len(members)))[:, None]
        lowest = places.flatten().argsort(stable=True)[: len(members)]
        chosen = order[lowest % self.n_folds]
        self.fold_of_index[members] = chosen
        self.counts[:, label] += chosen.bincount(minlength=self.n_folds)
