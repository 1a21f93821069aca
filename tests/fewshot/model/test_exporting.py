"""Oracle: counts and names written by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from fewshot.model import exporting
from fewshot.model.onnx_export import Differences


def test_without_images_the_file_is_written_and_nothing_is_compared(
    model: Path, tmp_path: Path
) -> None:
    pytest.importorskip("onnxscript")
    assert exporting.export(model, tmp_path / "m.onnx", []) is None
    assert (tmp_path / "m.onnx").stat().st_size > 0


def test_the_text_names_images_with_another_answer() -> None:
    lines = exporting.text(Differences(12, 2e-7, 1e-6, ("a.png",), ("b.png (empty)",))).splitlines()
    assert lines[0].startswith("compared on 12 images: probabilities differ by at most 2.0e-07")
    assert lines[1:] == ["another answer: a.png", "skipped: b.png (empty)"]
