"""Frozen features, computed once: kept by the content of the images, the weights, the preprocessing and precision."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from episodes import streams
from episodes.types import ImageSet
from fewshot.backbones import Backbone, chunk_size
from fewshot.config import RunConfig
from fewshot.features import cache
from fewshot.learners.base import Learner
from fewshot.training import optim

TOGETHER = 256  # views that go through the network at once, always: an image's features depend on no company
VERSION = 3  # raise it when the same network gives other features: files written before are then no longer found


def fit_for(settings: RunConfig, learner: Learner, untrained: bool = False) -> bool:
    """Whether features can stand in for images: nothing of the backbone changes, and nothing random happens to images.

    That is a learner without training, or left `untrained`; or one of which every phase trains the head alone,
    without augmentation, where the backbone's batch norm is held. Such a backbone then works in evaluation mode
    throughout: dropout inside it, which on images would act while the head is trained, does not. A learner whose
    `adapt` changes the backbone needs images always, and so does one that says so.
    """
    if learner.needs.images:
        return False
    if untrained or learner.feed is None or settings.train is None:
        return True
    if settings.augment or settings.append is not None or settings.train.resolutions:
        return False
    return (
        all(phase.trainable == "head" for phase in settings.train.phases)
        and not batch_norms(learner, "head")[0]
    )


def batch_norms(learner: Learner, trainable: str | int) -> tuple[int, int]:
    """How many batch norms of the backbone learn, and how many are held, in a phase; the learner is left as it was."""
    modes = [(part, part.training) for part in learner.modules()]
    wanted = [(parameter, parameter.requires_grad) for parameter in learner.parameters()]
    optim.set_trainable(learner, trainable)  # as the trainer will: learners look at what is frozen
    learner.train()
    norms = [part.training for part in learner.backbone.modules() if isinstance(part, _BatchNorm)]
    for part, mode in modes:
        part.training = mode
    for parameter, gradient in wanted:
        parameter.requires_grad_(gradient)
    return sum(norms), len(norms) - sum(norms)


def fingerprint(backbone: Backbone) -> str:
    """Hash of the network's form, its weights, and everything that prepares images for them."""
    digest = hashlib.sha256(backbone.form.encode())
    state = {**backbone.state_dict(), "mean": backbone.mean, "std": backbone.std}
    for name, tensor in sorted(state.items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(
            memoryview(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
        )
    prepared = (
        backbone.input_size,
        backbone.precision,
        backbone.channels_last,
        backbone.views,
        backbone.crop,
    )
    digest.update(" ".join(map(str, prepared)).encode())
    return digest.hexdigest()[:24]


@torch.no_grad()
def extract(backbone: Backbone, images: ImageSet, indices: Tensor, device: str) -> Tensor:
    """Features float32 [n, d] of the images at `indices`, on the CPU; the backbone is left in evaluation mode.

    Chunks are all of one size, the last filled up with its last image: sums are then the same, bit for bit,
    whatever else is asked for and in which order.
    """
    backbone.eval()
    size = min(TOGETHER // backbone.n_views, chunk_size(backbone, images.images))
    filled = torch.cat([indices, indices[-1:].expand(-len(indices) % size)])
    parts = [
        backbone(batch.images).float().cpu()
        for batch in streams.chunks(images, filled, size, device)
    ]
    return torch.cat(parts)[: len(indices)]


def cached(
    backbone: Backbone, images: ImageSet, indices: Tensor, device: str, mark: str | None = None
) -> ImageSet:
    """The image set of the given indices with features float [n, d] in the images' place.

    All requests for one part and one network share a file, to which the images not yet known are added. It stays
    locked while they are computed: two processes that need the same test set compute it once.
    mark: the backbone's fingerprint, where it is known already.
    """
    wanted = indices.numpy()
    if not len(wanted) or not cache.limit():
        found = (
            extract(backbone, images, indices, device)
            if len(wanted)
            else torch.empty(0, backbone.n_features)
        )
        return replace(images, images=found, labels=images.labels[indices])
    about = _about(backbone, images, device, mark or fingerprint(backbone))
    path = cache.folder() / f"{about['key']}{cache.SUFFIX}"
    with cache.locked(path):
        known = cache.read(path, about)
        missing = np.unique(wanted) if known is None else np.setdiff1d(wanted, known.rows)
        if known is None or len(missing):
            new = extract(backbone, images, torch.from_numpy(missing), device).numpy()
            known = cache.extended(known, missing, new)
            cache.write(path, known, about)
    if len(missing):
        cache.prune(keep=path)
    rows = np.searchsorted(known.rows, wanted)
    return replace(
        images, images=torch.from_numpy(known.features[rows]), labels=images.labels[indices]
    )


def _about(backbone: Backbone, images: ImageSet, device: str, mark: str) -> dict[str, str]:
    """What a file of features must say of itself; the key alone decides, the rest is for people and checks."""
    kind = torch.device(device).type  # another kind of device rounds in another way
    key = hashlib.sha256(f"{VERSION} {images.fingerprint} {mark} {kind}".encode()).hexdigest()[:32]
    return {
        "key": key,
        "data": images.name,
        "images": str(len(images)),
        "backbone": backbone.form.split(" ")[0],
        "computed": " ".join([*_judged(backbone), backbone.precision, kind]),
        "d": str(backbone.n_features),
    }


def _judged(backbone: Backbone) -> list[str]:
    cropped = [f"crop {backbone.crop:g}"] if backbone.crop < 1 else []
    return cropped + ([backbone.views] if backbone.views != "none" else [])
