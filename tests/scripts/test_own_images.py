"""The tables of own-images.md. Oracles: records written by hand, and means of their values."""

from __future__ import annotations

import statistics
from dataclasses import asdict
from pathlib import Path

import pytest

from fewshot import io
from scripts import own_images, pages, peers
from tests.fewshot.report import handmade


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(pages, "RECORDS", tmp_path)
    monkeypatch.setattr(own_images, "FOLDER", tmp_path / "own-images")
    (tmp_path / "own-images").mkdir()
    return tmp_path / "own-images"


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line[1:-1].split("|")]


def test_a_network_has_the_accuracy_of_each_record_and_missing_ones_are_named(folder: Path) -> None:
    values = (0.9, 0.8, 0.94)
    io.write_json(folder / "lite2-4.json", handmade.record("probe", values).to_json())
    rows = {line.split(",")[0]: cells(line) for line in own_images.accuracies().splitlines()}
    row = rows["| tf_efficientnet_lite2"]
    assert row[0] == "tf_efficientnet_lite2, 224 pixels, views none"
    assert row[3].startswith(f"{statistics.fmean(values):.4f} ")
    assert [cell for cell in row[1:] if cell == "not run"] == ["not run"] * 5
    assert rows["| mini-resnet"][0] == "mini-resnet, 32 pixels, views flip-crop"


def test_other_tools_stand_beside_with_their_mean_error_and_seconds(folder: Path) -> None:
    result = peers.Result("vyntri", "1.5.0", {}, 4, [0.5, 0.7], [0.1, 0.3], [1.0, 2.0])
    io.write_json(folder / "peer-vyntri-4.json", asdict(result))
    rows = [cells(line) for line in own_images.side_by_side().splitlines()]
    (row,) = [row for row in rows if row[:2] == ["4", "vyntri"]]
    assert row[2].startswith("0.6000 (")
    assert row[3:] == ["0.200", "1.50"]


def test_all_requests_are_complete() -> None:
    networks = [own_images.request(network, 4)["backbone"] for network in own_images.NETWORKS]
    assert len({network["name"] for network in networks}) == 3
    assert all(network["weights"] == "pretrained" for network in networks)
