"""The demo against the records that it writes, with one quick method in place of four."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fewshot import config
from fewshot.cli import demo
from fewshot.cli.main import app


def test_the_demo_prints_a_table_and_writes_the_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "METHODS", {"probe": "few"})
    command = ["demo", "--out", str(tmp_path), "--trials", "1", "--quiet"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    record = json.loads(next(tmp_path.glob("*/record.json")).read_text())
    assert f"{record['scores']['accuracy']['mean']:.4f}" in result.stdout
    assert record["shots"] == demo.SHOTS
    assert (tmp_path / "accuracy.png").read_bytes().startswith(b"\x89PNG")
    assert "accuracy.png" in result.stderr
    assert "Next: fewshot run" in result.stderr


def test_every_preset_of_the_demo_exists_and_needs_no_download() -> None:
    for method, preset in demo.METHODS.items():
        backbone = config.preset(method, preset)["backbone"]
        assert backbone["name"] in ("conv4", "mini-resnet")
