"""Frozen features, computed once and kept on disk by content: images, weights, preprocessing and precision."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from episodes import streams
from episodes.types import ImageSet
from fewshot.backbones import Backbone, chunk_size
from fewshot.records import make_folder, write_bytes


def fingerprint(backbone: Backbone) -> str:
    """Hash of the network's form, its weights, and everything that prepares images for them."""
    digest = hashlib.sha256(backbone.form.encode())
    state = {**backbone.state_dict(), "mean": backbone.mean, "std": backbone.std}
    for name, tensor in sorted(state.items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    digest.update(f"{backbone.input_size} {backbone.precision} {backbone.channels_last}".encode())
    return digest.hexdigest()[:24]


@torch.no_grad()
def extract(backbone: Backbone, images: ImageSet, indices: Tensor, device: str) -> Tensor:
    """Features float32 [n, d] of the images at `indices`, on the CPU; the backbone is left in evaluation mode."""
    backbone.eval()
    size = chunk_size(backbone, images.images)
    parts = [backbone(batch.images).float().cpu() for batch in streams.chunks(images, indices, size, device)]
    return torch.cat(parts)


def cached(backbone: Backbone, images: ImageSet, indices: Tensor, device: str, folder: Path) -> ImageSet:
    """The image set of the given indices with features float [n, d] in the images' place.

    Kept under `folder` by the content of the images, the indices, the weights and the preprocessing.
    """
    key = hashlib.sha256(
        f"{images.fingerprint} {fingerprint(backbone)} ".encode() + indices.numpy().tobytes()
    ).hexdigest()[:32]
    path = folder / f"{key}.npy"
    if path.exists():
        features = torch.from_numpy(np.load(path, allow_pickle=False))
    else:
        features = extract(backbone, images, indices, device)
        make_folder(folder)
        write_bytes(path, _npy(features))
    return replace(images, images=features, labels=images.labels[indices])


def _npy(features: Tensor) -> bytes:
    from io import BytesIO

    buffer = BytesIO()
    np.save(buffer, features.numpy(), allow_pickle=False)
    return buffer.getvalue()
