"""Finding records on disk: hand-made files, the paths by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fewshot.errors import UserError
from fewshot.runs import records
from tests.fewshot.runs.handmade import assembled, trial


def save(path: Path, run_id: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    record = replace(assembled(trial(0, 0.5)), run_id=run_id)
    path.write_text(json.dumps(record.to_json()))
    return path


def test_records_are_found_in_files_run_folders_and_folders_of_them(tmp_path: Path):
    first, second = (
        save(tmp_path / "runs/one/record.json", "one"),
        save(tmp_path / "runs/two/record.json", "two"),
    )
    other = save(tmp_path / "published/row.json", "three")
    for name in ("runs/one/trial-0/trial.json", "runs/one/trial-0/indices.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(json.dumps(trial(0, 0.5).to_json()))

    def ids(*places: Path) -> list[str]:
        return [record["run_id"] for _, record in records.find(places)]

    assert ids(first) == ids(first.parent) == ["one"]
    assert ids(tmp_path / "runs") == ["one", "two"]
    assert ids(second, tmp_path / "runs", first.parent, first) == ["one", "two"]
    assert ids(tmp_path) == ["three", "one", "two"]  # sorted by path
    assert records.find([other])[0][0] == other


@pytest.mark.parametrize(
    ("place", "content", "words"),
    [
        ("gone", None, ["gone", "does not exist"]),
        ("empty/", None, ["empty", "holds no record"]),
        ("some/other.json", '{"a": 1}', ["other.json", "holds no record"]),
        ("some/list.json", "[1, 2]", ["list.json", "holds no record"]),
        ("some/broken.json", '{"run_id": ', ["broken.json", "cannot be read as JSON"]),
        ("some/binary.json", b"\xff\xfe\x00", ["binary.json", "cannot be read as JSON"]),
    ],
)
def test_a_place_without_a_record_is_named(
    tmp_path: Path, place: str, content: str | bytes | None, words: list[str]
):
    path = tmp_path / place
    if place.endswith("/"):
        path.mkdir()
    elif content is not None:
        path.parent.mkdir()
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as error:
        records.find([path])
    assert all(word in str(error.value) for word in words)


@pytest.mark.parametrize(
    "content",
    [
        b'{\n  // a comment\n  "compilerOptions": {}\n}',
        b"",
        b"\xff\xfe\x00",
        b"NaN",
        b"[" * 100_000,
        b'{"run_id": "of another program", "scores": [1], "seeds": 3}',
        b'{"run_id": ',
    ],
)
def test_a_file_of_the_users_own_is_passed_over(tmp_path: Path, content: bytes):
    save(tmp_path / "runs/one/record.json", "one")
    (tmp_path / "web").mkdir()
    (tmp_path / "web/settings.json").write_bytes(content)
    (tmp_path / "web/folder.json").mkdir()
    (tmp_path / "web/link.json").symlink_to("nowhere")
    assert [record["run_id"] for _, record in records.find([tmp_path])] == ["one"]
    with pytest.raises(UserError) as error:
        records.find([tmp_path / "web/settings.json"])
    assert "delete" not in str(error.value)


@pytest.mark.parametrize(
    "damage",
    [
        lambda record: record.pop("cost"),
        lambda record: record.update(scores=3),
        lambda record: record["scores"]["accuracy"].pop("values"),
        lambda record: record["cost"].update(tran_seconds=1.0),
    ],
)
def test_a_record_with_a_damaged_key_is_an_error_that_names_the_file(
    damage: Callable[[dict[str, Any]], object], tmp_path: Path
):
    path = save(tmp_path / "one/record.json", "one")
    content = json.loads(path.read_text())
    damage(content)
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"one/record\.json is damaged"):
        records.read(path)


def test_a_broken_record_in_a_folder_is_an_error(tmp_path: Path):
    save(tmp_path / "one/record.json", "one")
    (tmp_path / "two").mkdir()
    (tmp_path / "two/record.json").write_text('{"run_id": "tw')
    with pytest.raises(UserError, match=r"two/record\.json"):
        records.find([tmp_path])
