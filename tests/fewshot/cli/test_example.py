"""The example against the records that it writes, with one quick method in place of four."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fewshot import config
from fewshot.cli import example
from fewshot.cli.main import app


def test_the_example_prints_a_table_and_writes_the_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(example, "METHODS", {"probe": "few"})
    command = ["example", "--out", str(tmp_path), "--trials", "1", "--quiet"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    record = json.loads(next(tmp_path.glob("*/record.json")).read_text())
    assert f"{record['scores']['accuracy']['mean']:.4f}" in result.stdout
    assert record["shots"] == example.SHOTS
    assert (tmp_path / "accuracy.png").read_bytes().startswith(b"\x89PNG")
    assert "accuracy.png" in result.stderr
    assert "Next: fewshot run" in result.stderr


def test_every_preset_of_the_example_exists_and_needs_no_download() -> None:
    for method, preset in example.METHODS.items():
        backbone = config.preset(method, preset)["backbone"]
        assert backbone["name"] in ("conv4", "mini-resnet")
