"""The measurement of the checks. Oracles: Pillow for planted faults, counts written by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from fewshot import io
from scripts import check
from scripts.check import FAULTS, KINDS, Count, Looks
from tests.fewshot.checks import photos


def test_each_planted_fault_is_reported_as_its_kind(tmp_path: Path) -> None:
    """The faults of the page, on a picture that has none."""
    from fewshot.checks import appearance, reading

    for number, (_, change) in enumerate(FAULTS.values()):
        (tmp_path / f"{number}").mkdir()
        change(photos.scene(7)).save(tmp_path / f"{number}" / "0.png")
    (data,) = reading.read(str(tmp_path), with_features=False)
    flags = appearance.flags(data)
    for number, (name, (kind, _)) in enumerate(FAULTS.items()):
        if kind and name not in ("towards white, 0.5", "blur, radius 2", "blur, radius 4"):
            assert flags[kind][data.names.index(f"{number}/0.png")], name
    assert not any(bool(flag[0]) for flag in flags.values())  # as it is


def test_the_table_has_each_kind_on_sound_images_and_on_its_own_faults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = [
        Count(fault=fault, kind=kind, images=9, ours=number, cleanvision=1, both=0)
        for number, fault in enumerate(FAULTS)
        for kind in KINDS
    ]
    monkeypatch.setattr(check, "FOLDER", tmp_path)
    io.write_json(tmp_path / "appearance.json", Looks(data="toys", cleanvision="0", counts=counts))
    rows = [line.strip("| ").split(" | ") for line in check.table_of_looks().splitlines()[2:]]
    assert [row[:2] for row in rows[:3]] == [
        ["dark", "as they are"],
        ["dark", "brightness x 0.25"],
        ["dark", "brightness x 0.1"],
    ]
    assert [row[3] for row in rows[:3]] == ["0", "1", "2"]
    assert len(rows) == len(KINDS) + len(FAULTS) - 1


def test_the_strip_is_a_quarter_as_high() -> None:
    _, change = FAULTS["strip of 1:4"]
    assert change(Image.new("RGB", (80, 80))).size == (80, 20)
