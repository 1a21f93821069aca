"""The folder of suggestions. Oracle: the files that the test writes, read back by other code."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fewshot
from fewshot.errors import UserError
from fewshot.model.suggest import output
from fewshot.model.suggest.suggestions import Suggestion, Suggestions
from tests.fewshot.model import own_photos

HOSTILE = ["-rf *.png", "a;b'$(x)\n.png", ".hidden.png", "é" * 120 + ".png", "con.png"]


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / output.TABLE).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def suggestions_of(payloads: list, names: list[str]) -> Suggestions:
    """Return suggestions of all these images, in their order."""
    rows = [Suggestion(i, name, "random", 0.0, 1, "any") for i, name in enumerate(names, 1)]
    files = tuple(payloads) if isinstance(payloads[0], Path) else None
    return Suggestions(
        tuple(rows),
        np.arange(len(rows)),
        files,
        len(rows),
        0,
        0,
        (),
        lambda positions: [payloads[i] for i in positions],
    )


def test_the_table_names_the_images_and_becomes_labels(tmp_path: Path) -> None:
    pool = own_photos.write(tmp_path / "pool", {"red": 6, "green": 6})
    result = fewshot.suggest(pool, 8)
    folder = tmp_path / "out" / "suggestions"
    output.write(result, folder)
    rows = rows_of(folder)
    assert [Path(row["image"]).relative_to(pool).as_posix() for row in rows] == result.images
    assert all(row["label"] == "" for row in rows)
    assert os.stat(folder).st_mode & 0o777 == os.stat(pool).st_mode & 0o777
    for row, link in zip(rows, sorted((folder / output.IMAGES).iterdir()), strict=True):
        assert link.name == f"{int(row['rank']):02}-{Path(row['image']).name}"
        assert link.resolve() == Path(row["image"]).resolve()
    for row in rows:
        row["label"] = Path(row["image"]).parent.name
    with (folder / output.TABLE).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, output.COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    estimator = fewshot.FewShotClassifier("probe").fit(folder / output.TABLE)
    assert estimator.classes_.tolist() == ["green", "red"]
    assert estimator.predict([pool / "red" / "0.png"]).tolist() == ["red"]


def test_names_that_are_no_names_are_changed_and_stay_apart(tmp_path: Path) -> None:
    (tmp_path / "pool").mkdir()
    paths = [tmp_path / "pool" / name for name in HOSTILE]
    for number, path in enumerate(paths):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(path)
    output.write(suggestions_of(paths, HOSTILE), tmp_path / "out")
    links = sorted((tmp_path / "out" / output.IMAGES).iterdir())
    assert len(links) == len(HOSTILE)
    for number, link in enumerate(links):
        assert link.name.startswith(f"{number + 1:02}-")
        assert "\n" not in link.name
        assert np.asarray(Image.open(link))[0, 0, 0] == number
    assert [row["rank"] for row in rows_of(tmp_path / "out")] == ["1", "2", "3", "4", "5"]


def test_images_without_files_are_written(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (2, 9, 9, 3), dtype=np.uint8)
    Image.fromarray(pixels[1]).save(tmp_path / "one.jpg", quality=95)
    encoded = (tmp_path / "one.jpg").read_bytes()
    output.write(suggestions_of([pixels[0], encoded], ["0", "train/1"]), tmp_path / "out")
    first, second = sorted((tmp_path / "out" / output.IMAGES).iterdir())
    assert (first.name, second.name) == ("01-0.png", "02-1.jpeg")
    assert np.array_equal(np.asarray(Image.open(first)), pixels[0])
    assert second.read_bytes() == encoded
    paths = [tmp_path / "out" / row["image"] for row in rows_of(tmp_path / "out")]
    assert paths == [first, second]


def test_copies_where_there_are_no_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = own_photos.write(tmp_path / "pool", {"red": 2})

    def refuse(self: Path, target: str) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    output.write(suggestions_of([pool / "red" / "0.png"], ["red/0.png"]), tmp_path / "out")
    (copy,) = (tmp_path / "out" / output.IMAGES).iterdir()
    assert copy.read_bytes() == (pool / "red" / "0.png").read_bytes()
    assert not copy.is_symlink()


def test_nothing_is_overwritten_and_nothing_left_half_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pool").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    (tmp_path / "file").touch()
    for name, words in (("full", "holds files"), ("file", "not a folder")):
        with pytest.raises(UserError, match=words):
            output.check(tmp_path / name, ["elsewhere"])
    with pytest.raises(UserError, match="lies in the pool"):
        output.check(tmp_path / "pool" / "out", [tmp_path / "pool"])
    output.check(tmp_path / "pool-2", [tmp_path / "pool"])
    assert output.free_folder(tmp_path / "new") == tmp_path / "new"
    (tmp_path / "full-2").mkdir()
    assert output.free_folder(tmp_path / "full") == tmp_path / "full-3"

    def fail(*args: object) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(output.sheet, "png", fail)
    before = sorted(tmp_path.iterdir())
    pixels = np.zeros((4, 4, 3), dtype=np.uint8)
    with pytest.raises(UserError, match=r"No space left on device"):
        output.write(suggestions_of([pixels], ["0"]), tmp_path / "out")
    assert sorted(tmp_path.iterdir()) == before
