"""The values that travel from data sets to learners."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

# How a picture that is not square becomes one: its central square, all of it with another aspect
# ratio, or all of it between white margins.
Fit = Literal["crop", "squeeze", "pad"]


@dataclass(frozen=True)
class Decoding:
    """How encoded images become pixels, the same for every image of a data set.

    The ranges belong to images of more than 8 bits per channel; None if the data set has none of
    that kind. The range of such an image is then its own.

    Attributes:
        size: side of the decoded images in pixels.
        fit: how an image that is not square becomes square.
        white: value that becomes 255 in images of 16 bits per channel.
        black_32, white_32: values that become 0 and 255 in images of 32-bit integers.
        black_float, white_float: the same for images of floating-point numbers.
    """

    size: int
    fit: Fit = "crop"
    white: float | None = None
    black_32: float | None = None
    white_32: float | None = None
    black_float: float | None = None
    white_float: float | None = None


@dataclass(frozen=True, eq=False)
class ImageSet:
    """The labelled images of one part of a data set, decoded, all of one size.

    Attributes:
        name: name of the data set.
        images: uint8 [n, c, h, w], often memory-mapped: read selected indices, not the whole.
        labels: int64 [n], each from 0 to n_classes - 1.
        classes: class names, in the order of the labels.
        fingerprint: hash of the source's content and of the working size. Equal images have equal
            fingerprints.
        identity: hash of the source's content that is the same however it is decoded: the
            fingerprint of the images at the size that they have without a backbone. Results are
            comparable if the identities are equal. Empty for the fingerprint itself.
        groups: superclass name -> class names (CIFAR-10: vehicle, animal); empty if unknown.
        mirror: whether a mirrored image belongs to the same class (not so for digits and text).
        notes: sentences for the user, about skipped files for example.
        clusters: number of the cluster of each image, int64 [n]; images of one cluster, such as
            frames of one scene, must not be on both sides of a split. None if each is on its own.
        decoding: how the images were decoded; None if they come from no encoded images.
    """

    name: str
    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    fingerprint: str
    groups: dict[str, tuple[str, ...]]
    mirror: bool = True
    notes: tuple[str, ...] = ()
    clusters: Tensor | None = None
    decoding: Decoding | None = None
    identity: str = ""

    def __post_init__(self) -> None:
        if not self.identity:
            object.__setattr__(self, "identity", self.fingerprint)  # frozen

    def __len__(self) -> int:
        return len(self.labels)


class Features(Tensor):
    """Frozen features, float [n, d], in the place of images: backbones pass them on unchanged.

    Selecting, repeating, joining and moving features gives features; any other operation gives a
    plain tensor.
    """

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        with torch._C.DisableTorchFunctionSubclass():
            result = func(*args, **(kwargs or {}))
        if func not in SELECTIONS:
            return result
        if isinstance(result, Tensor):
            return result.as_subclass(cls)
        return type(result)(part.as_subclass(cls) for part in result)


SELECTIONS = {
    Tensor.__getitem__,
    Tensor.chunk,
    Tensor.contiguous,
    Tensor.cpu,
    Tensor.cuda,
    Tensor.float,
    Tensor.repeat,
    Tensor.split,
    Tensor.to,
    torch.cat,
    torch.chunk,
    torch.split,
}


@dataclass(frozen=True, eq=False)
class FeatureSet:
    """Labelled images that were replaced by their frozen features.

    Attributes:
        features: float [n, d], on the CPU.
        labels: int64 [n], each from 0 to n_classes - 1.
        classes: class names, in the order of the labels.
        clusters: as those of the images.
    """

    features: Features
    labels: Tensor
    classes: tuple[str, ...]
    clusters: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)


class TrainTest(NamedTuple):
    """The two parts of a data set: labelled subsets come from `train`; `test` is for evaluation.

    Both are the same, whole set if there is no test part and none was set aside: trials then
    split it into folds.
    """

    train: ImageSet
    test: ImageSet

    @property
    def is_whole(self) -> bool:
        """Whether both parts are the same, whole set."""
        return self.train is self.test


class Labelled(NamedTuple):
    """A batch of labelled images.

    Attributes:
        images: float [n, c, h, w] in [0, 1]; or `Features` [n, d], for learners whose backbone
            does not change.
        labels: int64 [n], or float [n, n_way] if augmentation mixes labels.
        pool_indices: index of each image in the training pool, int64 [n]; None outside training.
    """

    images: Tensor
    labels: Tensor
    pool_indices: Tensor | None = None

    @property
    def n_images(self) -> int:
        """The number of images."""
        return len(self.images)

    def to(self, device: torch.device | str) -> Labelled:
        """Copy the batch to a device."""
        pool_indices = None if self.pool_indices is None else self.pool_indices.to(device)
        return Labelled(self.images.to(device), self.labels.to(device), pool_indices)


class Episode(NamedTuple):
    """One N-way k-shot task.

    Attributes:
        support: labelled images to learn from; labels from 0 to n_way - 1.
        query: images to classify, with the same labels.
        classes: label in the data set of each class of the task, int64 [n_way].
    """

    support: Labelled
    query: Labelled
    classes: Tensor

    @property
    def n_images(self) -> int:
        """The number of support and query images."""
        return self.support.n_images + self.query.n_images

    def to(self, device: torch.device | str) -> Episode:
        """Copy the task to a device."""
        return Episode(self.support.to(device), self.query.to(device), self.classes.to(device))


class Pairs(NamedTuple):
    """A batch of image pairs.

    Attributes:
        left, right: float [n, c, h, w] in [0, 1], or `Features` [n, d].
        same: float [n], 1 if the two images belong to one class and 0 otherwise.
        classes: int64 [2, n], the classes of the left and of the right images, for losses over all
            images of a batch.
    """

    left: Tensor
    right: Tensor
    same: Tensor
    classes: Tensor

    @property
    def n_images(self) -> int:
        """The number of images, two for each pair."""
        return len(self.left) + len(self.right)

    def to(self, device: torch.device | str) -> Pairs:
        """Copy the pairs to a device."""
        return Pairs(*(value.to(device) for value in self))
