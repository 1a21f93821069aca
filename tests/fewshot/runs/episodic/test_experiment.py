"""Whole runs against loops in numpy on the tasks that the run wrote, and easyfsl's evaluation."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from episodes import datasets, streams
from episodes.rng import seeded
from fewshot import backbones, config
from fewshot.config import BackboneSettings
from fewshot.errors import Diverged, Interrupted, UserError
from fewshot.runs import meta_training
from fewshot.runs.episodic import experiment, given
from fewshot.runs.episodic.record import EpisodesRecord
from fewshot.training import trainer
from tests.fewshot.runs.episodic.quick import BODY, SPLIT, TRAIN, quick


def run(out: Path, method: str, data: Path, **more: Any) -> EpisodesRecord:
    force = more.pop("force", False)
    return experiment.run(quick(method, data, **more), out=out, device="cpu", force=force)


def features_of_the_pool(data: Path) -> np.ndarray:
    """Return the features of all images under the body with the weights of seed 0."""
    with seeded(0, "initialise"):
        body = backbones.build(BackboneSettings(**BODY)).eval()
    images = torch.cat([part.images for part in datasets.load(str(data))])
    with torch.no_grad():
        return body(streams.as_float(images)).numpy()


def tasks_of(folder: Path) -> list[tuple[np.ndarray, ...]]:
    """Return support, its labels, queries and their labels of each task in a task file."""
    with np.load(folder / "tasks.npz") as file:
        n_tasks = len(file["ways"])
        names = ("support", "support_labels", "query", "query_labels")
        return list(zip(*(file[name].reshape(n_tasks, -1) for name in names), strict=True))


def test_the_command_counts_what_loops_over_its_task_file_count(colours: Path, tmp_path: Path):
    record = run(tmp_path, "nearest-mean", colours, head={"features": "UN"})
    features = features_of_the_pool(colours)
    expected = []
    for support, labels, query, truth in tasks_of(tmp_path / record.run_id):
        means = np.stack([features[support[labels == way]].mean(0) for way in range(3)])
        distances = ((features[query][:, None] - means) ** 2).sum(-1)
        expected.append(int((distances.argmin(1) == truth).sum()))
    assert record.correct == expected
    assert record.n_queries == 9
    assert record.accuracy.mean == pytest.approx(np.mean(expected) / 9)
    half = stats.t.ppf(0.975, 11) * stats.sem(np.array(expected) / 9)
    assert record.accuracy.ci95 == pytest.approx(half)
    assert record.without_replacement is not None
    assert record.without_replacement.n == len(record.without_replacement_correct) == 10
    assert record.warnings[0].startswith("12 tasks are few")
    assert record.warnings[1].startswith("backbone 'conv4' has random weights that nothing trains")


def test_counts_are_those_of_easyfsl_on_identical_tasks(colours: Path, tmp_path: Path):
    methods = pytest.importorskip("easyfsl.methods")
    record = run(tmp_path, "protonet", colours, learner={"distance": "euclidean"})
    features = torch.from_numpy(features_of_the_pool(colours))
    model = methods.PrototypicalNetworks(torch.nn.Identity())
    expected = []
    for support, labels, query, truth in tasks_of(tmp_path / record.run_id):
        model.process_support_set(features[support], torch.from_numpy(labels).long())
        predicted = model(features[query]).argmax(1).numpy()
        expected.append(int((predicted == truth).sum()))
    assert record.correct == expected


def test_methods_see_identical_tasks_and_the_same_pool(colours: Path, tmp_path: Path):
    names = ("lda", "protonet", "bd-cspn", "baseline")
    records = [run(tmp_path, name, colours) for name in names]
    assert len({record.tasks_hash for record in records}) == 1
    assert len({record.provenance.data_fingerprint for record in records}) == 1
    assert [record.transductive for record in records] == [False, False, True, False]
    other = run(tmp_path, "lda", colours, tasks={"seed": 1})
    assert other.tasks_hash != records[0].tasks_hash


def test_a_finished_run_is_answered_from_its_record(
    colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    record = run(tmp_path, "lda", colours)
    path = tmp_path / record.run_id / "record.json"
    assert json.loads(path.read_text()) == record.to_json()
    written = path.stat().st_mtime_ns
    (path.parent / ".lock").unlink()  # a folder that nobody may write has to do
    assert run(tmp_path, "lda", colours) == record
    assert path.stat().st_mtime_ns == written
    assert not (path.parent / ".lock").exists()
    again = run(tmp_path, "lda", colours, force=True)
    assert path.stat().st_mtime_ns != written
    assert again.correct == record.correct


def test_the_tasks_of_another_run_are_evaluated_again(colours: Path, tmp_path: Path):
    first = run(tmp_path, "lda", colours)
    file = tmp_path / first.run_id / "tasks.npz"
    again = run(tmp_path, "lda", colours, tasks={"file": str(file)})
    assert again.correct == first.correct
    assert again.tasks_hash == first.tasks_hash
    assert again.tasks.count == 12
    assert again.tasks.ways == 3
    assert again.config["tasks"]["file"] == again.tasks.file == "tasks.npz"
    assert again.without_replacement is None


def test_base_classes_centre_the_features_of_a_head(colours: Path, tmp_path: Path):
    more: dict[str, Any] = {"split": SPLIT, "head": {"features": "CL2N"}}
    record = run(tmp_path, "nearest-mean", colours, **more)
    data = datasets.load(str(colours))
    labels = torch.cat([part.labels for part in data]).numpy()
    novel = [data.train.classes.index(name) for name in record.classes]
    in_pool = np.isin(labels, novel)
    features = features_of_the_pool(colours)
    pool = features[in_pool] - features[~in_pool].mean(0)
    pool /= np.linalg.norm(pool, axis=1, keepdims=True)
    expected = []
    for support, task_labels, query, truth in tasks_of(tmp_path / record.run_id):
        means = np.stack([pool[support[task_labels == way]].mean(0) for way in range(3)])
        distances = ((pool[query][:, None] - means) ** 2).sum(-1)
        expected.append(int((distances.argmin(1) == truth).sum()))
    assert record.correct == expected
    assert record.split == SPLIT
    assert record.n_images == 5 * 18


def test_varying_and_unequal_tasks_have_records(colours: Path, tmp_path: Path):
    request = {**quick("ridge", colours), "tasks": {"sampler": "varying", "count": 12}}
    varying = experiment.run(request, out=tmp_path, device="cpu")
    # The settings that the run wrote describe the same run.
    again = config.read(tmp_path / varying.run_id / "config.yaml")
    again.pop("compute")
    assert experiment.run(again, out=tmp_path, device="cpu").run_id == varying.run_id
    assert isinstance(varying.n_queries, list)
    assert len(varying.n_queries) == 12
    assert varying.without_replacement is None
    unequal = run(tmp_path, "ridge", colours, tasks={"balance": "dirichlet"})
    assert unequal.n_queries == 9
    assert 0 < unequal.accuracy.mean < 1


@pytest.mark.parametrize("method", ["protonet", "lda"])
def test_a_training_is_of_the_base_classes_and_is_cached(
    method: str, colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("FEWSHOT_CACHE", str(tmp_path / "cache"))
    more = {"split": SPLIT, "train": TRAIN, "learner": {}}
    if method == "protonet":
        more["learner"] = {"episode_ways": 4, "episode_shots": 2, "episode_queries": 2}
    fits: list[int] = []
    fit = trainer.fit

    def counted(*arguments: Any, **settings: Any) -> Any:
        fits.append(1)
        return fit(*arguments, **settings)

    monkeypatch.setattr(trainer, "fit", counted)
    first = run(tmp_path / "one", method, colours, **more)
    other = run(tmp_path / "one", method, colours, **more, tasks={"shots": 1})
    seeded_differently = run(tmp_path / "one", method, colours, **more, train_seed=1)
    assert len(fits) == 2
    training = first.training
    assert training is not None
    assert training.method == ("protonet" if method == "protonet" else "baseline")
    assert (training.base, training.n_classes, training.n_images) == (["colours"], 5, 90)
    assert training.steps == 4
    assert other.training == training
    assert seeded_differently.training == replace(
        training, seed=1, seconds=seeded_differently.training.seconds
    )
    untrained = run(tmp_path / "one", method, colours, split=SPLIT)
    assert untrained.training is None
    assert untrained.run_id != first.run_id
    assert "trained on base classes of colours" in first.name


def test_val_classes_choose_the_step(colours: Path, tmp_path: Path):
    more = {
        "split": "seed:0:3/4/3",
        "train": TRAIN,
        "learner": {"episode_ways": 3, "episode_shots": 2, "episode_queries": 2},
    }
    with pytest.raises(UserError, match="select=last"):  # 4 classes are too few for 5-way tasks
        run(tmp_path, "protonet", colours, **more)
    assert list(tmp_path.iterdir()) == []
    record = run(tmp_path, "protonet", colours, **more, select="last")
    assert record.training is not None
    assert record.training.best_step is None


def test_an_interrupted_training_resumes_to_the_same_result(
    colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    more: dict[str, Any] = {"split": SPLIT, "train": {**TRAIN, "steps": 6}}
    more["learner"] = {"episode_ways": 4, "episode_shots": 2, "episode_queries": 2}
    monkeypatch.setenv("FEWSHOT_CACHE", str(tmp_path / "cache-1"))
    expected = run(tmp_path / "whole", "protonet", colours, **more)
    monkeypatch.setenv("FEWSHOT_CACHE", str(tmp_path / "cache-2"))
    apply, calls = meta_training.apply, []

    def interrupted(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 1:
            raise Interrupted
        return apply(*arguments)

    monkeypatch.setattr(meta_training, "apply", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "broken", "protonet", colours, **more)
    folder = tmp_path / "broken" / expected.run_id
    assert not (folder / "record.json").exists()
    again = run(tmp_path / "broken", "protonet", colours, **more)
    assert len(calls) == 2
    assert again.correct == expected.correct


def test_a_body_that_adapts_is_evaluated_on_images(colours: Path, tmp_path: Path):
    record = run(
        tmp_path, "fomaml", colours, tasks={"count": 2}, learner={"inner_steps": 1, "test_steps": 1}
    )
    assert record.cost.feature_seconds == 0
    assert len(record.correct) == 2


def test_a_wrong_request_among_right_ones_leaves_nothing(colours: Path, tmp_path: Path):
    requests = [quick("lda", colours), quick("lda", colours, tasks={"ways": 11})]
    with pytest.raises(UserError, match="11 ways"):
        experiment.run_all(requests, out=tmp_path, device="cpu")
    assert list(tmp_path.iterdir()) == []


def test_given_features_need_no_images(tmp_path: Path):
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(6), 20)
    features = random.normal(size=(120, 8)) + 2 * np.eye(8)[labels]
    pool = given.of_arrays({"features": features, "labels": labels}, "mine")
    values = {"method": "nearest-mean", "head": {"features": "UN"}, "tasks": {"count": 40}}
    record = experiment.run(values, out=tmp_path, device="cpu", given=pool)
    # The settings that the run wrote describe the same run, and a lost task file is written again.
    folder = tmp_path / record.run_id
    content = (folder / "tasks.npz").read_bytes()
    (folder / "tasks.npz").unlink()
    again = config.read(folder / "config.yaml")
    again.pop("compute")
    assert experiment.run(again, out=tmp_path, device="cpu", given=pool) == record
    assert (folder / "tasks.npz").read_bytes() == content
    with pytest.raises(UserError, match="on your own features: name their file with --features"):
        experiment.run(again, out=tmp_path, device="cpu")
    assert (record.data, record.backbone, record.n_images) == ("mine", "given features", 120)
    expected = []
    for support, task_labels, query, truth in tasks_of(tmp_path / record.run_id):
        means = np.stack([features[support[task_labels == way]].mean(0) for way in range(5)])
        distances = ((features[query][:, None] - means) ** 2).sum(-1)
        expected.append(int((distances.argmin(1) == truth).sum()))
    assert record.correct == expected


def test_a_method_whose_logits_are_not_finite_is_named(tmp_path: Path):
    arrays = {"features": np.zeros((60, 4)), "labels": np.repeat(np.arange(6), 10)}
    values = {"method": "cosine", "tasks": {"count": 4, "queries": 3}}
    with pytest.raises(Diverged, match=r"^cosine \(.*\): the logits of some tasks are not finite"):
        experiment.run(values, out=tmp_path, device="cpu", given=given.of_arrays(arrays))
    assert not list(tmp_path.rglob("record.json"))
