"""Frozen features, computed once for the same images, weights, preprocessing and computation."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from episodes import streams
from episodes.datasets import rows_on_disk
from episodes.types import Features, FeatureSet, ImageSet
from fewshot.backbones import Backbone, chunk_size
from fewshot.config import RunConfig
from fewshot.features import cache
from fewshot.learners.base import Learner
from fewshot.training import optim

# Views that go through the network at once. The number is always the same, so that the features of
# an image do not depend on the other images.
CHUNK_VIEWS = 256
LARGEST_FILE = 2**28  # bytes of the features of an image set that share one file of the cache
PART = 2**25  # bytes of the features in each file of a larger image set
GATHERED = 4096  # images whose features are put into another order at a time
VERSION = 3  # raise it when the same network gives other features: older files are then not used


class BatchNorms(NamedTuple):
    """How many batch-norm layers of a backbone learn, and how many keep their statistics."""

    learning: int
    held: int


class Cached(NamedTuple):
    """Features, and the seconds in which they were computed; None if these were not measured."""

    features: FeatureSet
    seconds: float | None


def total_seconds(seconds: Sequence[float | None]) -> float | None:
    """Return the sum of the seconds of several features; None if some were not measured."""
    known = [one for one in seconds if one is not None]
    return sum(known) if len(known) == len(seconds) else None


def can_replace_images(config: RunConfig, learner: Learner, untrained: bool = False) -> bool:
    """Return whether frozen features can replace the images of a run.

    They can if neither the backbone nor the images change: the learner is not trained, or every
    phase trains the head alone, without augmentation, and the backbone's batch norm is held. The
    backbone then works in evaluation mode throughout, so dropout inside it does not act, which on
    images it would do while the head is trained.

    Args:
        config: the run's settings.
        learner: the learner; one that needs images, for example because `adapt` changes its
            backbone, never works on features.
        untrained: the learner would be trained, but there is nothing to train it on.
    """
    if learner.needs.images:
        return False
    train = config.train
    if untrained or learner.feed is None or train is None:
        return True
    if config.augment or config.append is not None or train.resolutions:
        return False
    only_head = all(phase.trainable == "head" for phase in train.phases)
    return only_head and not batch_norms(learner, "head").learning


def batch_norms(learner: Learner, trainable: str | int) -> BatchNorms:
    """Count the batch-norm layers of the backbone in a training phase; the learner stays as it is.

    Args:
        learner: the learner.
        trainable: what the phase trains, as in `train.phases`.
    """
    modes = [(module, module.training) for module in learner.modules()]
    gradients = [(parameter, parameter.requires_grad) for parameter in learner.parameters()]
    # Learners hold batch norm depending on what is frozen, so set up the phase as the trainer does.
    optim.set_trainable(learner, trainable)
    learner.train()
    layers = [layer for layer in learner.backbone.modules() if isinstance(layer, _BatchNorm)]
    learning = sum(layer.training for layer in layers)
    for module, mode in modes:
        module.training = mode
    for parameter, gradient in gradients:
        parameter.requires_grad_(gradient)
    return BatchNorms(learning, len(layers) - learning)


def fingerprint(backbone: Backbone) -> str:
    """Return a hash of the network's form, its weights and its preprocessing of images."""
    digest = hashlib.sha256(backbone.form.encode())
    state = {**backbone.state_dict(), "mean": backbone.mean, "std": backbone.std}
    for name, tensor in sorted(state.items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        numbers = tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
        digest.update(memoryview(numbers))
    preprocessing = (
        backbone.input_size,
        backbone.precision,
        backbone.channels_last,
        backbone.views,
        backbone.crop,
        *(["centre"] if backbone.centre else []),
    )
    digest.update(" ".join(map(str, preprocessing)).encode())
    return digest.hexdigest()[:24]


def as_features(features: Tensor) -> Features:
    """Mark a tensor [n, d] as features, which backbones pass on."""
    return features.as_subclass(Features)


@torch.no_grad()
def extract(backbone: Backbone, images: ImageSet, indices: Tensor, device: str) -> Tensor:
    """Compute the features of some images.

    Those of very many images lie on disk. All chunks have the same size; the last one is filled up
    with its last image. Sums are then the same, bit for bit, whatever other images are asked for
    and in which order.

    Args:
        backbone: the network, which is left in evaluation mode.
        images: the image set.
        indices: which of its images, int64 [n].
        device: device of the backbone.

    Returns:
        float32 [n, d], on the CPU.
    """
    backbone.eval()
    size = min(CHUNK_VIEWS // backbone.n_views, chunk_size(backbone, images.images))
    filled = torch.cat([indices, indices[-1:].expand(-len(indices) % size)])
    chunks = (
        backbone(batch.images).float().cpu().numpy()
        for batch in streams.chunks(images, filled, size, device)
    )
    return torch.from_numpy(rows_on_disk.joined(chunks, len(indices)))


def _in_place_of(images: ImageSet, indices: Tensor, features: Features) -> FeatureSet:
    """Return features [n, d] of some images, with what belongs to the images."""
    clusters = None if images.clusters is None else images.clusters[indices]
    return FeatureSet(features, images.labels[indices], images.classes, clusters)


def cached(
    backbone: Backbone, images: ImageSet, indices: Tensor, device: str, mark: str | None = None
) -> Cached:
    """Return the features of some images, from the cache as far as they are there.

    All requests for one image set and one network share a file, to which missing images are added.
    It stays locked while they are computed, so two processes that need the same test set compute
    it once. Features of so many images that they would not stay in memory share several files,
    each with those of the next images.

    Args:
        backbone: the network, on the device.
        images: the image set.
        indices: which of its images, int64 [n].
        device: device of the backbone.
        mark: the backbone's fingerprint if it is known; None to compute it.

    Returns:
        The features, and the seconds that computing them took, now or when they were cached, so
        that a trial costs the same whichever trial filled the cache.
    """
    rows = indices.numpy()
    if not len(rows) or not cache.limit():
        computed, seconds = torch.empty(0, backbone.n_features), 0.0
        if len(rows):
            started = time.perf_counter()
            computed = extract(backbone, images, indices, device)
            seconds = time.perf_counter() - started
        return Cached(_in_place_of(images, indices, as_features(computed)), seconds)
    of_network, seconds_of_parts = mark or fingerprint(backbone), []
    unique, place = np.unique(rows, return_inverse=True)

    def chunks() -> Iterator[np.ndarray]:
        for part in _parts(backbone, images, unique):
            about = _of_images(backbone, images, device, of_network, part.number)
            known = _completed(backbone, images, part.rows, device, about)
            at = np.searchsorted(known.rows, part.rows)
            seconds_of_parts.append(float(known.seconds[at].sum(dtype=np.float64)))
            yield known.features[at]

    table = rows_on_disk.joined(chunks(), len(unique))
    if not np.array_equal(unique, rows):
        chunks_of_places = torch.from_numpy(place).split(GATHERED)
        table = rows_on_disk.joined((table[at.numpy()] for at in chunks_of_places), len(rows))
    features = _in_place_of(images, indices, as_features(torch.from_numpy(table)))
    total = sum(seconds_of_parts)
    return Cached(features, None if np.isnan(total) else total)


class _Part(NamedTuple):
    """The images that one file of the cache is asked for.

    Attributes:
        number: of the file; None if the image set has a single one.
        rows: indices of images, int64 [m].
    """

    number: int | None
    rows: np.ndarray


def _parts(backbone: Backbone, images: ImageSet, rows: np.ndarray) -> Iterator[_Part]:
    """Split rising indices of images by the file of the cache to which their features belong."""
    bytes_each = 4 * backbone.n_features
    if len(images) * bytes_each <= LARGEST_FILE:
        yield _Part(None, rows)
        return
    numbers = rows // max(1, PART // bytes_each)
    starts = np.flatnonzero(np.diff(numbers, prepend=-1))
    for part, number in zip(np.split(rows, starts[1:]), numbers[starts].tolist(), strict=True):
        yield _Part(number, part)


def _completed(
    backbone: Backbone, images: ImageSet, rows: np.ndarray, device: str, about: dict[str, str]
) -> cache.Known:
    """Return the content of a file of the cache, with the features of some images at least."""
    path = cache.folder() / f"{about['key']}{cache.SUFFIX}"
    with cache.locked(path):
        known = cache.read(path, about)
        missing = np.unique(rows) if known is None else np.setdiff1d(rows, known.rows)
        if known is None or len(missing):
            known = cache.extended(known, _computed(backbone, images, missing, device))
            cache.write(path, known, about)
    if len(missing):
        cache.prune(keep=path)
    return known


def n_missing(backbone: Backbone, images: ImageSet, indices: Tensor, device: str) -> int:
    """Return how many of some images have no features in the cache."""
    if not cache.limit():
        return len(indices)
    mark, n = fingerprint(backbone), 0
    for part in _parts(backbone, images, np.unique(indices.numpy())):
        about = _of_images(backbone, images, device, mark, part.number)
        known = cache.read(cache.folder() / f"{about['key']}{cache.SUFFIX}", about)
        n += len(part.rows) if known is None else len(np.setdiff1d(part.rows, known.rows))
    return n


def _computed(backbone: Backbone, images: ImageSet, rows: np.ndarray, device: str) -> cache.Known:
    """Compute features for the cache; their time is divided evenly among them."""
    started = time.perf_counter()
    features = extract(backbone, images, torch.from_numpy(rows), device).numpy()
    seconds_each = (time.perf_counter() - started) / len(rows)
    return cache.Known(rows, features, np.full(len(rows), seconds_each, np.float32))


def _of_images(
    backbone: Backbone, images: ImageSet, device: str, mark: str, number: int | None
) -> dict[str, str]:
    """Return the metadata of the file of features of an image set, or of one of its files."""
    content = images.fingerprint + ("" if number is None else f" part {number}")
    known = metadata(backbone, content, device, mark)
    return {**known, "data": images.name, "images": str(len(images))}


def metadata(backbone: Backbone, content: str, device: str, mark: str) -> dict[str, str]:
    """Return the metadata of a file of features; the key decides, the rest is for people.

    Args:
        backbone: the network.
        content: what identifies the images.
        device: device of the backbone.
        mark: the backbone's fingerprint.
    """
    kind = torch.device(device).type  # another kind of device rounds differently
    if kind == "cpu":  # and so do some numbers of threads
        n_threads = torch.get_num_threads()
        kind += f", {n_threads} thread{'' if n_threads == 1 else 's'}"
    key = hashlib.sha256(f"{VERSION} {content} {mark} {kind}".encode()).hexdigest()[:32]
    return {
        "key": key,
        "backbone": backbone.form.split(" ")[0],
        "computed": " ".join([*_views(backbone), backbone.precision, kind]),
        "d": str(backbone.n_features),
    }


def _views(backbone: Backbone) -> list[str]:
    crop = [f"crop {backbone.crop:g}"] if backbone.crop < 1 else []
    return crop + ([backbone.views] if backbone.views != "none" else [])
