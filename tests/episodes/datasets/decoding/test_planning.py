"""Oracle: sizes worked out by hand, and fingerprints of the same images at other sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from episodes.datasets import load
from tests.episodes.datasets.samples import save_classes, save_image


@pytest.mark.parametrize(
    ("sizes", "settings", "side", "reason"),
    [
        ([(300, 280), (310, 290)], {"input_size": 224}, 224, "what the backbone takes"),
        ([(300, 280), (310, 290)], {"input_size": 32}, 64, "`--set image_size=N` changes it"),
        ([(300, 280), (310, 290)], {"input_size": 512}, 290, "none is larger; the backbone takes"),
        ([(300, 280), (310, 290)], {"input_size": 300, "fit": "pad"}, 300, "what the backbone"),
        ([(40, 30), (30, 50)], {"input_size": 224}, 64, "`--set image_size=N` changes it"),
        ([(40, 30), (30, 300)], {"input_size": 224, "fit": "pad"}, 224, "what the backbone takes"),
        ([(400, 400)], {"input_size": 32}, 224, "400x400 pixels are decoded at 224x224"),
        ([(400, 400)], {"input_size": 300}, 300, "what the backbone takes"),
        ([(400, 400)], {"input_size": 500}, 400, ""),
        ([(100, 100)], {"input_size": 224}, 100, ""),
        ([(400, 300)], {}, 64, "a run takes what its backbone needs"),
        ([(400, 300)], {"image_size": 50, "input_size": 224}, 50, ""),
    ],
)
def test_the_working_size_is_what_the_backbone_needs_of_what_there_is(
    sizes: list[tuple[int, int]],
    settings: dict[str, Any],
    side: int,
    reason: str,
    tmp_path: Path,
) -> None:
    for number in range(4):
        size = sizes[number // 2 % len(sizes)]
        save_image(tmp_path / "photos" / "ab"[number % 2] / f"{number}.png", number, size)
    images = load(str(tmp_path / "photos"), cache=tmp_path / "cache", **settings).train
    assert images.images.shape[2:] == (side, side)
    notes = [note for note in images.notes if "decoded at" in note]
    assert len(notes) == bool(reason)
    assert reason in " ".join(notes)


def test_the_identity_of_images_is_their_fingerprint_without_a_backbone(
    tmp_path: Path,
) -> None:
    """Results at different sizes stand in one table; other images are others at any size."""
    for name, sides in {"photos": (90, 120), "others": (90, 121)}.items():
        save_classes(tmp_path / name, {"a": 3, "b": 3})
        for side in sides:
            save_image(tmp_path / name / "a" / f"{side}.png", side, size=(side, 80))
    settings: list[dict[str, Any]] = [{}, {"input_size": 70}, {"image_size": 33}, {"fit": "pad"}]
    for _ in range(2):  # also from the index
        plain, *variants = [
            load(str(tmp_path / "photos"), cache=tmp_path / "cache", **setting)
            for setting in settings
        ]
        others = load(str(tmp_path / "others"), cache=tmp_path / "cache").train
        assert [len(variant.train.images[0, 0]) for variant in variants] == [70, 33, 64]
        fingerprints = {data.train.fingerprint for data in (plain, *variants)}
        assert len(fingerprints) == 4
        for part in (0, 1):
            assert {data[part].identity for data in (plain, *variants)} == {plain[part].fingerprint}
        assert others.identity != plain.train.identity
    assert "several sizes are decoded at 64x64 pixels (a run takes what" in " ".join(
        plain.train.notes
    )
    assert "at 70x70 pixels (what the backbone takes)" in " ".join(variants[0].train.notes)
