"""The page of a run, of a lone record, of a vote, and of a run with missing files."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fewshot import io
from fewshot.errors import NotWritten, UserError
from fewshot.report.inspection import report, run_files
from fewshot.report.inspection.images import Inspected, Part
from fewshot.report.plots import classes
from fewshot.runs import calibrating, voting
from tests.fewshot.cli.test_main import fewshot
from tests.fewshot.report.saved_run import copied, counted

CHARTS = ("confusion", "classes", "train-and-test", "curves", "reliability", "reliability-after")


EVERY = {f"{name}.{suffix}" for name in CHARTS for suffix in ("svg", "pdf", "png")} | {
    "mistakes.png", "nearest.png", "inspect.md",
}  # fmt: skip


def test_everything_of_a_run_is_written_and_the_same_again(run: Path, tmp_path: Path) -> None:
    files, missing = report.inspect(run, out=tmp_path / "a")
    assert missing == []
    assert (
        {path.name for path in files} == EVERY == {path.name for path in (tmp_path / "a").iterdir()}
    )
    report.inspect(run / "record.json", 0, tmp_path / "b")
    for name in EVERY:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
    page = (tmp_path / "a" / "inspect.md").read_text()
    for name in EVERY - {"inspect.md"}:
        assert f"]({name})" in page or name.endswith(("pdf", "png"))
    first = classes.confused(run_files.read(run).record)[0]
    images = counted(run)[int(first.true)][int(first.predicted)] / 2  # mean over two trials
    assert f"| {first.true} | {first.predicted} | {images:g} |" in page
    assert "images, mean over 2 trials" in page
    (other,) = report.PARTS[IMAGES[0]](Inspected(run_files.read(run), 3, tmp_path)).files
    assert other.read_bytes() != (tmp_path / "a" / "mistakes.png").read_bytes()


IMAGES = ("The most confident mistakes", "The labelled images nearest to them")


def test_missing_files_are_named_and_the_rest_is_shown(run: Path, tmp_path: Path) -> None:
    folder = copied(run, tmp_path)
    for part in (
        "trial-3/predictions.npz",
        "trial-0/metrics.jsonl",
        "trial-0/model.safetensors",
        "trial-3/trial.json",
    ):
        (folder / part).unlink()
    files, missing = report.inspect(folder, out=tmp_path / "out")
    assert {path.stem for path in files} == {
        "inspect",
        "confusion",
        "classes",
        "train-and-test",
        "mistakes",
    }
    assert missing[:2] == [
        "Over the epochs: trial-0/metrics.jsonl does not exist.",
        "Confidence and accuracy: trial-3/predictions.npz does not exist.",
    ]
    (last,) = missing[2:]
    assert last.startswith("The labelled images nearest to them: ")
    assert "trial-0/model.safetensors cannot be read" in last
    assert last.endswith("with --force.")
    page = files[0].read_text()
    assert all(f"- {reason}" in page for reason in missing)
    assert "Without the single trials and the interval: trial-3/trial.json does not exist." in page


def test_a_figure_that_cannot_be_written_is_an_error(run: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / "nearest.png").mkdir(parents=True)  # as on a full disk, for any reason
    with pytest.raises(NotWritten, match=r"nearest\.png could not be written"):
        report.inspect(run, out=tmp_path / "out")


def test_a_cache_that_cannot_be_made_is_an_error(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEWSHOT_CACHE", str(tmp_path / "cache"))
    report.inspect(run, out=tmp_path / "first")  # decodes the images
    shutil.rmtree(tmp_path / "cache" / "features")
    (tmp_path / "cache" / "features").touch()
    with pytest.raises(NotWritten, match="features cannot be created"):
        report.inspect(run, out=tmp_path / "second")


def test_a_lone_record(run: Path, tmp_path: Path) -> None:
    place = Path(shutil.copy(run / "record.json", tmp_path / "alone.json"))
    files, missing = report.inspect(place, out=tmp_path / "out")
    assert {path.stem for path in files} == {"inspect", "confusion", "classes", "train-and-test"}
    assert len(missing) == 4
    words = "only a record was given, without the folder of its run"
    assert all(words in reason for reason in missing)
    assert "clean_accuracy" not in (tmp_path / "out" / "inspect.md").read_text()
    content = io.read_json(place)
    content["scores"]["clean_accuracy"] = {
        "mean": 0.6,
        "std": 0.1,
        "ci95": 0.2,
        "values": [0.5, 0.7],
    }
    io.write_json(place, content)
    report.inspect(place, out=tmp_path / "clean")
    assert "| clean_accuracy | 0.6000" in (tmp_path / "clean" / "inspect.md").read_text()


def test_a_result_of_a_study_also_gives_its_curves(run: Path, tmp_path: Path) -> None:
    curves = run_files.curves(run_files.read(run))
    result = {
        "study": "kshot",
        "row": "K9",
        "cell": "one",
        "status": "done",
        "reason": None,
        "run": run.name,
    }
    io.write_json(
        tmp_path / "one.json",
        {**result, "record": run_files.read(run).record.to_json(), "curves": curves},
    )
    part = report.PARTS["Over the epochs"](
        Inspected(run_files.read(tmp_path / "one.json"), 0, tmp_path)
    )
    assert [path.name for path in part.files] == ["curves.svg", "curves.pdf", "curves.png"]
    io.write_json(
        tmp_path / "none.json", {**result, "status": "failed", "record": None, "curves": None}
    )
    with pytest.raises(UserError, match="'failed' and no record"):
        report.inspect(tmp_path / "none.json", out=tmp_path / "out")


@pytest.mark.parametrize("pool", [False, True])
def test_a_vote(pool: bool, run: Path, tmp_path: Path) -> None:
    other = copied(run, tmp_path)
    record = {**io.read_json(other / "record.json"), "run_id": "another"}
    io.write_json(other / "record.json", record)
    (vote,) = voting.vote([run, other], pool=pool, out=tmp_path / "votes")
    files, missing = report.inspect(tmp_path / "votes" / vote.run_id, out=tmp_path / "out")
    assert {"inspect", "confusion", "classes"} <= {path.stem for path in files}
    assert sum("inspect the runs that it combines" in reason for reason in missing) == 4


@pytest.mark.parametrize(
    ("way", "words"),
    [
        (calibrating.VALIDATION, "on the validation set"),
        (calibrating.EXPECTED, "expected from the spread of a cosine head"),
    ],
)
def test_the_page_says_where_a_temperature_is_from_and_not_that_all_are_chosen(
    way: str, words: str, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "_reliability_of", lambda *given: Part([], ""))  # slow figures
    content = {**io.read_json(run / "record.json"), "calibration": [way]}
    io.write_json(tmp_path / "record.json", content)
    inspected = Inspected(run_files.read(tmp_path / "record.json"), 0, tmp_path)
    sentence, *_ = report.PARTS["Confidence and accuracy"](inspected).text.splitlines()
    mean = content["temperature"]["mean"]
    assert sentence == f"The temperature ({words}) is {mean:.3f}, as a mean over the trials."


def test_the_command(run: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(run / "record.json", tmp_path / "alone.json")
    assert fewshot("inspect alone.json", monkeypatch) == 0
    output = capsys.readouterr()
    assert output.out.splitlines()[0] == f"{run.name}-inspect/inspect.md"
    assert "not shown: Over the epochs: only a record was given" in output.err
    for words, message in (
        (f"inspect {run} --trial 7", "--trial 7: "),
        (f"inspect {run.parent / 'none'}", "does not exist"),
    ):
        assert fewshot(words, monkeypatch) == 2
        assert message in capsys.readouterr().err
    copied(run, tmp_path / "two")
    Path(shutil.copytree(run, tmp_path / "two" / "again"))
    assert fewshot("inspect two", monkeypatch) == 2
    assert "holds 2 records" in capsys.readouterr().err
