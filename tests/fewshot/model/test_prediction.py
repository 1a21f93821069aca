"""Predictions for image files; stopping, continuing, and bad input.

Oracle: the predictions that the runs themselves saved for their test images.
"""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from episodes import datasets
from episodes.errors import UserError
from episodes.types import ImageSet
from fewshot import progress
from fewshot.cli import main
from fewshot.model import prediction
from fewshot.model.prediction_work import Asked
from fewshot.runs import experiment

QUICK = {
    "data": "digits",
    "shots": 4,
    "precision": "float32",
    "backbone": {"name": "conv4", "options": {"width": 8}, "weights": "none"},
    "train": {"steps": 12, "batch_size": 16},
}


def run(out: Path, method: str, seeds: tuple[int, ...] = (0,), **more: Any) -> Path:
    """The folder of a finished run."""
    values = {
        key: value
        for key, value in {**QUICK, **more}.items()
        if method != "probe" or key != "train"
    }
    return out / experiment.run({**values, "method": method}, seeds, out=out).run_id


def write(images: ImageSet, folder: Path, n: int | None = None, first: int = 0) -> Path:
    """Image i as <first + i>.png."""
    folder.mkdir()
    for i in range(n or len(images)):
        pixels = images.images[i % len(images)].permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(folder / f"{first + i}.png", compress_level=1)
    return folder


def predict(place: Path, images: Path, out: Path, *, top: int = 1, **more: Any) -> Any:
    """Images, and the files that were left out as text."""
    written = prediction.predict(place, [images], out, Asked(top), **more)
    return written.images, [str(file) for file in written.left_out]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def same_as_saved(draw: Path, path: Path, names: list[str], classes: tuple[str, ...]) -> None:
    """Compare a CSV of all classes, best first, with the predictions that the run saved."""
    saved = np.load(draw / "predictions.npz")
    logits = torch.from_numpy(saved["test_logits"] / saved["temperature"])
    by_file = {row["file"]: row for row in rows(path)}
    assert sorted(by_file) == sorted(names)
    for name, own in zip(names, logits, strict=True):
        row = by_file[name]
        assert row["label"] in {
            classes[i] for i in (own == own.max()).nonzero().flatten().tolist()
        }, name
        ends = ["", *(f"_{k}" for k in range(2, len(classes) + 1))]
        probabilities = {row[f"label{end}"]: float(row[f"probability{end}"]) for end in ends}
        expected = dict(zip(classes, own.double().softmax(0).tolist(), strict=True))
        assert probabilities == pytest.approx(expected, abs=4e-3), name
        in_order = list(probabilities.values())
        assert in_order == sorted(in_order, reverse=True)


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(datasets.load("digits").test, tmp_path_factory.mktemp("digits") / "png")


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("scratch"), "scratch", (1, 3))


@pytest.mark.parametrize("method", ["probe", "protonet", "siamese", "maml", "finetune"])
def test_files_are_classified_as_the_run_classified_its_test_images(
    method: str, digits: Path, tmp_path: Path
) -> None:
    folder = run(tmp_path / "runs", method)
    assert predict(folder, digits, tmp_path / "out.csv", top=10) == (500, [])
    same_as_saved(
        folder / "trial-0",
        tmp_path / "out.csv",
        [f"{i}.png" for i in range(500)],
        tuple("0123456789"),
    )
    assert {path.name for path in tmp_path.iterdir()} == {"runs", "out.csv"}


@pytest.mark.parametrize("seed", [None, 1, 3])
def test_each_draw_has_its_own_network(
    seed: int | None, scratch: Path, digits: Path, tmp_path: Path
) -> None:
    predict(scratch, digits, tmp_path / "out.csv", top=10, seed=seed)
    names = [f"{i}.png" for i in range(500)]
    same_as_saved(scratch / f"trial-{seed or 1}", tmp_path / "out.csv", names, tuple("0123456789"))
    if seed == 3:
        with pytest.raises(AssertionError):
            same_as_saved(scratch / "trial-1", tmp_path / "out.csv", names, tuple("0123456789"))


def odd_images(folder: Path) -> Path:
    """Write four classes, each a colour with noise, in all kinds of image files and sizes."""
    luck = np.random.default_rng(0)
    for number, name in enumerate(["ant", "bee", "car", "van"]):
        for part, count in (("train", 6), ("test", 8)):
            (folder / part / name).mkdir(parents=True)
            for i in range(count):
                height, width = (int(side) for side in luck.integers(20, 150, 2))
                pixels = luck.integers(0, 120, (height, width, 3)).astype(np.uint8)
                pixels[..., number % 3] += 40 + 30 * number
                image = Image.fromarray(pixels)
                kind = ("png", "L", "P", "RGBA", "I;16", "jpg", "turned", "LA")[i]
                place = folder / part / name / f"{name}-{i}"
                if kind in ("jpg", "turned"):
                    exif = Image.Exif()
                    exif[0x0112] = 6 if kind == "turned" else 1
                    image.save(f"{place}.jpg", exif=exif)
                elif kind == "I;16":
                    Image.fromarray(pixels[..., 0].astype(np.uint16) * 300).save(f"{place}.png")
                elif kind in ("RGBA", "LA"):
                    image.putalpha(
                        Image.fromarray(luck.integers(0, 255, (height, width)).astype(np.uint8))
                    )
                    image.convert(kind).save(f"{place}.png")
                else:
                    (image if kind == "png" else image.convert(kind)).save(f"{place}.png")
    (folder / "groups.yaml").write_text("animal: [ant, bee]\nvehicle: [car, van]\n")
    return folder


@pytest.mark.parametrize("method", ["probe", "experts"])
def test_images_of_every_kind_and_size_are_prepared_as_the_data_sets_own(
    method: str, tmp_path: Path
) -> None:
    data = odd_images(tmp_path / "odd")
    folder = run(tmp_path / "runs", method, data=str(data))
    test = sorted((data / "test").rglob("*.*"))  # the loader's order
    (tmp_path / "flat").mkdir()
    for path in test:
        shutil.copy(path, tmp_path / "flat" / path.name)
    (tmp_path / "flat" / "inside").mkdir()
    (tmp_path / "flat" / ".hidden").write_text("")
    assert predict(folder, tmp_path / "flat", tmp_path / "out.csv", top=4) == (32, [])
    same_as_saved(
        folder / "trial-0",
        tmp_path / "out.csv",
        [path.name for path in test],
        ("ant", "bee", "car", "van"),
    )


def test_a_submission_is_sorted_by_id_and_names_classes(
    scratch: Path, digits: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "png"
    folder.mkdir()
    for i in (0, 7, 9, 10, 100, 11):
        shutil.copy(digits / f"{i}.png", folder / f"{i}.png")
    shutil.copy(digits / "20.png", folder / "0020.png")
    predict(scratch, folder, tmp_path / "sub.csv", kaggle=True)
    logits = np.load(scratch / "trial-1" / "predictions.npz")["test_logits"]
    lines = (tmp_path / "sub.csv").read_text().splitlines()
    assert lines == ["id,label", *(f"{i},{logits[i].argmax()}" for i in (0, 7, 9, 10, 11, 20, 100))]
    shutil.copy(digits / "20.png", folder / "20.jpg")
    with pytest.raises(UserError, match=r"0020\.png and 20\.jpg have the same id"):
        predict(scratch, folder, tmp_path / "other.csv", kaggle=True)
    (folder / "20.jpg").rename(folder / "cat.png")
    with pytest.raises(UserError, match=r"png/cat\.png: --kaggle needs files named by integers"):
        predict(scratch, folder, tmp_path / "other.csv", kaggle=True)
    assert not (tmp_path / "other.csv").exists()


def test_names_and_classes_of_any_kind_are_quoted(tmp_path: Path) -> None:
    data = odd_images(tmp_path / "odd")
    for part in ("train", "test"):
        (data / part / "ant").rename(data / part / 'an "ant", red')
    (data / "groups.yaml").unlink()
    folder = run(tmp_path / "runs", "probe", data=str(data))
    (tmp_path / "flat").mkdir()
    names = ["a,b.png", 'say "c".png', "übel.png", "no suffix", os.fsdecode(b"\xff.png")]
    for name in names:
        shutil.copy(data / "test" / "bee" / "bee-0.png", tmp_path / "flat" / name)
    names[-1] = "\ufffd.png"
    predict(folder, tmp_path / "flat", tmp_path / "out.csv", top=4)
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        result = list(csv.DictReader(file))
    assert [row["file"] for row in result] == sorted(names)
    for row in result:
        assert {row["label"], *(row[f"label_{k}"] for k in (2, 3, 4))} == {
            'an "ant", red',
            "bee",
            "car",
            "van",
        }


# broken files


def test_broken_files_are_named_when_the_others_are_done_or_left_out(
    scratch: Path, digits: Path, tmp_path: Path
) -> None:
    folder = write(datasets.load("digits").test, tmp_path / "png", 40)
    whole = (folder / "3.png").read_bytes()
    (folder / "3.png").write_bytes(whole[:90])
    (folder / "5.png").write_bytes(b"")
    status_lines: list[str] = []
    for kaggle in (True, False):
        out = tmp_path / f"{kaggle}.csv"
        with pytest.raises(
            UserError,
            match=r"3\.png \(truncated\), 5\.png \(empty\); all other",
        ):
            predict(scratch, folder, out, kaggle=kaggle)
        assert not out.exists()
        with progress.shown_by(status_lines.append):
            result = predict(scratch, folder, out, kaggle=kaggle, skip_broken=True)
        assert result == (38, ["3.png (truncated)", "5.png (empty)"])
        table = out.with_name(f"{kaggle}-left-out.csv")
        assert rows(table) == [
            {"file": "3.png", "reason": "truncated"},
            {"file": "5.png", "reason": "empty"},
        ]
        assert len(rows(out)) == 38
    assert set(status_lines) == {"loading the classifier"}  # nothing was computed again
    for path in folder.iterdir():
        path.write_bytes(b"")
    with pytest.raises(UserError, match="no file could be read as an image"):
        predict(scratch, folder, tmp_path / "out.csv", skip_broken=True)


def test_photos_of_formats_that_cannot_be_read_are_errors_before_work_starts(
    scratch: Path, digits: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "png"
    folder.mkdir()
    for name in ("sample.csv", "1.jxl"):
        (folder / name).write_text("")
    with pytest.raises(UserError, match=r"holds no images \(1\.jxl \(empty\), sample\.csv"):
        predict(scratch, folder, tmp_path / "out.csv", skip_broken=True)
    shutil.copy(digits / "1.png", folder / "1.png")
    with pytest.raises(UserError, match=r"^1\.jxl \(empty\); convert or remove them"):
        predict(scratch, folder, tmp_path / "out.csv", kaggle=True)
    result = predict(scratch, folder, tmp_path / "out.csv", kaggle=True, skip_broken=True)
    assert (result[0], len(result[1])) == (1, 2)


def test_the_csv_may_lie_among_the_images_in_folders_of_folders(
    scratch: Path, digits: Path, tmp_path: Path
) -> None:
    for name in ("7.png", "b/7.png", "a/deep/3.png"):
        (tmp_path / "png" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(digits / Path(name).name, tmp_path / "png" / name)
    (tmp_path / "png" / "README").write_text("notes")
    out = tmp_path / "png" / "out.csv"
    for _ in range(2):
        assert predict(scratch, tmp_path / "png", out) == (3, ["README (not an image)"])
    first, second, third = rows(out)
    assert [row["file"] for row in (first, second, third)] == ["7.png", "a/deep/3.png", "b/7.png"]
    assert first["probability"] == third["probability"]
    assert predict(scratch, digits / "3.png", tmp_path / "one.csv") == (1, [])
    assert rows(tmp_path / "one.csv") == [{**second, "file": "3.png"}]


# stopping and continuing

N_MANY = 3000  # of 512 at once


@pytest.fixture(scope="session")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(
        datasets.load("digits").test, tmp_path_factory.mktemp("many") / "png", N_MANY, first=1
    )


@pytest.fixture(scope="session")
def undisturbed(many: Path, scratch: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    out = tmp_path_factory.mktemp("undisturbed") / "out.csv"
    predict(scratch, many, out, top=2)
    return out.read_bytes()


def start(scratch: Path, images: Path, out: Path, slow: float) -> subprocess.Popen[str]:
    """The command in a process of its own, in which each part takes so many seconds longer."""
    code = (
        "import signal, sys, time\n"
        "from fewshot.cli import main\n"
        "from fewshot.model import partial_file as parts\n"
        "keep = parts.Parts.__setitem__\n"
        # a background job of a shell is started with SIGINT ignored, and so are its children
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"def slowly(self, key, content):\n    keep(self, key, content)\n    time.sleep({slow})\n"
        "parts.Parts.__setitem__ = slowly\n"
        f"sys.argv = ['fewshot', 'predict', {str(scratch)!r}, {str(images)!r}]\n"
        f"sys.argv += ['--out', {str(out)!r}, '--top', '2']\n"
        "main.main()"
    )
    return subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)


def lines(out: Path) -> int:
    partial = Path(f"{out}.partial")
    return partial.read_bytes().count(b"\n") if partial.exists() else 0


def wait_for_lines(process: subprocess.Popen[str], out: Path, n: int) -> None:
    while lines(out) < n:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("stop", "code"),
    [
        pytest.param(signal.SIGKILL, -9, marks=pytest.mark.slow),
        (signal.SIGINT, 130),
    ],
)
def test_stopped_it_continues_with_what_is_missing(
    stop, code, scratch, many, undisturbed, tmp_path
) -> None:
    out = tmp_path / "out.csv"
    process = start(scratch, many, out, slow=0.3)
    wait_for_lines(process, out, 2)
    process.send_signal(stop)
    error = process.communicate(timeout=60)[1]
    assert process.returncode == code
    assert "Traceback" not in error
    assert not out.exists()
    done, heard = lines(out), []
    assert 2 <= done < 6
    with progress.shown_by(heard.append):
        predict(scratch, many, out, top=2)
    assert [text.split()[0] for text in heard[1:]] == [
        f"{min(N_MANY, n * 512):,}" for n in range(done + 1, 7)
    ]
    assert out.read_bytes() == undisturbed
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]


@pytest.mark.slow
def test_killed_five_times_at_random_the_output_is_the_same(
    scratch, many, undisturbed, tmp_path
) -> None:
    out, luck, saved = tmp_path / "out.csv", random.Random(0), []
    for _ in range(5):
        process = start(scratch, many, out, slow=0.3)
        wait_for_lines(process, out, 1)
        time.sleep(luck.uniform(0, 0.35))
        process.kill()
        process.communicate()
        saved.append(lines(out))
    assert saved == sorted(saved)
    process = start(scratch, many, out, slow=0)
    process.communicate()
    assert process.returncode == 0
    assert out.read_bytes() == undisturbed


def test_only_the_part_of_a_changed_file_and_no_other_requests_are_taken(
    scratch: Path, many: Path, undisturbed: bytes, tmp_path: Path
) -> None:
    folder, out = tmp_path / "png", tmp_path / "out.csv"
    shutil.copytree(many, folder, copy_function=os.link)
    order = sorted(path.name for path in folder.iterdir())
    broken = folder / order[600]  # of the second part
    whole = broken.read_bytes()
    broken.unlink()
    broken.write_bytes(b"")

    def again(**more: Any) -> list[str]:
        heard: list[str] = []
        with progress.shown_by(heard.append):
            predict(scratch, folder, out, **{"top": 2, **more})
        return heard[1:]

    with pytest.raises(UserError, match=order[600]):
        again()
    broken.write_bytes(whole)
    shutil.copy(f"{out}.partial", tmp_path / "kept")
    assert [text.split()[0] for text in again()] == ["3,000"]
    assert out.read_bytes() == undisturbed
    for other in ({"seed": 3}, {"top": 3}, {"top": 1, "kaggle": True}):
        shutil.copy(tmp_path / "kept", f"{out}.partial")
        assert len(again(**other)) == 6
        assert out.read_bytes() != undisturbed


def test_a_draw_that_was_computed_again_is_another(digits: Path, tmp_path: Path) -> None:
    folder, out = run(tmp_path / "runs", "probe"), tmp_path / "out.csv"
    (tmp_path / "png").mkdir()
    shutil.copy(digits / "1.png", tmp_path / "png" / "1.png")
    (tmp_path / "png" / "2.png").write_bytes(b"")

    def again(**more: Any) -> list[str]:
        heard: list[str] = []
        try:
            with progress.shown_by(heard.append):
                predict(folder, tmp_path / "png", out, **more)
        except UserError as error:
            assert "repair or remove" in str(error)  # noqa: PT017 - not in every call
        return [text[:6] for text in heard[1:]]

    assert again() == ["2 of 2"]
    assert again() == ["2 of 2"]  # what could not be read may be readable now
    shutil.copy(f"{out}.partial", tmp_path / "kept")
    assert again(skip_broken=True) == []
    shutil.copy(tmp_path / "kept", f"{out}.partial")
    drawn = folder / "trial-0" / "trial.json"
    drawn.write_text(json.dumps(json.loads(drawn.read_text()) | {"labels": 41}))
    assert again(skip_broken=True) == ["2 of 2"]


# what cannot be


def test_what_is_no_run_or_no_longer_the_same_is_refused(digits: Path, tmp_path: Path) -> None:
    data = odd_images(tmp_path / "odd")
    folder, out = run(tmp_path / "runs", "finetune", data=str(data)), tmp_path / "out.csv"

    def refused(words: str, at: Path = folder, **more: Any) -> None:
        with pytest.raises(UserError, match=words):
            predict(at, digits, out, **more)
        assert not list(tmp_path.glob("*out.csv*"))

    refused("runs is not the folder of a finished run", at=folder.parent)
    refused("has no trial 7: it has 0", seed=7)
    refused("--top 9: the classifier has 4 classes", top=9)
    weights = folder / "trial-0" / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:1000])
    refused(r"model\.safetensors cannot be read")
    weights.unlink()
    refused(r"model\.safetensors cannot be read")
    weights.write_bytes(whole)
    (folder / "trial-0" / "support.safetensors").unlink()  # as runs of older versions
    (folder / "trial-0" / "indices.json").rename(tmp_path / "aside")
    refused(r"trial-0/indices\.json is missing")
    (tmp_path / "aside").rename(folder / "trial-0" / "indices.json")
    shutil.copy(data / "train" / "van" / "van-0.png", data / "train" / "van" / "van-9.png")
    refused("was made from other data or weights")
    record = json.loads((folder / "record.json").read_text())
    (folder / "record.json").write_text(json.dumps(record | {"method": "voting"}))
    refused("is a vote, which has no network")


@pytest.mark.parametrize(
    ("arguments", "words_of_error"),
    [
        ("RUN PNG --out a.txt", "expected one of .csv, .json, .jsonl"),
        ("RUN PNG --sets 0.9", "prediction sets need a model file"),
        ("RUN PNG --sets 90", "expected a share between 0 and 1"),
        ("RUN PNG --sets-exact", "--sets-exact needs --sets"),
        ("nowhere.fewshot PNG", "nowhere.fewshot does not exist"),
        ("RUN PNG --out a.csv --kaggle b.csv", "name one file to write"),
        ("RUN PNG --kaggle a.csv --top 2", "--kaggle writes one class"),
        ("RUN PNG --out .", "is a folder"),
        ("RUN nowhere --out a.csv", "nowhere cannot be read as a folder"),
        ("RUN RUN --out a.csv", "config.yaml (not an image)"),
        ("PNG PNG --out a.csv", "not the folder of a finished run"),
        ("RUN PNG --out a.csv --device cuda:7", "cuda:7"),
    ],
)
def test_bad_requests_get_one_sentence_and_code_2(
    arguments, words_of_error, scratch, digits, monkeypatch, tmp_path, capsys
):
    monkeypatch.chdir(tmp_path)
    words = arguments.replace("RUN", str(scratch)).replace("PNG", str(digits)).split()
    monkeypatch.setattr(sys, "argv", ["fewshot", "predict", *words])
    with pytest.raises(SystemExit) as left:
        main.main()
    assert left.value.code == 2
    shown = capsys.readouterr()
    assert words_of_error in shown.err.splitlines()[-1]
    assert shown.err.splitlines()[-1].startswith("fewshot: ")
    assert set(shown.err.splitlines()[:-1]) <= {"loading the classifier"}
    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_and_says_so(scratch, digits, monkeypatch, tmp_path, capsys) -> None:
    monkeypatch.setattr(
        sys,
        "argv",
        ["fewshot", "predict", str(scratch), str(digits), "--kaggle", f"{tmp_path}/s.csv"],
    )
    with pytest.raises(SystemExit) as left:
        main.main()
    assert not left.value.code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines()[-1] == f"predictions: {tmp_path}/s.csv (500 images)"
    assert shown.err.splitlines()[0] == "loading the classifier"
    assert len(rows(tmp_path / "s.csv")) == 500


# real images


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not (Path(os.environ.get("FEWSHOT_DATA", "nowhere")) / "cifar10").is_dir():
        pytest.skip("FEWSHOT_DATA has no cifar10, whose test images this is about")
    return write(datasets.load("cifar10").test, tmp_path_factory.mktemp("real") / "png")


@pytest.mark.slow
@pytest.mark.parametrize("method", ["probe", "protonet", "scratch", "finetune", "experts"])
def test_cifar10_test_images_as_files_get_the_runs_own_classes(
    method: str, real: Path, tmp_path: Path
) -> None:
    folder = run(tmp_path / "runs", method, data="cifar10")
    out = tmp_path / "out.csv"
    assert predict(folder, real, out, top=10)[0] == 10_000
    names, classes = [f"{i}.png" for i in range(10_000)], datasets.load("cifar10").test.classes
    same_as_saved(folder / "trial-0", out, names, classes)
