"""The first part of a model file: versions, and what is refused.

Oracle: migrations and headers that are written here by hand.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from fewshot.errors import UserError
from fewshot.model import model_header
from fewshot.model.model_header import Damaged, Newer
from tests.fewshot.model import hostile_files

MIGRATIONS: model_header.Migrations = {
    1: lambda about: {**about, "heat": about["temperature"]},
    2: lambda about: {key: value for key, value in about.items() if key != "temperature"},
}


@pytest.mark.parametrize(
    ("about", "migrated"),
    [
        ({"format_version": 1, "temperature": 2}, {"format_version": 3, "heat": 2}),
        ({"format_version": 2, "temperature": 2, "heat": 5}, {"format_version": 3, "heat": 5}),
        ({"format_version": 3, "heat": 5}, {"format_version": 3, "heat": 5}),
    ],
)
def test_an_older_file_is_read_as_a_new_one(about: dict, migrated: dict):
    before = dict(about)
    assert model_header.migrated(about, MIGRATIONS, version=3) == migrated
    assert about == before


def test_a_newer_file_names_the_remedy():
    with pytest.raises(Newer, match=r"version 4, .* up to 3: upgrade fewshot"):
        model_header.migrated({"format_version": 4}, MIGRATIONS, version=3)


@pytest.mark.parametrize("version", [None, 0, -1, "1", True, 1.0])
def test_a_version_is_a_number(version: object):
    with pytest.raises(Damaged):
        model_header.migrated({"format_version": version}, MIGRATIONS, version=3)


def test_there_is_a_step_from_every_older_version():
    assert set(model_header.MIGRATIONS) == set(range(1, model_header.FORMAT_VERSION))


def test_written_is_what_the_description_says():
    tensor = model_header.StoredTensor("U8", (2,), 0, 2)
    header = model_header.written({"a": 1}, {"x": tensor}, b"ab")
    assert len(header) % 8 == 0
    parts = hostile_files.parts_of(header + b"ab")
    assert parts.table == {"x": {"dtype": "U8", "shape": [2], "data_offsets": [0, 2]}}
    again = hostile_files.parts_of(hostile_files.whole(parts))
    assert again == parts
    assert json.loads(json.dumps(parts.about))["a"] == 1


def test_a_large_file_is_refused_before_it_is_read(tmp_path: Path):
    path = tmp_path / "large.fewshot"
    with path.open("wb") as file:
        file.truncate(model_header.LARGEST_FILE + 1)  # sparse: it takes no room
    with pytest.raises(UserError, match="more than 4 GB"):
        model_header.read(path)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.fewshot")
    with pytest.raises(UserError, match="a pipe or a device"):
        model_header.read(tmp_path / "model.fewshot")
