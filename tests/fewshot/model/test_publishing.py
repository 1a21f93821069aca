"""A model in a repository of the hub.

Oracle: the model file itself, ONNX Runtime, and the hub's own client with a stand-in for the hub.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fewshot.errors import UserError
from fewshot.model import exporting, hub, model_card, predictor, publishing
from tests.fewshot.model import hub_stand_in
from tests.fewshot.model.hub_stand_in import Hub


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with hub_stand_in.for_client(tmp_path, monkeypatch) as server:
        yield server


def test_the_repository_holds_the_model_and_its_card(
    model: Path, stand_in: Hub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def refuse(*_: object) -> None:
        raise UserError("export to ONNX needs onnx: pip install it.")

    monkeypatch.setattr(exporting, "export", refuse)
    address = publishing.publish(model, "hf:mia/colours")
    assert address == f"{stand_in.endpoint}/mia/colours"
    repo = stand_in.repos["mia/colours"]
    assert repo.private
    assert set(repo.files) == {"model.fewshot", "README.md"}
    assert repo.files["model.fewshot"] == model.read_bytes()
    card = repo.files["README.md"].decode()
    assert stand_in.cards == [card]  # the hub checks the front matter
    assert "fewshot predict hf:mia/colours photos" in card
    assert "model.onnx" not in card
    assert "gets no model.onnx: export to ONNX needs onnx" in caplog.text
    assert predictor.load(Path("hf:mia/colours"), device="cpu").classes == ("blue", "green", "red")
    assert model_card.read(Path("hf:mia/colours")).path == Path("hf:mia/colours")


@pytest.mark.slow
def test_the_onnx_file_is_there_if_it_can_be_made(model: Path, stand_in: Hub):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    publishing.publish(model, "hf:mia/colours", public=True)
    repo = stand_in.repos["mia/colours"]
    assert not repo.private
    session = onnxruntime.InferenceSession(repo.files[hub.ONNX])
    assert "blue" in session.get_modelmeta().custom_metadata_map["classes"]
    assert "`model.onnx` is the same classifier" in repo.files["README.md"].decode()


def test_nothing_is_written_where_the_model_cannot_be_read(stand_in: Hub, tmp_path: Path):
    (tmp_path / "m.fewshot").write_bytes(b"no model")
    with pytest.raises(UserError, match="not a model file"):
        publishing.publish(tmp_path / "m.fewshot", "hf:mia/colours")
    assert stand_in.repos == {}
