"""Write and read model files: a fitted classifier in one file, which runs no code when it is read.

`model_header` describes the first part of the file. The tensors follow it.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as from_bytes
from safetensors.torch import save as to_bytes
from torch import Tensor

from episodes.datasets.names import readable, readable_line
from episodes.types import Decoding
from fewshot import io
from fewshot.backbones import Backbone, stored
from fewshot.backbones.stored import Misfit, StoredNetwork
from fewshot.errors import UserError, one_line
from fewshot.heads.affine import AffineHead
from fewshot.model import model_header, self_check
from fewshot.model.classifier import ImageClassifier, LabelledFeatures, Recipe, for_models
from fewshot.model.model_about import LONGEST_NAME
from fewshot.model.model_header import Damaged, ModelHeader, StoredTensor
from fewshot.model.reject import Rejection
from fewshot.training import devices

LARGEST_INSIDE = 50 * 2**20  # bytes of a network that is stored inside unless asked otherwise
BACKBONE = "backbone."  # prefix of the names of the network's state


def save(classifier: ImageClassifier, path: Path, *, standalone: bool | None = None) -> None:
    """Write a classifier to a file, completely or not at all.

    Args:
        classifier: the classifier.
        path: the file to write or to replace.
        standalone: whether the network is stored inside the file; None for networks of up to 50 MB,
            and for any network that is not a published one.

    Raises:
        UserError: the file cannot be written, the network cannot be stored as asked, or no model
            file has room for the labels or for so many images.
    """
    backbone = _on_cpu(classifier.backbone)
    network = stored.network_of(classifier.settings, backbone)
    state = {name: tensor.contiguous() for name, tensor in backbone.state_dict().items()}
    inside = _is_inside(classifier, network, state, standalone)
    tensors = _tensors(classifier, backbone)
    if inside:
        tensors |= {f"{BACKBONE}{name}": _smaller(tensor) for name, tensor in state.items()}
    infinite = [name for name, tensor in tensors.items() if not _is_finite(tensor)]
    if infinite:
        raise UserError(
            f"{path} was not written, because '{infinite[0]}' of the classifier is not finite: fit "
            "it again, with other images or another method."
        )
    _check_labels(path, classifier.classes)
    header, data = _serialised(_about(classifier, network, state, inside), tensors)
    try:
        model_header.check(header, len(data))
    except Damaged as error:
        raise UserError(
            f"{path} was not written, because it could not be read again ({one_line(error)}): fit "
            "the classifier to fewer images, or to files with shorter names."
        ) from None
    io.write_bytes(path, [header, data], remedy="name another file")


def load(path: Path, device: str | None = None) -> ImageClassifier:
    """Read a classifier, and check that it still gives the probabilities that it was saved with.

    Args:
        path: a file of `save`.
        device: cpu, cuda and so on; None for a GPU if there is one.

    Raises:
        UserError: there is no such file, it is damaged or not a model file, a newer version wrote
            it, or its published weights are not here or have changed.
    """
    header = model_header.read(path)
    try:
        classifier, images, expected = _read(path, header)
        difference = self_check.largest_difference(classifier, images, expected)
    except (Damaged, Misfit) as error:
        raise model_header.damaged(path, error) from None
    except UserError as error:
        reason = one_line(error, 400)
        end = "" if reason.endswith((".", "?")) else "."
        raise UserError(f"{path} cannot be used: {reason}{end}") from None
    except (OSError, SafetensorError, RuntimeError, ValueError, TypeError, IndexError) as error:
        raise model_header.damaged(path, one_line(error) or type(error).__name__) from None
    if not difference <= self_check.TOLERANCE:
        raise UserError(
            f"{path} gives other probabilities on its test images than when it was saved (by "
            f"{difference:.2g}): make it again with `fewshot fit`."
        )
    classifier.backbone.to(devices.pick(device))
    return classifier


def _on_cpu(backbone: Backbone) -> Backbone:
    """Return the network as it computes after it was read: on the CPU."""
    is_there = next(backbone.parameters()).device.type == "cpu"
    if is_there and backbone.precision == "float32" and backbone.channels_last:
        return backbone.eval()
    return for_models(copy.deepcopy(backbone).to("cpu")).eval()


def _is_inside(
    classifier: ImageClassifier,
    network: StoredNetwork,
    state: Mapping[str, Tensor],
    standalone: bool | None,
) -> bool:
    """Return whether the network is stored inside the file."""
    size = sum(_smaller(tensor).nbytes for tensor in state.values())
    if standalone or (standalone is None and size <= LARGEST_INSIDE):
        return True
    published = all(one.weights == "pretrained" for one in network.settings.networks)
    if published and classifier.recipe.kind != "trained":
        stored.published(network.settings, stored.hash_of(state))  # they are still there
        return False
    if standalone is None:
        return True
    raise UserError(
        "the network of this classifier cannot be left out of its file, because its weights are "
        "not published ones: leave out standalone."
    )


def _tensors(classifier: ImageClassifier, backbone: Backbone) -> dict[str, Tensor]:
    """Return the tensors of the file, except those of the network."""
    head, rejection, support = classifier.head, classifier.rejection, classifier.support
    images = self_check.patterns(classifier.decoding.size)
    tensors = {
        "head.weight": head.weight,
        "head.bias": head.bias,
        **({} if head.centre is None else {"head.centre": head.centre}),
        "support.features": support.features,
        "support.labels": support.labels,
        **({} if support.clusters is None else {"support.clusters": support.clusters}),
        "rejection.centre": rejection.centre,
        "rejection.means": rejection.means,
        "fold_scores": classifier.fold_scores,
        "test.images": images,
        "test.probabilities": self_check.probabilities(classifier, backbone, images),
    }
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _about(
    classifier: ImageClassifier,
    network: StoredNetwork,
    state: Mapping[str, Tensor],
    inside: bool,
) -> dict[str, Any]:
    """Return the content of `model_header.About`, except the hash of the tensors."""
    return {
        "format_version": model_header.FORMAT_VERSION,
        "classes": classifier.classes,
        "decoding": asdict(classifier.decoding),
        "backbone": network.settings.model_dump(mode="json", exclude_defaults=True),
        "statistics": network.statistics,
        "weights_sha256": stored.hash_of(state),
        "weights_inside": inside,
        "normalise": classifier.head.normalise,
        "temperature": float(classifier.temperature),
        "recipe": classifier.recipe._asdict(),
        "threshold": float(classifier.rejection.threshold),
        "reject": float(classifier.rejection.share),
        "image_names": [readable(name) for name in classifier.support.names],
        "card": asdict(classifier.card),
    }


def _check_labels(path: Path, classes: Sequence[str]) -> None:
    """Raise UserError if the name of a class cannot be stored."""
    for name in classes:
        if not 1 <= len(name) <= LONGEST_NAME or name != readable(name):
            raise UserError(
                f"{path} was not written, because the label {readable_line(name[:40])!r} cannot be "
                f"stored: expected 1 to {LONGEST_NAME:,} characters of Unicode; fit the classifier "
                "to other labels."
            )


def _serialised(about: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> tuple[bytes, bytes]:
    """Return the two parts of the file."""
    content = to_bytes(dict(tensors))
    start = 8 + int.from_bytes(content[:8], "little")
    table = {
        name: StoredTensor(entry["dtype"], tuple(entry["shape"]), *entry["data_offsets"])
        for name, entry in model_header.parsed(content[8:start]).items()
    }
    data = content[start:]
    return model_header.written(about, table, data), data


def _smaller(tensor: Tensor) -> Tensor:
    """Return the numbers in half precision if nothing is lost, and else as they are."""
    if tensor.dtype != torch.float32:
        return tensor
    half = tensor.half()
    return half if torch.equal(half.float(), tensor) else tensor


def _is_finite(tensor: Tensor) -> bool:
    return not tensor.is_floating_point() or bool(tensor.isfinite().all())


def _read(path: Path, header: ModelHeader) -> tuple[ImageClassifier, Tensor, Tensor]:
    """Return the classifier, its test images and their probabilities."""
    about = header.about
    network = StoredNetwork(about.backbone, about.statistics)
    _check_shapes(header, network)
    tensors = _read_tensors(path, header)
    state = {
        name.removeprefix(BACKBONE): tensors.pop(name)
        for name in list(tensors)
        if name.startswith(BACKBONE)
    }
    if about.weights_inside:
        backbone = stored.rebuild(network, state)
    else:
        backbone = stored.published(about.backbone, about.weights_sha256)
    labels = tensors["support.labels"]
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < len(about.classes):
        raise Damaged("a label is not that of a class")
    classifier = ImageClassifier(
        classes=about.classes,
        decoding=Decoding(**about.decoding.model_dump()),
        settings=about.backbone,
        backbone=for_models(backbone),
        head=AffineHead(
            tensors["head.weight"],
            tensors["head.bias"],
            tensors.get("head.centre"),
            about.normalise,
        ),
        temperature=about.temperature,
        recipe=Recipe(**about.recipe.model_dump()),
        support=LabelledFeatures(
            tensors["support.features"],
            labels,
            about.image_names,
            tensors.get("support.clusters"),
        ),
        rejection=Rejection(
            tensors["rejection.centre"], tensors["rejection.means"], about.threshold, about.reject
        ),
        fold_scores=tensors["fold_scores"],
        card=about.card,
    )
    return classifier, tensors["test.images"], tensors["test.probabilities"]


def _check_shapes(header: ModelHeader, network: StoredNetwork) -> None:
    """Raise an error unless all types and shapes fit together; no tensor is read for it."""
    about, tensors = header.about, header.tensors
    state = {
        name.removeprefix(BACKBONE): tensors[name].shape
        for name in tensors
        if name.startswith(BACKBONE)
    }
    if about.weights_inside != bool(state):
        raise Damaged("its weights are not where its header has them")
    if about.weights_inside:
        d = stored.layout(network, state).n_features
    else:  # `stored.published` checks them
        d = tensors["head.weight"].shape[-1] if "head.weight" in tensors else 0
    n_way, n = len(about.classes), len(about.image_names)
    n_test, side = self_check.N_IMAGES, self_check.side_of(about.decoding.size)
    expected: dict[str, tuple[str, tuple[int, ...]]] = {
        "head.weight": ("F32", (n_way, d)),
        "head.bias": ("F32", (n_way,)),
        "support.features": ("F32", (n, d)),
        "support.labels": ("I64", (n,)),
        "rejection.centre": ("F32", (d,)),
        "rejection.means": ("F32", (n_way, d)),
        "test.images": ("U8", (n_test, 3, side, side)),
        "test.probabilities": ("F32", (n_test, n_way)),
    }
    optional = {"head.centre": ("F32", (d,)), "support.clusters": ("I64", (n,))}
    expected |= {name: one for name, one in optional.items() if name in tensors}
    for name, (dtype, shape) in expected.items():
        if name not in tensors or tensors[name][:2] != (dtype, shape):
            raise Damaged(f"'{name}' is missing, or of another shape")
    scores = tensors.get("fold_scores")
    if scores is None or scores.dtype != "F32" or len(scores.shape) != 1:
        raise Damaged("'fold_scores' is missing, or of another shape")
    if len(tensors) != len(state) + len(expected) + 1:
        raise Damaged("it has a tensor that no model file has")


def _read_tensors(path: Path, header: ModelHeader) -> dict[str, Tensor]:
    """Return all tensors of the file, if their bytes are those that were written."""
    with path.open("rb") as file:
        content = file.read(header.n_bytes)
    data = memoryview(content)[header.data_start :]
    if hashlib.sha256(data).hexdigest() != header.about.data_sha256:
        raise Damaged("its numbers have changed since it was written")
    tensors = from_bytes(content)
    infinite = [name for name, tensor in tensors.items() if not _is_finite(tensor)]
    if infinite:
        raise Damaged(f"'{infinite[0][:100]}' is not finite")
    return tensors
