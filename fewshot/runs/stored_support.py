"""What a trial stores of its data set, so that it can predict without it.

`support.safetensors` in the folder of a trial holds what `adapt` reads: the labelled images, or
their features; where a trained head classifies, one image of each class stands for them. With it
are the names of the classes and how images are decoded. A run stores at most `LIMIT` bytes; the
trials beyond predict with the data set alone.
"""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import save as safetensors_bytes
from torch import Tensor

from episodes.errors import DAMAGED_JSON
from episodes.streams import as_float
from episodes.types import Decoding, ImageSet, Labelled
from fewshot import io
from fewshot.errors import UserError
from fewshot.features import frozen
from fewshot.learners.base import Learner, Task
from fewshot.runs import records, trial_data
from fewshot.runs.resolve import ResolvedRun
from fewshot.runs.trial_data import Part

FILE = "support.safetensors"
LIMIT = 256 * 2**20  # bytes of all trials of a run
ABOUT = "fewshot"  # key of the metadata
IMAGES, FEATURES, LABELS = "images", "features", "labels"

log = logging.getLogger("fewshot")


class StoredSupport(NamedTuple):
    """The content of the file.

    Attributes:
        support: what `adapt` reads, on the CPU.
        on_features: whether the trial classifies features that are computed in chunks of one size.
        task: the classes.
        decoding: how images are decoded.
        meta_trained: whether the weights of the run are those of a meta-training.
        state: hash of the state of the learner.
    """

    support: Labelled
    on_features: bool
    task: Task
    decoding: Decoding
    meta_trained: bool
    state: str


def write(run: ResolvedRun, learner: Learner, train: Part, folder: Path) -> None:
    """Write the file of a trial, unless the run would store more than `LIMIT`.

    Args:
        run: the resolved run.
        learner: the trained learner.
        train: the training images of the trial, or their features.
        folder: folder of the trial.
    """
    on_features = not isinstance(train.source, ImageSet)
    part = trial_data.part_for_adapt(learner, train)
    left = LIMIT - sum(path.stat().st_size for path in run.folder.glob(f"{records.TRIAL}*/{FILE}"))
    if not learner.needs.images and _size(part) > left:
        part = _as_features(learner, part, run.compute.device)
    if _size(part) > left:
        log.info(
            "%s: the labelled images are not stored, because a run stores at most %d MB of them; "
            "`fewshot predict` will need the data set as it is now.",
            folder,
            LIMIT >> 20,
        )
        return
    images = run.data.train
    about = {
        "on_features": on_features,
        "classes": images.classes,
        "groups": None if run.task.group_of_class is None else run.task.group_of_class.tolist(),
        "n_base": run.task.n_base,
        "decoding": asdict(images.decoding or Decoding(images.images.shape[-1])),
        "meta_trained": bool(run.bases),
        "state": hash_of(learner),
    }
    tensors = {_kind(part): _inputs(part).contiguous(), LABELS: part.labels.contiguous()}
    content = safetensors_bytes(tensors, {ABOUT: json.dumps(about)})
    io.write_bytes(folder / FILE, content)


def _as_features(learner: Learner, part: Part, device: str) -> Part:
    if not isinstance(part.source, ImageSet):
        return part
    computed = frozen.cached(learner.backbone, part.source, part.indices, device).features
    return Part(computed, torch.arange(len(computed)))


def _kind(part: Part) -> str:
    return IMAGES if isinstance(part.source, ImageSet) else FEATURES


def _inputs(part: Part) -> Tensor:
    """Return images uint8 [n, c, h, w] or features float32 [n, d]."""
    if isinstance(part.source, ImageSet):
        return part.source.images[part.indices]
    return part.source.features[part.indices].as_subclass(Tensor)


def _size(part: Part) -> int:
    """Return the bytes of a part, without reading it."""
    inputs = part.source.images if isinstance(part.source, ImageSet) else part.source.features
    return len(part.indices) * inputs[:1].numel() * inputs.element_size()


def hash_of(learner: Learner) -> str:
    """Return a hash of the state of a learner, the same on every device."""
    digest = hashlib.sha256()
    for name, tensor in sorted(learner.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        numbers = tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
        digest.update(memoryview(numbers))
    return digest.hexdigest()[:24]


def read(folder: Path) -> StoredSupport | None:
    """Return what a trial stored; None if it stored nothing, as trials of older versions did.

    Raises:
        UserError: the file is damaged.
    """
    path = folder / FILE
    if not path.exists():
        return None
    try:
        tensors = io.read_safetensors(path)
        about = _about(path)
        is_images = IMAGES in tensors
        inputs = as_float(tensors[IMAGES]) if is_images else frozen.as_features(tensors[FEATURES])
        groups = about["groups"]
        classes = tuple(about["classes"])
        return StoredSupport(
            support=Labelled(inputs, tensors[LABELS]),
            on_features=about["on_features"],
            task=Task(
                len(classes),
                None if groups is None else torch.tensor(groups),
                classes,
                about["n_base"],
            ),
            decoding=Decoding(**about["decoding"]),
            meta_trained=about["meta_trained"],
            state=about["state"],
        )
    except (OSError, SafetensorError, KeyError, TypeError, *DAMAGED_JSON) as error:
        raise UserError(
            f"{path} cannot be read ({error}): run the trial again, with --force."
        ) from error


def _about(path: Path) -> dict[str, Any]:
    """Return the metadata of the file, which its first bytes hold as JSON."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header: dict[str, Any] = json.loads(file.read(length))
    content: dict[str, Any] = json.loads(header["__metadata__"][ABOUT])
    return content
