"""Oracle: the state of files that the test writes, and of a stand-in for the hub."""

from __future__ import annotations

from pathlib import Path

import pytest

from fewshot.errors import UserError
from fewshot.model import exporting, file_format, hub, model_card
from fewshot.model.model_output import check_replaceable, free_name, save
from tests.fewshot.model import hub_stand_in
from tests.fewshot.model.hub_stand_in import Repo
from tests.fewshot.model.stored_classifier import CLASSES, classifier


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


def test_a_classifier_is_written_to_a_file_or_to_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise UserError("it takes long, and another test does it.")

    monkeypatch.setattr(exporting, "export", refuse)
    saved = save(classifier(), tmp_path / "m.fewshot")
    assert saved.place == str(tmp_path / "m.fewshot")
    assert saved.model_file == model_card.read(tmp_path / "m.fewshot")
    with hub_stand_in.for_client(tmp_path, monkeypatch) as server:
        check_replaceable(Path("hf:mia/pets"))
        saved = save(classifier(), Path("hf:mia/pets"))
        assert saved.place == f"{server.endpoint}/mia/pets"
        assert saved.model_file.path == Path("hf:mia/pets")
        assert file_format.load(hub.download("hf:mia/pets"), "cpu").classes == CLASSES
        check_replaceable(Path("hf:mia/pets"))  # by the next version
        server.repos["mia/other"] = Repo(commits=[{"weights.bin": b""}])
        with pytest.raises(UserError, match=r"holds no model\.fewshot but other files"):
            check_replaceable(Path("hf:mia/other"))


def test_a_classifier_that_cannot_be_uploaded_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with hub_stand_in.for_client(tmp_path, monkeypatch) as server:
        server.status = 500
        with pytest.raises(UserError, match="later, use `fewshot export ") as error:
            save(classifier(), Path("hf:mia/pets"))
    [path] = tmp_path.glob("fewshot-*/model.fewshot")
    assert f"The model is in {path}" in str(error.value)
    assert file_format.load(path, "cpu").classes == CLASSES
