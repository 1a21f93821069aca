"""Oracle: the pixels of the contact sheet, and the sizes of files on disk."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.episodes.datasets.samples import save_classes
from tests.fewshot.cli.command import fewshot


def test_data_prints_counts_and_writes_a_contact_sheet(monkeypatch, tmp_path, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert fewshot("data digits", monkeypatch) == 0
    assert "10 classes" in capsys.readouterr().out
    sheet = np.asarray(Image.open(tmp_path / "digits-contact-sheet.png").convert("L"))
    assert sheet.shape[0] > 600
    assert len(np.unique(sheet)) > 50


def test_counts_come_first_and_a_sheet_that_cannot_be_written_is_no_failure(
    monkeypatch, tmp_path, capsys
) -> None:
    save_classes(tmp_path / "toys", {"ball": 4, "car": 4})
    (tmp_path / "toys-contact-sheet.png").mkdir()  # where the sheet would be
    monkeypatch.chdir(tmp_path)
    assert fewshot("data toys", monkeypatch) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("toys: 8 images of 16x16 pixels, 2 classes\n")
    assert "toys-contact-sheet.png could not be written" in printed.err
    assert "with --sheet" in printed.err
    assert fewshot("data toys --sheet toys-contact-sheet.png", monkeypatch) == 2
    assert capsys.readouterr().out.startswith("toys: 8 images")


def test_the_test_set_can_be_other_images_or_a_share(monkeypatch, tmp_path, capsys) -> None:
    save_classes(tmp_path / "toys", {"ball": 4, "car": 4})
    save_classes(tmp_path / "more", {"ball": 1, "car": 2})
    monkeypatch.chdir(tmp_path)
    for test, sizes in (("more", "8 training and 3 test"), ("0.5", "4 training and 4 test")):
        assert fewshot(f"data toys --test {test}", monkeypatch) == 0
        assert f"toys: {sizes} images" in capsys.readouterr().out


def test_the_cache_is_shown_and_cleared(monkeypatch, tmp_path, capsys) -> None:
    cache = tmp_path / "cache"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FEWSHOT_CACHE", str(cache))
    assert fewshot("data --cache", monkeypatch) == 0
    empty = "0.0 MB of images, 0.0 MB of features and 0.0 MB of meta-trained weights"
    assert f"{empty} in {cache}" in capsys.readouterr().out
    for part, count in (("train", 6), ("test", 3)):
        for name, grey in (("dark", 20), ("light", 220)):
            folder = tmp_path / "mine" / part / name
            folder.mkdir(parents=True)
            for index in range(count):
                Image.new("RGB", (32, 32), (grey + index,) * 3).save(folder / f"{index}.png")
    run = "run --method probe --backbone conv4 --shots 4 --seeds 1 --threads 1 --quiet"
    run += " --set precision=float32"
    for data in ("mine", "digits"):
        assert fewshot(f"{run} --data {data}", monkeypatch) == 0
    (cache / "features" / "junk.npy").write_bytes(bytes(3_000_000))
    capsys.readouterr()
    assert fewshot("data --cache", monkeypatch) == 0
    printed = capsys.readouterr().out.splitlines()
    this_month = datetime.now().strftime("%Y-%m-")
    expected = [
        ("mine train", "12 images of 32x32"),
        ("mine test", "6 images of 32x32"),
        ("mine, conv4 (float32 cpu, 1 thread)", "8 of 12 rows of 256"),
        ("mine, conv4 (float32 cpu, 1 thread)", "6 of 6 rows of 256"),
        ("digits, conv4 (float32 cpu, 1 thread)", "40 of 1,297 rows of 256"),
        ("digits, conv4 (float32 cpu, 1 thread)", "500 of 500 rows of 256"),
        ("junk.npy", "unfinished or damaged"),
    ]
    for name, content in expected:
        (line,) = (
            line
            for line in printed
            if line.strip().startswith(f"{name} ") and f" {content} " in line
        )
        assert "MB" in line
        assert this_month in line
    assert len(printed) == len(expected) + 5
    size = sum(
        path.stat().st_size
        for folder in ("images", "features")
        for path in (cache / folder).rglob("*")
    )
    assert fewshot("data --cache --clear", monkeypatch) == 0
    report = capsys.readouterr().out
    assert report.startswith("freed ")
    assert float(report.split()[1]) == pytest.approx(size / 1e6, abs=0.15)
    for folder in ("images", "features", "index"):
        assert list((cache / folder).rglob("*")) == []


def test_administration_of_the_cache_imports_no_torch(tmp_path: Path) -> None:
    code = """
import sys
from fewshot.cli import main
for arguments in (["data", "--cache"], ["data", "--cache", "--clear"]):
    sys.argv = ["fewshot", *arguments]
    try:
        main.main()
    except SystemExit as exit:
        assert not exit.code
print([name for name in ("torch", "pandas", "sklearn", "timm") if name in sys.modules])
"""
    environment = {**os.environ, "FEWSHOT_CACHE": str(tmp_path)}
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert process.returncode == 0, process.stderr
    assert process.stdout.endswith("[]\n")
