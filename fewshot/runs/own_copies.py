"""What a run's folder holds so that it can be used from anywhere: absolute paths, and weights.

A file of weights that the user named is copied, unless it is large; weights that come with the
package or from timm are not.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fewshot import backbones, io
from fewshot.config import RunConfig

WEIGHTS = "backbone-weights"  # name of the copy, before the suffix of the original
LARGEST = 128 * 2**20  # bytes; a larger file is not copied


def with_absolute_paths(values: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a run with the paths of its data sets and weights in full."""
    backbone, train = _with_absolute_weights(values["backbone"]), values["train"]
    if backbone.get("beside"):
        backbone["beside"] = [_with_absolute_weights(one) for one in backbone["beside"]]
    if train is not None and train.get("base") is not None:
        train = {**train, "base": _absolute(train["base"])}
    return {
        **values,
        "data": _absolute(values["data"]),
        "test": _absolute(values["test"]),
        "backbone": backbone,
        "train": train,
    }


def _with_absolute_weights(section: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of one network with the path of its file of weights in full."""
    weights = section["weights"]
    return {
        **section,
        "weights": weights if weights in ("none", "pretrained") else _absolute(weights),
    }


def _absolute(value: Any) -> Any:
    """Return a path that exists in full, also in a list, and any other value as it is."""
    if isinstance(value, list | tuple):
        return [_absolute(one) for one in value]
    if not isinstance(value, str) or not value.strip():
        return value
    place = Path(os.path.expanduser(value))
    return os.path.abspath(place) if place.exists() else value


def copy_weights(settings: RunConfig, folder: Path) -> None:
    """Copy the files of weights that the user named into the folder of a run, once."""
    for number, network in enumerate(settings.backbone.networks):
        path = backbones.weights_file(network)
        if path is None or network.weights == "pretrained" or not path.is_file():
            continue
        copy = folder / f"{_name(number)}{path.suffix}"
        if not copy.exists() and path.stat().st_size <= LARGEST:
            io.write_bytes(copy, path.read_bytes())


def with_weights(settings: RunConfig, folder: Path) -> RunConfig:
    """Return settings that name the copies of weights in the folder of a run, if there are any."""
    networks = []
    for number, network in enumerate(settings.backbone.networks):
        copies = sorted(folder.glob(f"{_name(number)}.*"))
        update = {"weights": str(copies[0])} if copies else {}
        networks.append(network.model_copy(update=update))
    backbone = networks[0].model_copy(update={"beside": tuple(networks[1:])})
    return settings.model_copy(update={"backbone": backbone})


def _name(number: int) -> str:
    """Return the name of the copy for the network of a number, from 0, without its suffix."""
    return WEIGHTS if number == 0 else f"{WEIGHTS}-{number + 1}"
