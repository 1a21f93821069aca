"""What a run's folder holds so that it can be used from anywhere: absolute paths, and weights.

A file of weights that the user named is copied, unless it is large; weights that come with the
package or from timm are not.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from fewshot import backbones, io
from fewshot.config import RunConfig

WEIGHTS = "backbone-weights"  # name of the copy, before the suffix of the original
LARGEST = 128 * 2**20  # bytes; a larger file is not copied


def with_absolute_paths(values: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a run with the paths of its data sets and weights in full."""
    backbone, train = dict(values["backbone"]), values["train"]
    if backbone["weights"] not in ("none", "pretrained"):
        backbone["weights"] = _absolute(backbone["weights"])
    if train is not None and train.get("base") is not None:
        train = {**train, "base": _absolute(train["base"])}
    return {
        **values,
        "data": _absolute(values["data"]),
        "test": _absolute(values["test"]),
        "backbone": backbone,
        "train": train,
    }


def _absolute(value: Any) -> Any:
    """Return a path that exists in full, also in a list, and any other value as it is."""
    if isinstance(value, list | tuple):
        return [_absolute(one) for one in value]
    if not isinstance(value, str) or not value.strip():
        return value
    place = Path(value).expanduser()
    return os.path.abspath(place) if place.exists() else value


def copy_weights(settings: RunConfig, folder: Path) -> None:
    """Copy the file of weights that the user named into the folder of a run, once."""
    path = backbones.weights_file(settings.backbone)
    if path is None or settings.backbone.weights == "pretrained" or not path.is_file():
        return
    copy = folder / f"{WEIGHTS}{path.suffix}"
    if not copy.exists() and path.stat().st_size <= LARGEST:
        io.write_bytes(copy, path.read_bytes())


def with_weights(settings: RunConfig, folder: Path) -> RunConfig:
    """Return settings that name the copy of the weights in the folder of a run, if there is one."""
    copies = sorted(folder.glob(f"{WEIGHTS}.*"))
    if not copies:
        return settings
    backbone = settings.backbone.model_copy(update={"weights": str(copies[0])})
    return settings.model_copy(update={"backbone": backbone})
