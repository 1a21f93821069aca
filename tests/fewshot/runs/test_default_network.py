"""The network of a run where the user names none: small and large images that Pillow wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fewshot import backbones
from fewshot.backbones import imagenet_packages
from fewshot.config import RunConfig
from fewshot.runs import default_network, run_settings


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imagenet_packages, "weights_file", lambda model: Path("w.pth"))


def photos(folder: Path, side: int) -> str:
    noise = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for number in range(3):
            pixels = noise.integers(0, 256, (side, side + 10, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return str(folder)


def chosen(values: dict[str, Any]) -> str:
    settings = run_settings.configure(values, values.get("preset") or "few")
    changed: RunConfig = default_network.for_images(values, settings)
    assert changed.model_copy(update={"backbone": settings.backbone}) == settings
    return changed.backbone.name


@pytest.mark.parametrize(
    ("side", "values", "is_large"),
    [
        (100, {}, True),
        (50, {}, False),
        (100, {"image_size": 32}, False),
        (100, {"backbone": {"name": "mini-resnet"}}, False),
        (100, {"backbone.views": "flip-crop"}, False),
        (100, {"preset": "few"}, False),
        (100, {"method": "protonet"}, True),
        (100, {"method": "finetune"}, False),
        (100, {"learner": {"prior_from_names": True}}, False),
    ],
)
def test_large_images_have_the_network_for_them(
    side: int, values: dict[str, Any], is_large: bool, tmp_path: Path
) -> None:
    request = {"method": "probe", "shots": 2, "data": photos(tmp_path, side), **values}
    assert chosen(request) == backbones.default(100 if is_large else 0).name


def test_without_the_package_the_shipped_network_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imagenet_packages, "weights_file", lambda model: None)
    request = {"method": "probe", "shots": 2, "data": photos(tmp_path, 100)}
    assert chosen(request) == "mini-resnet"
