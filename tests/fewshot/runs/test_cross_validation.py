"""Folders of real files: sets of indices, the classes of a hash, and records read as JSON."""

from __future__ import annotations

import json
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from episodes import subsets
from episodes.types import ImageSet, TrainTest
from fewshot import config as config_files
from fewshot.config import RunConfig
from fewshot.errors import UserError
from fewshot.model import restore
from fewshot.report import comparison
from fewshot.report.inspection import images as inspection
from fewshot.report.inspection import run_files
from fewshot.runs import cross_validation, experiment, labelled_subset, pretraining, voting
from tests.fewshot import easy
from tests.fewshot.cli.command import fewshot

WHOLE = easy.images(7, 0)
QUICK = {"method": "probe", "backbone": {"name": "conv4", "options": {"width": 4}}}


def config(**values) -> RunConfig:
    return RunConfig.model_validate({**QUICK, **({"full": True} if not values else {}), **values})


def folder(root: Path, sizes: dict[str, int], side: int = 24) -> Path:
    """Write noisy photographs of one colour for each class."""
    random = np.random.default_rng(0)
    for number, (name, count) in enumerate(sizes.items()):
        (root / name).mkdir(parents=True)
        colour = 255 * easy.COLOURS[number].numpy()
        for index in range(count):
            pixels = np.clip(colour + random.normal(0, 25, (side, side, 3)), 0, 255)
            Image.fromarray(pixels.astype(np.uint8)).save(root / name / f"{index}.png")
    return root


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder(tmp_path_factory.mktemp("cv") / "mine", {"a": 8, "b": 9, "c": 11})


def test_the_folds_of_an_image_set_are_made_once_for_each_repeat(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[tuple[int, int]] = []
    original = subsets.fold_of_each

    def counted(labels: torch.Tensor, number: int, repeat: int, clusters: object) -> torch.Tensor:
        made.append((len(labels), repeat))
        return original(labels, number, repeat, None)

    monkeypatch.setattr(subsets, "fold_of_each", counted)
    first, second = easy.images(7, 0), easy.images(8, 0)
    for seed in (0, 3, 5, 0):
        assert cross_validation.split(config(), first, seed).test.tolist()
    cross_validation.check_shots(config(shots=1), first)
    cross_validation.split(config(), second, 0)
    assert made == [(len(first), 0), (len(first), 1), (len(second), 0)]


def test_each_repeat_tests_every_image_once_and_learns_from_the_others() -> None:
    data, everything = TrainTest(WHOLE, WHOLE), list(range(len(WHOLE)))
    by_repeat = []
    for repeat in range(3):
        tested = []
        for fold in range(5):
            subset = labelled_subset.labelled_subset(config(), data, 5 * repeat + fold)
            assert subset.test is not None
            assert sorted([*subset.train.tolist(), *subset.test.tolist()]) == everything
            tested.append(subset.test.tolist())
        assert sorted(chain(*tested)) == everything
        by_repeat.append(tested)
    assert by_repeat[0] != by_repeat[1] != by_repeat[2]


def test_shots_are_nested_and_outside_the_test_fold() -> None:
    data = TrainTest(WHOLE, WHOLE)
    few, more = (
        labelled_subset.labelled_subset(config(shots=shots, full=False), data, 7)
        for shots in (2, 4)
    )
    assert set(few.train.tolist()) < set(more.train.tolist())
    assert not set(more.train.tolist()) & set(more.test.tolist())
    assert torch.equal(few.test, more.test)
    assert WHOLE.labels[few.train].bincount().tolist() == [2, 2, 2, 2]
    content = few.to_json()
    assert content["test"] == few.test.tolist()


def test_few_images_give_fewer_folds_and_a_single_image_is_never_tested() -> None:
    labels = torch.tensor([0, 0, 1, 1, 2])
    images = ImageSet("tiny", torch.zeros(5, 3, 8, 8), labels, ("a", "b", "c"), "f", {})
    assert cross_validation.n_folds(config(), images) == 2
    tests = [cross_validation.split(config(), images, seed).test for seed in range(2)]
    assert [sorted(labels[test].tolist()) for test in tests] == [[0, 1], [0, 1]]
    assert sorted(torch.cat(tests).tolist()) == [0, 1, 2, 3]
    notes = cross_validation.notes(config(), images, 2)
    assert notes == [
        "2 folds instead of 5, as no class has more images",
        "c has a single image, which is in every training and never tested",
        "these trials test 2 of the 4 images that 2 trials would test: use --seeds 2, or a "
        "multiple of it",
    ]
    alone = ImageSet("tiny", torch.zeros(2, 3, 8, 8), torch.tensor([0, 1]), ("a", "b"), "f", {})
    with pytest.raises(UserError, match=r"at least two images: add images, or name test images"):
        cross_validation.n_folds(config(), alone)


def test_folds_follow_the_groups_of_the_largest_class() -> None:
    labels = torch.arange(3).repeat_interleave(9)
    scenes = torch.arange(9).repeat_interleave(3)
    pixels = torch.zeros(27, 3, 8, 8)
    images = ImageSet("scenes", pixels, labels, ("a", "b", "c"), "f", {}, clusters=scenes)
    assert cross_validation.n_folds(config(), images) == 3
    for seed in range(6):  # each fold tests one whole scene of each class
        test = cross_validation.split(config(), images, seed).test
        assert labels[test].bincount().tolist() == [3, 3, 3]
        assert len(scenes[test].unique()) == 3


def test_a_group_with_most_of_a_class_is_noted() -> None:
    labels = torch.tensor([0] * 6 + [1] * 6)
    groups = torch.tensor([0] * 5 + [1] + [2] * 3 + [3] * 3)
    images = ImageSet("g", torch.zeros(12, 3, 8, 8), labels, ("a", "b"), "f", {}, clusters=groups)
    (note,) = [
        text
        for text in cross_validation.notes(config(full=True, group_by="prefix"), images, 12)
        if "one group" in text
    ]
    assert note.startswith("most images of a are in one group")


def test_the_command_alone_cross_validates_a_folder(
    mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    arguments = f"run --data {mine} --backbone conv4 --set backbone.options.width=4"
    assert fewshot(f"{arguments} --out {tmp_path} --quiet", monkeypatch) == 0
    printed = capsys.readouterr().out
    assert "cross-validated, 5 x 2 folds of 28 images" in printed
    assert "Nadeau and Bengio" in printed
    (path,) = tmp_path.glob("*/record.json")
    record = json.loads(path.read_text())
    assert (record["method"], record["folds"], record["n_test"]) == ("probe", 5, 28)
    assert len(record["seeds"]) == 10
    assert np.sum(record["confusion"], axis=1).tolist() == [16, 18, 22]  # each image twice
    values = record["scores"]["accuracy"]["values"]
    error = np.std(values, ddof=1) * np.sqrt(1 / 10 + 1 / 4)
    assert record["scores"]["accuracy"]["ci95"] == pytest.approx(2.2621571627 * error)  # t, 9
    tested = [
        json.loads((path.parent / f"trial-{seed}/indices.json").read_text())["test"]
        for seed in range(10)
    ]
    assert sorted(chain(*tested[:5])) == sorted(chain(*tested[5:])) == list(range(28))


def test_votes_and_comparisons_are_of_the_same_folds(mine: Path, tmp_path: Path) -> None:
    values = {**QUICK, "data": str(mine), "full": True}
    first = experiment.run(values, range(5), out=tmp_path / "runs")
    second = experiment.run({**values, "learner": {"c": 0.1}}, range(5), out=tmp_path / "runs")
    other = experiment.run({**values, "test_folds": 4}, range(4), out=tmp_path / "other")
    assert len({first.run_id, second.run_id, other.run_id}) == 3
    (vote,) = voting.vote([tmp_path / "runs"], out=tmp_path / "votes")
    assert (vote.folds, vote.n_test, len(vote.seeds)) == (5, 28, 5)
    assert vote.images == first.images != other.images
    with pytest.raises(UserError, match="tested on different images"):
        voting.vote([tmp_path / "runs"], pool=True, out=tmp_path / "votes")
    with pytest.raises(UserError, match="differ in data"):
        voting.vote([tmp_path / "runs", tmp_path / "other"], out=tmp_path / "votes")
    page = comparison.markdown([first, second, other])
    assert "cross-validated, 5 folds of 28 images" in page
    assert "cross-validated, 4 folds of 28 images" in page


def test_other_images_and_shares_test_instead_of_folds(mine: Path, tmp_path: Path) -> None:
    unseen = folder(tmp_path / "unseen", {"a": 3, "b": 4, "c": 5})
    values = {**QUICK, "data": str(mine), "shots": 3}
    by_path = experiment.run({**values, "test": str(unseen)}, [0, 1], out=tmp_path / "runs")
    assert (by_path.folds, by_path.n_test) == (None, 12)
    assert by_path.config["test"] == "unseen"
    assert by_path.provenance.test_fingerprint is not None
    by_share = experiment.run({**values, "test": 0.25}, [0, 1], out=tmp_path / "runs")
    assert (by_share.folds, by_share.n_test) == (None, 7)
    folds = experiment.run(values, [0, 1], out=tmp_path / "runs")
    assert len({by_path.images, by_share.images, folds.images}) == 3
    assert any("of the 28 images that 5 trials would" in note for note in folds.data_notes)


def test_groups_stay_on_one_side(tmp_path: Path) -> None:
    root = tmp_path / "scenes"
    random = np.random.default_rng(0)
    for number, name in enumerate("ab"):
        for scene in range(6):
            (root / name).mkdir(parents=True, exist_ok=True)
            for frame in range(3):
                colour = 255 * easy.COLOURS[number].numpy() + random.normal(0, 20, (16, 16, 3))
                pixels = np.clip(colour, 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(root / name / f"{name}scene{scene}_{frame}.png")
    values = {**QUICK, "data": str(root), "full": True, "group_by": "prefix", "test_folds": 3}
    record = experiment.run(values, range(3), out=tmp_path / "runs")
    assert record.folds == 3
    for seed in range(3):
        path = tmp_path / "runs" / record.run_id / f"trial-{seed}" / "indices.json"
        content = json.loads(path.read_text())
        scenes_of = [{index // 3 for index in content[part]} for part in ("support", "test")]
        assert not scenes_of[0] & scenes_of[1]
        assert len(scenes_of[1]) == 4


def test_inspect_shows_the_images_of_the_fold_and_predict_uses_the_trial(
    mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    values = {**QUICK, "data": str(mine), "shots": 1}
    record = experiment.run(values, range(5), out=tmp_path)
    run = run_files.read(tmp_path / record.run_id)
    n_mistakes = expected = 0.0
    for seed, accuracy in enumerate(record.scores["accuracy"].values):
        tested = json.loads((run.trial(seed) / "indices.json").read_text())["test"]
        expected += (1 - accuracy) * len(tested)
        inspected = inspection.Inspected(run, seed, tmp_path / "page")
        try:
            mistakes = inspection._mistakes(inspected, 20)
        except UserError:  # there is none
            continue
        images = inspection._data(inspected).test
        for mistake in mistakes:
            assert mistake.image in tested
            assert images.labels[mistake.image] == mistake.true
        n_mistakes += len(mistakes)
    assert n_mistakes == pytest.approx(expected)
    out = tmp_path / "predictions.csv"
    command = f"predict {run.folder} {mine / 'b'} --out {out} --quiet"
    assert fewshot(command, monkeypatch) == 0
    assert len(out.read_text().splitlines()) == 10
    assert fewshot(f"inspect {run.folder} --out {tmp_path / 'page'}", monkeypatch) == 0
    assert "5 folds of 28 images" in (tmp_path / "page" / "inspect.md").read_text()
    assert fewshot(f"forecast {tmp_path}", monkeypatch) == 0


def test_too_many_shots_for_a_fold_are_refused_before_any_trial(mine: Path, tmp_path: Path) -> None:
    """Of 8 images of a class in 5 folds, the largest fold has 2, so 6 are left."""
    values = {**QUICK, "data": str(mine)}
    with pytest.raises(UserError, match=r"shots=7 .* 'a' outside the test fold, and 6 of its 8"):
        experiment.run({**values, "shots": 7}, range(5), out=tmp_path)
    assert not list(tmp_path.iterdir())
    record = experiment.run({**values, "shots": 6}, range(5), out=tmp_path)
    assert record.labels == 18


def test_an_older_run_without_test_images_is_restored_with_its_fifth(
    mine: Path, tmp_path: Path
) -> None:
    record = experiment.run(
        {**QUICK, "data": str(mine), "full": True, "test": 0.2}, [0], out=tmp_path
    )
    file = tmp_path / record.run_id / "config.yaml"
    values = config_files.read(file)
    for key in ("test", "test_folds", "group_by"):  # as before they existed
        del values[key]
    file.write_text(config_files.dump(values), encoding="utf-8")
    restored = restore.restore(file.parent, 0)
    assert restored.run.run_id == record.run_id
    assert not restored.run.data.is_whole


def test_a_share_of_data_with_a_test_part_is_refused() -> None:
    with pytest.raises(UserError, match=r"digits has a test part, .* leave out --test 0.3"):
        experiment.run({**QUICK, "data": "digits", "shots": 2, "test": 0.3}, [0])


def test_pretraining_sets_a_fifth_aside(mine: Path, tmp_path: Path) -> None:
    values = {"data": str(mine), "backbone": {"name": "conv4", "options": {"width": 4}}}
    record, _ = pretraining.run({**values, "train": {"steps": 2}}, out=tmp_path)
    assert record.folds is None
    assert record.n_test == 6  # 2 of each class
