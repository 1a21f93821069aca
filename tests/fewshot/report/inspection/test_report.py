"""Figures of one run against slow loops over what it saved; bare records, votes, folders with parts removed."""

from __future__ import annotations

import json
import math
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from episodes import datasets
from episodes.errors import UserError
from fewshot import backbones, config, io
from fewshot.model import nearest
from fewshot.report.inspection import report as inspection, run_files
from fewshot.report.plots import (
    calibration,
    classes,
    training_curves as overfitting,
    image_sheets as sheets,
)
from fewshot.report.inspection.images import Asked
from fewshot.runs import experiment, voting
from tests.fewshot.cli.test_main import fewshot
from tests.fewshot.report.test_comparison import record as plain_record

CHARTS = ("confusion", "classes", "train-and-test", "curves", "reliability")
EVERY = {f"{name}.{suffix}" for name in CHARTS for suffix in ("svg", "png")} | {
    "mistakes.png", "nearest.png", "inspect.md",
}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real run of two draws, far too short to be good, with a hold-out."""
    out = tmp_path_factory.mktemp("runs")
    values = {
        "method": "protonet", "preset": "random", "data": "digits", "shots": 5, "precision": "float32",
        "backbone": {"options": {"width": 8}}, "validation": {"share": 0.2}, "train": {"steps": 4},
    }  # fmt: skip
    return out / experiment.run(values, [0, 3], out=out).run_id


def copied(run: Path, to: Path) -> Path:
    return Path(shutil.copytree(run, to / run.name))


def saved(run: Path, seed: int) -> tuple[list[list[float]], list[int]]:
    """Probabilities and labels of a draw, one image at a time."""
    with np.load(run / f"trial-{seed}" / "predictions.npz") as arrays:
        logits, labels = arrays["test_logits"].tolist(), arrays["test_labels"].tolist()
    probabilities = []
    for row in logits:
        powers = [math.exp(each - max(row)) for each in row]
        probabilities.append([power / sum(powers) for power in powers])
    return probabilities, labels


def counted(run: Path) -> list[list[int]]:
    counts = [[0] * 10 for _ in range(10)]
    for seed in (0, 3):
        for row, label in zip(*saved(run, seed), strict=True):
            counts[label][row.index(max(row))] += 1
    return counts


def texts(figure: Any) -> list[str]:
    return [each.get_text() for each in figure.axes[0].texts]


def test_the_confusion_matrix_shows_what_the_predictions_say(run: Path) -> None:
    record, counts = run_files.read(run).record, counted(run)
    figure = classes.confusion(record)
    shown = {each.get_position(): each.get_text() for each in figure.axes[0].texts}
    for true in range(10):
        for said in range(10):
            share = 100 * counts[true][said] / sum(counts[true])
            words = None if not share else "<1" if share < 0.5 else str(math.floor(share + 0.5))
            assert shown.get((said, true)) == words
    assert [each.get_text() for each in figure.axes[0].get_yticklabels()] == [
        str(digit) for digit in range(10)
    ]
    pairs = [
        (counts[a][b] / sum(counts[a]), -a, -b) for a in range(10) for b in range(10) if a != b
    ]
    wanted = [
        (str(-a), str(-b), counts[-a][-b], share)
        for share, a, b in sorted(pairs, reverse=True)
        if share
    ][:10]
    assert [tuple(each) for each in classes.confused(record)] == [
        (*each[:3], pytest.approx(each[3])) for each in wanted
    ]


def test_the_accuracy_of_each_class_and_its_interval(run: Path) -> None:
    found = run_files.read(run)
    shown = classes.accuracies(found.record, [each["per_class"] for each in run_files.drawn(found)])
    for number, each in enumerate(shown):
        values = []
        for seed in (0, 3):
            of_class = [
                row for row, label in zip(*saved(run, seed), strict=True) if label == number
            ]
            values.append(sum(row.index(max(row)) == number for row in of_class) / len(of_class))
        assert each.values == pytest.approx(values)
        assert each.mean == pytest.approx(sum(values) / 2)
        assert each.half == pytest.approx(
            12.7062 * abs(values[0] - values[1]) / 2, rel=1e-4
        )  # t of one degree
    figure = classes.per_class(found.record, [each["per_class"] for each in run_files.drawn(found)])
    bars = sorted((each.get_width() for each in figure.axes[0].patches), reverse=True)
    assert bars == pytest.approx(sorted((100 * each.mean for each in shown), reverse=True))


def test_reliability_counts_every_image_once(run: Path) -> None:
    found = run_files.read(run)
    draws = [calibration.bins(*run_files.predictions(found, seed)) for seed in (0, 3)]
    for seed, each in zip((0, 3), draws, strict=True):
        inside: list[list[tuple[float, bool]]] = [[] for _ in range(15)]
        rows = list(zip(*saved(run, seed), strict=True))
        for row, label in rows:
            sure = max(row)
            place = next(m for m in range(15) if m / 15 < sure <= (m + 1) / 15)
            inside[place].append((sure, row.index(sure) == label))
        assert each.counts.tolist() == [len(one) for one in inside]
        gaps = [
            abs(sum(right for _, right in one) - sum(sure for sure, _ in one)) for one in inside
        ]
        assert each.error == pytest.approx(sum(gaps) / len(rows))
    ece = found.record["scores"]["ece"]
    assert [each.error for each in draws] == pytest.approx(
        ece["values"], abs=2e-3
    )  # predictions in half precision
    upper, lower = calibration.reliability(draws).axes
    both = draws[0].counts + draws[1].counts
    right = (draws[0].right + draws[1].right)[both > 0] / both[both > 0]
    assert [each.get_height() for each in upper.patches] == pytest.approx(right.tolist())
    assert [int(each.get_text()) for each in lower.texts] == both[both > 0].tolist()
    assert f"ECE {ece['mean']:.3f}"[:-1] in upper.get_title()


def test_a_confidence_at_a_bins_edge_is_below_it_and_certainty_in_the_last() -> None:
    found = calibration.bins(
        np.array([[0.5, 0.5], [1.0, 0.0], [0.4, 0.6]]), np.array([0, 0, 0]), 10
    )
    assert found.counts.tolist() == [0, 0, 0, 0, 1, 1, 0, 0, 0, 1]
    assert found.right.tolist() == [0, 0, 0, 0, 1, 0, 0, 0, 0, 1]


def test_the_most_confident_mistakes_are_those_of_a_plain_sort(run: Path) -> None:
    rows = list(enumerate(zip(*saved(run, 3), strict=True)))
    wrong = [
        (-max(row), index, label, row.index(max(row)))
        for index, (row, label) in rows
        if max(row) != row[label]
    ]
    found = sheets.mistakes(*run_files.predictions(run_files.read(run), 3), 20)
    assert [each[:3] for each in found] == [each[1:] for each in sorted(wrong)[:20]]
    assert [each.probability for each in found] == pytest.approx(
        [-each[0] for each in sorted(wrong)[:20]]
    )
    tied = sheets.mistakes(
        np.array([[0.3, 0.7], [0.1, 0.9], [0.3, 0.7], [0.2, 0.8]]), np.array([0, 1, 0, 0]), 2
    )
    assert [each.image for each in tied] == [3, 0]


def cosine(a: list[float], b: list[float]) -> float:
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    return dot / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def test_the_nearest_labelled_images_are_those_of_a_loop_over_all(run: Path) -> None:
    found = nearest.nearest(run, 3, queries := [7, 301, 12], 4)
    settings = config.read(run / "config.yaml")
    backbone = backbones.build(config.BackboneSettings(**settings["backbone"])).eval()
    state = load_file(run / "trial-3" / "model.safetensors")
    backbone.load_state_dict(
        {k.removeprefix("backbone."): v for k, v in state.items() if k.startswith("backbone.")}
    )
    train, test = datasets.load("digits")

    def features(images: torch.Tensor) -> list[float]:
        with torch.no_grad():
            return backbone(images[None].float() / 255)[0].double().tolist()

    kept = json.loads((run / "trial-3" / "indices.json").read_text())["support"]
    support = [features(train.images[each]) for each in kept]
    centre = [sum(column) / len(kept) for column in zip(*support, strict=True)]

    def moved(row: list[float]) -> list[float]:
        return [x - m for x, m in zip(row, centre, strict=True)]

    for place, query in enumerate(queries):
        asked = moved(features(test.images[query]))
        near = sorted(
            (1 - cosine(asked, moved(row)), each) for row, each in zip(support, kept, strict=True)
        )[:4]
        assert found.images[place] == [each for _, each in near]
        assert found.distances[place] == pytest.approx([distance for distance, _ in near], abs=1e-4)
        assert found.labels[place] == [int(train.labels[each]) for _, each in near]
    assert (found.compared, found.labelled) == (40, 40)


def test_equally_near_images_come_in_their_order() -> None:
    support = torch.tensor(
        [[0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [-1.0, -2.0]]
    )  # their mean is the origin
    order, distances = nearest.ranked(support, torch.tensor([[0.0, 5.0]]), 3)
    assert order.tolist() == [[0, 2, 1]]
    assert distances[0].tolist() == pytest.approx([0, 0, 1])


def test_a_mean_over_draws_leaves_out_those_that_stopped() -> None:
    found = overfitting.average([[1.0, 2.0, 3.0, None], [3.0, 6.0, None, None]])
    assert found.draws.tolist() == [2, 2, 1, 0]
    assert found.mean[:3].tolist() == [2, 4, 3]
    assert found.std[:2] == pytest.approx([math.sqrt(2), math.sqrt(8)])
    assert np.isnan(found.std[2:]).all()


def test_curves_are_the_means_of_what_the_draws_logged(run: Path) -> None:
    found = run_files.read(run)
    logs = [
        [
            json.loads(line)
            for line in (run / f"trial-{seed}" / "metrics.jsonl").read_text().splitlines()
        ]
        for seed in (0, 3)
    ]
    figure = overfitting.over_epochs(run_files.curves(found), found.record)
    for axes, kind, scale in zip(figure.axes, ("loss", "accuracy"), (1, 100), strict=True):
        means = [
            scale * (a[f"validation_{kind}"] + b[f"validation_{kind}"]) / 2
            for a, b in zip(*logs, strict=True)
        ]
        drawn = [each.get_ydata() for each in axes.lines if each.get_linewidth() == 2]
        assert any(np.allclose(each, means) for each in drawn if len(each) == len(means))
        faint = [each.get_ydata() for each in axes.lines if each.get_linewidth() == 0.7]
        one = [scale * row[f"validation_{kind}"] for row in logs[1]]
        assert any(np.allclose(each, one) for each in faint)


def test_training_validation_and_test_accuracy_of_several_records(run: Path) -> None:
    ours, bare = run_files.read(run).record, plain_record()
    (axes,) = overfitting.train_and_test({"ours": ours, "other": bare}).axes
    drawn = [each.get_width() for each in axes.patches if each.get_width()]
    scores = [ours["train_accuracy"], ours["validation"]["accuracy"], ours["scores"]["accuracy"]]
    scores += [bare["train_accuracy"], bare["scores"]["accuracy"]]
    assert drawn == pytest.approx([100 * each["mean"] for each in scores])


@pytest.mark.parametrize(("n_way", "named"), [(12, True), (18, True), (36, False), (100, False)])
def test_many_classes_leave_out_what_cannot_be_read(n_way: int, named: bool) -> None:
    counts = (np.eye(n_way, dtype=int) * 7 + np.roll(np.eye(n_way, dtype=int), 1, 1) * 3).tolist()
    names = [f"a class with number {number}" for number in range(n_way)]
    record = plain_record(classes=names, confusion=counts, per_class=[0.7] * n_way)
    axes = classes.confusion(record).axes[0]
    assert bool(axes.texts) == named
    assert len(axes.get_xticklabels()) <= classes.NAMED
    assert len(classes.per_class(record).axes[0].get_yticklabels()) == min(n_way, classes.NAMED)


def test_a_class_without_test_images_is_left_out_of_the_bars_and_nothing_is_confused_with_it() -> (
    None
):
    record = plain_record(
        classes=["a", "b", "c"], confusion=[[3, 1, 0], [0, 0, 0], [0, 0, 2]], per_class=[0.75, 0, 1]
    )
    assert texts(classes.confusion(record)) == ["75", "25", "100"]
    assert [each.get_text() for each in classes.per_class(record).axes[0].get_yticklabels()] == [
        "c",
        "a",
    ]
    assert [tuple(each) for each in classes.confused(record)] == [("a", "b", 1, 0.25)]


def test_everything_of_a_run_is_written_and_the_same_again(run: Path, tmp_path: Path) -> None:
    files, missing = inspection.inspect(run, out=tmp_path / "a")
    assert missing == []
    assert (
        {each.name for each in files} == EVERY == {each.name for each in (tmp_path / "a").iterdir()}
    )
    inspection.inspect(run / "record.json", 0, tmp_path / "b")
    for each in EVERY:
        assert (tmp_path / "a" / each).read_bytes() == (tmp_path / "b" / each).read_bytes(), each
    page = (tmp_path / "a" / "inspect.md").read_text()
    for name in EVERY - {"inspect.md"}:
        assert f"]({name})" in page or name.endswith("png")
    counts = counted(run)
    first = classes.confused(run_files.read(run).record)[0]
    assert (
        f"| {first.true} | {first.predicted} | {counts[int(first.true)][int(first.predicted)]} |"
        in page
    )
    (other,) = inspection.PARTS[IMAGES[0]](Asked(run_files.read(run), 3, tmp_path)).files
    assert other.read_bytes() != (tmp_path / "a" / "mistakes.png").read_bytes()


IMAGES = ("The most confident mistakes", "The labelled images nearest to them")
NOT_TOLD = {  # a part of the folder -> what is then not shown, and why
    "trial-3/predictions.npz": (
        ["Confidence beside accuracy"],
        "trial-3/predictions.npz is not there",
    ),
    "trial-0/predictions.npz": (
        ["Confidence beside accuracy", *IMAGES],
        "trial-0/predictions.npz is not there",
    ),
    "trial-0/metrics.jsonl": (["Over the training"], "trial-0/metrics.jsonl is not there"),
    "trial-0/model.safetensors": (IMAGES[1:], "trial-0/model.safetensors cannot be read"),
    "trial-0/indices.json": (IMAGES[1:], "indices.json is not there"),
    "config.yaml": (IMAGES, "config.yaml is not there, which says where the images are"),
}


@pytest.mark.parametrize("part", NOT_TOLD)
def test_what_is_not_there_cannot_be_shown_and_is_named(
    part: str, run: Path, tmp_path: Path
) -> None:
    folder = copied(run, tmp_path)
    (folder / part).unlink()
    titles, reason = NOT_TOLD[part]
    for title in titles:
        with pytest.raises(UserError, match=re.escape(reason)):
            inspection.PARTS[title](Asked(run_files.read(folder), 0, tmp_path))


def test_what_is_removed_is_told_and_the_rest_shown(run: Path, tmp_path: Path) -> None:
    folder = copied(run, tmp_path)
    for part in (
        "trial-3/predictions.npz",
        "trial-0/metrics.jsonl",
        "trial-0/model.safetensors",
        "trial-3/trial.json",
    ):
        (folder / part).unlink()
    files, missing = inspection.inspect(folder, out=tmp_path / "out")
    assert {each.stem for each in files} == {
        "inspect",
        "confusion",
        "classes",
        "train-and-test",
        "mistakes",
    }
    assert missing[:2] == [
        "Over the training: trial-0/metrics.jsonl is not there.",
        "Confidence beside accuracy: trial-3/predictions.npz is not there.",
    ]
    (last,) = missing[2:]
    assert last.startswith("The labelled images nearest to them: ")
    assert "trial-0/model.safetensors cannot be read" in last
    assert last.endswith("with --force.")
    page = files[0].read_text()
    assert all(f"- {each}" in page for each in missing)
    assert "Without the draws and their interval: trial-3/trial.json is not there." in page


@pytest.mark.parametrize(
    ("part", "title"),
    [
        ("predictions.npz", "Confidence beside accuracy"),
        ("metrics.jsonl", "Over the training"),
        ("model.safetensors", IMAGES[1]),
        ("indices.json", IMAGES[1]),
    ],
)
def test_what_is_damaged_is_told(part: str, title: str, run: Path, tmp_path: Path) -> None:
    folder = copied(run, tmp_path)
    (folder / "trial-0" / part).write_bytes(b"{ no such thing")
    with pytest.raises(UserError, match=f"{part} cannot be read"):
        inspection.PARTS[title](Asked(run_files.read(folder), 0, tmp_path))


def test_other_images_under_the_same_name_are_not_shown(run: Path, tmp_path: Path) -> None:
    folder = copied(run, tmp_path)
    record = io.read_json(folder / "record.json")
    record["provenance"]["data_fingerprint"] = "of others"
    io.write_json(folder / "record.json", record)
    for title in IMAGES:
        with pytest.raises(
            UserError, match="the images now found under 'digits' are not those of the run"
        ):
            inspection.PARTS[title](Asked(run_files.read(folder), 0, tmp_path))


def test_a_record_alone_gives_what_it_holds(run: Path, tmp_path: Path) -> None:
    place = Path(shutil.copy(run / "record.json", tmp_path / "alone.json"))
    files, missing = inspection.inspect(place, out=tmp_path / "out")
    assert {each.stem for each in files} == {"inspect", "confusion", "classes", "train-and-test"}
    assert len(missing) == 4
    assert all(
        "a record alone was given, without the folder of its run" in each for each in missing
    )


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
        tmp_path / "one.json", {**result, "record": run_files.read(run).record, "curves": curves}
    )
    part = inspection.PARTS["Over the training"](
        Asked(run_files.read(tmp_path / "one.json"), 0, tmp_path)
    )
    assert [each.name for each in part.files] == ["curves.svg", "curves.png"]
    io.write_json(
        tmp_path / "none.json", {**result, "status": "failed", "record": None, "curves": None}
    )
    with pytest.raises(UserError, match="'failed' and has no record"):
        inspection.inspect(tmp_path / "none.json", out=tmp_path / "out")


@pytest.mark.parametrize("pool", [False, True])
def test_a_vote_gives_what_its_record_holds(pool: bool, run: Path, tmp_path: Path) -> None:
    other = copied(run, tmp_path)
    record = {**io.read_json(other / "record.json"), "run_id": "another"}
    io.write_json(other / "record.json", record)
    (vote,) = voting.vote([run, other], pool=pool, out=tmp_path / "votes")
    files, missing = inspection.inspect(tmp_path / "votes" / vote.run_id, out=tmp_path / "out")
    assert {"inspect", "confusion", "classes"} <= {each.stem for each in files}
    assert sum("inspect the runs that it was made of" in each for each in missing) == 4


def test_no_mistakes_no_sheet(run: Path, tmp_path: Path) -> None:
    folder = copied(run, tmp_path)
    with np.load(folder / "trial-0" / "predictions.npz") as arrays:
        kept = dict(arrays)
    right = (20 * np.eye(10)[kept["test_labels"]]).astype(np.float16)
    io.write_arrays(folder / "trial-0" / "predictions.npz", {**kept, "test_logits": right})
    for title in IMAGES:
        with pytest.raises(UserError, match="draw 0 made no mistake"):
            inspection.PARTS[title](Asked(run_files.read(folder), 0, tmp_path))


def test_the_command(run: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(run / "record.json", tmp_path / "alone.json")
    assert fewshot("inspect alone.json", monkeypatch) == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[0] == f"{run.name}-inspect/inspect.md"
    assert "not shown: Over the training: a record alone was given" in said.err
    for words, told in (
        (f"inspect {run} --trial 7", "--trial 7: "),
        (f"inspect {run.parent / 'none'}", "does not exist"),
    ):
        assert fewshot(words, monkeypatch) == 2
        assert told in capsys.readouterr().err
    copied(run, tmp_path / "two")
    Path(shutil.copytree(run, tmp_path / "two" / "again"))
    assert fewshot("inspect two", monkeypatch) == 2
    assert "holds 2 records" in capsys.readouterr().err
