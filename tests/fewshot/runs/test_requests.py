"""Answers from the record, against the record itself and against changes of what decides it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from episodes import datasets
from fewshot.runs import execution, experiment, requests

VALUES = {
    "method": "probe",
    "shots": 1,
    "precision": "float32",
    "backbone": {"name": "conv4", "options": {"width": 8}},
}


def write_images(folder: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (2, 6, 8, 8, 3), dtype=np.uint8)
    for name, images in zip(("cat", "dog"), noise, strict=True):
        (folder / name).mkdir(parents=True)
        for number, pixels in enumerate(images):
            Image.fromarray(pixels).save(folder / name / f"{number}.png")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with images in `data` and one finished run in `runs`."""
    folder = tmp_path_factory.mktemp("requests")
    write_images(folder / "data")
    experiment.run({**VALUES, "data": str(folder / "data")}, [0, 1], out=folder / "runs")
    return folder


def answer(folder: Path, seeds: tuple[int, ...] = (0, 1), **more):
    values = {**VALUES, "data": str(folder / "data"), **more}
    return requests.answer(values, seeds, folder / "runs", None)


def test_a_finished_request_is_answered_and_another_is_not(finished: Path, monkeypatch) -> None:
    record = answer(finished)
    assert record is not None
    assert record.seeds == [0, 1]
    assert answer(finished, (1,)) == record
    assert answer(finished, (0, 2)) is None
    assert answer(finished, shots=2) is None
    assert requests.answer({**VALUES, "data": "digits"}, (0,), finished / "runs", None) is None
    monkeypatch.setattr(execution, "execute", None)  # an answer executes nothing
    values = {**VALUES, "data": str(finished / "data")}
    assert experiment.run(values, [0, 1], out=finished / "runs") == record


def test_the_state_of_data_includes_what_links_and_tables_lead_to(tmp_path: Path) -> None:
    write_images(tmp_path / "store")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "cat").symlink_to(tmp_path / "store" / "cat")
    (tmp_path / "data" / "circle").symlink_to(tmp_path / "data")
    (tmp_path / "store" / "labels.csv").write_text("image,label\ncat/0.png,cat\n")
    for data in (tmp_path / "data", tmp_path / "store" / "labels.csv"):
        before = requests._state(tmp_path, [str(data)], [])
        assert requests._state(tmp_path, [str(data)], []) == before
        os.utime(tmp_path / "store" / "cat" / "0.png")
        assert requests._state(tmp_path, [str(data)], []) != before


def test_another_image_of_the_same_size_and_time_changes_the_state(tmp_path: Path) -> None:
    image = tmp_path / "image.bmp"
    image.write_bytes(b"first")
    stat = image.stat()
    before = requests._state(tmp_path, [str(image)], [])
    image.write_bytes(b"other")  # as from an archive, or by a clock that was set back
    os.utime(image, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert requests._state(tmp_path, [str(image)], []) != before


def test_unfinished_records_are_no_answer(finished: Path) -> None:
    (run,) = (finished / "runs").iterdir()
    (run / "trial-1" / "trial.json").rename(run / "aside")
    assert answer(finished) is None
    (run / "aside").rename(run / "trial-1" / "trial.json")
    (run / "record.json").rename(run / "aside")
    assert answer(finished) is None
    (run / "aside").rename(run / "record.json")
    assert answer(finished) is not None


def test_a_copied_folder_of_a_trial_changes_no_answer(finished: Path) -> None:
    (run,) = (finished / "runs").iterdir()
    copy = shutil.copytree(run / "trial-0", run / "trial-0-old")
    try:
        record = answer(finished)
    finally:
        shutil.rmtree(copy)
    assert record is not None
    assert record.seeds == [0, 1]


def test_a_damaged_note_is_no_answer(finished: Path) -> None:
    (note,) = (finished / "runs").glob(f"*/{requests.FOLDER}/*.json")
    content = note.read_text()
    for damaged in ("", "[]", "{}", content[:-20]):
        note.write_text(damaged)
        assert answer(finished) is None
    note.write_text(content)
    assert answer(finished) is not None


def test_an_answer_needs_no_torch(finished: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom fewshot.runs import experiment\n"
        f"values = { ({**VALUES, 'data': str(finished / 'data')})!r}\n"
        f"print(experiment.run(values, [0, 1], out=Path({str(finished / 'runs')!r})).seeds)\n"
        "print([name for name in ('torch', 'sklearn', 'scipy', 'PIL') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "[0, 1]\n[]\n", done.stderr


def test_images_outside_the_folder_of_a_table_decide(tmp_path: Path, monkeypatch) -> None:
    write_images(tmp_path / "photos")
    (tmp_path / "lists").mkdir()
    table = tmp_path / "lists" / "labels.csv"
    rows = [f"../photos/{name}/{i}.png,{name}" for name in ("cat", "dog") for i in range(6)]
    table.write_text("\n".join(["image,label", *rows]))
    folders = [str(tmp_path / "photos" / name) for name in ("cat", "dog")]
    assert datasets.folders_outside(str(table)) == folders
    assert datasets.folders_outside("digits") == []
    values = {**VALUES, "data": str(table)}
    experiment.run(values, [0], out=tmp_path / "runs")
    assert requests.answer(values, [0], tmp_path / "runs") is not None
    os.utime(tmp_path / "photos" / "cat" / "0.png")
    assert requests.answer(values, [0], tmp_path / "runs") is None


@pytest.mark.parametrize(
    ("data", "file"),
    [
        ("torchvision:EMNIST:letters", "torchvision/EMNIST-letters/raw/x"),
        ("torchvision:EMNIST", "torchvision/EMNIST-balanced/raw/x"),
        ("hf:user/name", "hf/user--name/train/x.arrow"),
        ("mine/train-images-idx3-ubyte", "mine/train-labels-idx1-ubyte"),
        ("photos.zip", "groups.yaml"),
        ("mine/all.feather", "mine/0.png"),
    ],
)
def test_the_state_includes_what_else_is_read(
    tmp_path: Path, monkeypatch, data: str, file: str
) -> None:
    monkeypatch.setenv("FEWSHOT_DATA", str(tmp_path))
    for name in (data, file):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    before = requests._state(tmp_path, [data], [])
    (tmp_path / file).write_bytes(b"xy")
    assert requests._state(tmp_path, [data], []) != before


def test_a_new_plugin_for_images_is_no_old_request(finished: Path, monkeypatch) -> None:
    before = requests.version
    assert answer(finished) is not None
    newer = {"pillow-heif": "9.9"}
    monkeypatch.setattr(requests, "version", lambda name: newer.get(name) or before(name))
    assert answer(finished) is None
