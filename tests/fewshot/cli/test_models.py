"""Commands of model files. Oracle: exit codes, files, and what other commands say about them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fewshot.errors import UserError
from fewshot.model import exporting, model_card
from tests.fewshot.cli.command import fewshot
from tests.fewshot.model import hub_stand_in, own_photos


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with photos of unequal counts, new ones, and a model of the photos."""
    folder = tmp_path_factory.mktemp("models")
    own_photos.write(folder / "photos", {"red": 12, "green": 5, "blue": 1})
    own_photos.write(folder / "new", {"red": 4, "green": 4, "white": 4}, first=90)
    with pytest.MonkeyPatch.context() as patch:
        options = "--method probe --backbone conv4 --weights none --device cpu --quiet"
        assert fewshot(f"fit {folder}/photos --out {folder}/m.fewshot {options}", patch) == 0
    return folder


def test_fit_prints_the_card_and_show_repeats_it(
    place: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    out = tmp_path / "m.fewshot"
    options = f"--method probe --backbone conv4 --weights none --out {out} --quiet"
    assert fewshot(f"fit {place}/photos --set prior=training {options}", monkeypatch) == 0
    shown = capsys.readouterr()
    assert "red: 12 images" in shown.out
    assert shown.err.endswith(f"model: {out} (use: fewshot predict {out} IMAGES)\n")
    assert fewshot(f"show {out}", monkeypatch) == 0
    assert capsys.readouterr().out == shown.out
    assert fewshot(f"show {out} --json", monkeypatch) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["classes"] == ["blue", "green", "red"]
    assert fewshot(f"show {out} --markdown", monkeypatch) == 0
    page = capsys.readouterr().out
    assert page.startswith("---\nlibrary_name: fewshot\n")
    assert "fewshot predict m.fewshot photos" in page


def test_show_imports_no_torch(place: Path) -> None:
    code = (
        "import sys\nfrom fewshot.cli import main\n"
        f"sys.argv = ['fewshot', 'show', {str(place / 'm.fewshot')!r}]\n"
        "try:\n main.main()\nfinally:\n"
        " print(sorted({'torch', 'numpy', 'timm', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_eval_matches_classes_by_name(place: Path, monkeypatch, capsys) -> None:
    assert fewshot(f"eval {place}/m.fewshot {place}/new --quiet", monkeypatch) == 0
    text = capsys.readouterr().out
    assert "of 8 images (95% interval" in text
    assert "of 4 images of other classes" in text
    assert "not classes of the classifier: white" in text
    assert fewshot(f"eval {place}/m.fewshot {place}/new --json --quiet", monkeypatch) == 0
    assert json.loads(capsys.readouterr().out)["n_images"] == 8


def test_a_model_lives_on_the_hub(place: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(exporting, "export", _refuse)
    options = "--method probe --backbone conv4 --weights none --device cpu --quiet"
    with hub_stand_in.for_client(tmp_path, monkeypatch) as server:
        assert fewshot(f"fit {place}/photos --out hf:mia/m --public {options}", monkeypatch) == 0
        shown = capsys.readouterr()
        assert shown.out.startswith("hf:mia/m: 3 classes, from 18 labelled images")
        assert f"model: {server.endpoint}/mia/m (use: fewshot predict hf:mia/m IMAGES)" in shown.err
        assert set(server.repos["mia/m"].files) == {"model.fewshot", "README.md"}
        assert not server.repos["mia/m"].private
        for command in (f"show {place}/m.fewshot", "show hf:mia/m"):
            assert fewshot(command, monkeypatch) == 0
        both = capsys.readouterr().out.splitlines()
        assert both[1:4] == both[len(both) // 2 + 1 : len(both) // 2 + 4]
        assert fewshot(f"predict hf:mia/m {place}/new --quiet", monkeypatch) == 0
        assert len(capsys.readouterr().out.splitlines()) == 13
        assert fewshot(f"eval hf:mia/m {place}/new --quiet", monkeypatch) == 0
        assert fewshot(f"add hf:mia/m {place}/new --out hf:mia/m --quiet", monkeypatch) == 0
        assert "12 images added" in capsys.readouterr().err
        assert len(server.repos["mia/m"].commits) == 3
        assert fewshot(f"export {place}/m.fewshot --out hf:mia/n --quiet", monkeypatch) == 0
        assert server.repos["mia/n"].private


def _refuse(*_: object) -> None:
    raise UserError("it takes long, and another test does it.")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("export m.fewshot", "name what to write: --onnx model.onnx, or --out hf:user/name"),
        ("export m.fewshot --out m.onnx", "expected a repository hf:user/name"),
        ("export m.fewshot --out hf:a/b --check new", "--check compares an ONNX file"),
        ("export m.fewshot --onnx m.onnx --public", "--public is for repositories"),
        ("fit photos --public", "--public is for repositories"),
        ("fit photos --out hf:b", "expected hf:user/name"),
        ("predict hf:a/b/c photo.png", "expected hf:user/name"),
    ],
)
def test_what_is_no_place_on_the_hub_ends_in_a_sentence(
    command: str, words: str, tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo.png").write_bytes(b"")
    assert fewshot(f"{command} --quiet", monkeypatch) == 2
    assert words in capsys.readouterr().err
    assert len(list(tmp_path.iterdir())) == 1


def test_add_writes_a_new_file_beside_the_model(place: Path, monkeypatch, capsys) -> None:
    before = (place / "m.fewshot").read_bytes()
    assert fewshot(f"add {place}/m.fewshot {place}/new --quiet", monkeypatch) == 0
    shown = capsys.readouterr()
    assert f"model: {place}/m-2.fewshot (12 images added, new classes: white)" in shown.err
    counts = model_card.read(place / "m-2.fewshot").card.class_counts
    assert counts == {"blue": 1, "green": 9, "red": 16, "white": 4}
    assert (place / "m.fewshot").read_bytes() == before


def test_export_compares_and_ends_in_1_if_answers_differ(
    place: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    pytest.importorskip("onnxruntime")
    from fewshot.model import onnx_export

    command = f"export {place}/m.fewshot --onnx {tmp_path}/m.onnx --check {place}/new --quiet"
    assert fewshot(command, monkeypatch) == 0
    assert "compared on 12 images" in capsys.readouterr().out
    assert (tmp_path / "m.onnx").is_file()
    monkeypatch.setattr(onnx_export, "LARGEST_DIFFERENCE", -1.0)
    assert fewshot(command, monkeypatch) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("fit nowhere", "There is no data set 'nowhere'"),
        ("fit PLACE/photos --out PLACE/new/red/90.png", "is not a model file"),
        ("fit PLACE/photos --out PLACE", "is a folder: name the file"),
        ("fit PLACE/photos --method maml --out x.fewshot", "method"),
        ("fit PLACE/photos --reject 5 --out x.fewshot", "reject"),
        ("fit PLACE/photos --weights none --out x.fewshot", "--weights needs --backbone"),
        ("fit PLACE/photos/red --out x.fewshot", "12 images but no class folders"),
        ("show PLACE/photos/red/1.png", "1.png"),
        ("show nowhere.fewshot", "nowhere.fewshot"),
        ("eval PLACE/m.fewshot nowhere", "There is no data set 'nowhere'"),
        ("eval nowhere.fewshot PLACE/new", "nowhere.fewshot does not exist"),
        ("add PLACE/m.fewshot PLACE/photos", "has learned from all images"),
        ("export PLACE/m.fewshot --onnx PLACE", "is a folder: name the file"),
    ],
)
def test_wrong_requests_get_one_sentence_and_write_nothing(
    arguments: str, words: str, place: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    before = {path for path in place.rglob("*") if path.name != "m-2.fewshot"}
    quiet = "" if arguments.startswith("show") else " --quiet"
    assert fewshot(arguments.replace("PLACE", str(place)) + quiet, monkeypatch) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("fewshot: ")
    assert words in line
    assert {path for path in place.rglob("*") if path.name != "m-2.fewshot"} == before
    assert os.listdir(tmp_path) == []
