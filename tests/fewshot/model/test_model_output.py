"""Oracle: the state of files that the test writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from fewshot.errors import UserError
from fewshot.model.model_output import check_replaceable, free_name


def test_a_new_file_or_another_model_may_be_written_and_nothing_else(
    model: Path, tmp_path: Path
) -> None:
    check_replaceable(tmp_path / "new.fewshot")
    check_replaceable(model)
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(b"\xff\xd8\xff")
    for path, words in (
        (photo, r"photo\.jpg: this file exists and is not a model file"),
        (tmp_path, "is a folder: name the file to write"),
        (tmp_path / "no" / "m.fewshot", "the folder .*no does not exist"),
    ):
        with pytest.raises(UserError, match=words):
            check_replaceable(path)


def test_the_first_number_that_is_free_is_used(tmp_path: Path) -> None:
    (tmp_path / "m-2.fewshot").write_text("")
    assert free_name(tmp_path / "m.fewshot") == tmp_path / "m-3.fewshot"
