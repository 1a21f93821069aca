"""Oracle: the records that the command wrote, and data sets drawn here.

tests/fewshot/runs/test_pretraining.py tests the command `pretrain`.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from tests.fewshot.cli.command import RUN, fewshot


def test_run_prints_a_table_or_only_the_record(monkeypatch, tmp_path, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert fewshot(f"{RUN} --method probe --backbone conv4", monkeypatch) == 0
    printed = capsys.readouterr()
    assert "| probe" in printed.out
    (path,) = Path("runs").glob("*/record.json")
    assert str(path) in printed.err
    assert fewshot(f"{RUN} --method probe --backbone conv4 --json", monkeypatch) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(path.read_text())
    assert fewshot(f"run --config {path.parent / 'config.yaml'} --seeds 1", monkeypatch) == 0
    assert len(list(Path("runs").iterdir())) == 1


def test_a_disordered_folder_of_images_runs(monkeypatch, tmp_path, capsys) -> None:
    """Classes of uneven size, PNG and JPEG, a corrupt file, a text file and an empty class."""
    colours = {"red": (220, 30, 30), "green": (30, 200, 60), "blue": (40, 40, 220)}
    random_numbers = np.random.default_rng(0)
    for number, (name, colour) in enumerate(colours.items()):
        for part, count in (("train", 6 + 3 * number), ("test", 4)):
            folder = tmp_path / "mine" / part / name
            folder.mkdir(parents=True)
            for index in range(count):
                noise = random_numbers.normal(0, 30, (40, 48, 3))
                pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
                suffix = "png" if index % 2 else "jpg"
                Image.fromarray(pixels).save(folder / f"{index}.{suffix}")
    (tmp_path / "mine/train/red/broken.png").write_bytes(b"\x89PNG not an image")
    (tmp_path / "mine/train/red/notes.txt").write_text("to do: more photographs")
    (tmp_path / "mine/train/empty").mkdir()
    monkeypatch.chdir(tmp_path)
    assert fewshot("data mine", monkeypatch) == 0
    printed = capsys.readouterr().out
    for word in ("broken.png", "notes.txt", "empty"):
        assert word in printed
    run = "run --data mine --method probe --backbone conv4 --seeds 2"
    assert fewshot(f"{run} --shots 6 --json", monkeypatch) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["scores"]["accuracy"]["mean"] > 0.8
    assert any("broken.png" in note for note in record["data_notes"])
    assert fewshot(f"{run} --shots 7", monkeypatch) == 2
    assert "'red' has only 6" in capsys.readouterr().err


def test_a_damaged_cache_is_one_line_on_stderr_even_if_quiet(monkeypatch, tmp_path, capsys) -> None:
    monkeypatch.setenv("FEWSHOT_CACHE", str(tmp_path / "cache"))
    scores = []
    for out in ("a", "b"):
        arguments = f"{RUN} --method probe --backbone conv4 --out {tmp_path / out} --quiet --json"
        assert fewshot(arguments, monkeypatch) == 0
        printed = capsys.readouterr()
        scores.append(json.loads(printed.out)["scores"])
        for path in (tmp_path / "cache" / "features").glob("*.safetensors"):
            path.write_bytes(path.read_bytes()[:1000])
    assert scores[0] == scores[1]
    lines = printed.err.splitlines()
    assert len(lines) == 2
    assert all("is damaged" in line for line in lines)
