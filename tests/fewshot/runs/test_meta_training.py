"""Meta-training against a training written out here, and against one that was never interrupted."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from sklearn.metrics.pairwise import cosine_similarity

from episodes import augment, datasets, streams
from episodes.datasets.locations import cache_root
from episodes.rng import seeded
from fewshot import backbones, io
from fewshot.config import Train
from fewshot.errors import UserError
from fewshot.features import administration
from fewshot.learners import ProtoNet, Siamese
from fewshot.model.restore import restore
from fewshot.runs import (
    experiment,
    fitting,
    meta_training,
    resolve,
    training_stream,
    trial,
    trial_data,
)
from fewshot.training import trainer
from tests.fewshot.runs.quick_runs import quick, without_times

SMALL = {"name": "conv4", "options": {"width": 8, "norm": "group"}}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEWSHOT_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of twelve classes: a colour each, with noise."""
    folder = tmp_path_factory.mktemp("base") / "shapes"
    random = np.random.default_rng(0)
    colours = random.integers(40, 215, (12, 3))
    for part in ("train", "test"):
        for number in range(12):
            (folder / part / f"class-{number}").mkdir(parents=True)
            for i in range(6):
                pixels = colours[number] + random.integers(-40, 40, (8, 8, 3))
                image = Image.fromarray(pixels.astype(np.uint8))
                image.save(folder / part / f"class-{number}" / f"{i}.png")
    return folder


def request(method: str, base: Path, **more: Any) -> dict[str, Any]:
    train = {"steps": 6, "batch_size": 16, "base": str(base)}
    return quick(method, backbone=SMALL, **{"train": train, **more})


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that gets the seed of every training."""
    seeds: list[int] = []
    original = fitting.fit_part

    def counted(run, learner, data, seed, folder, **more):
        seeds.append(seed)
        return original(run, learner, data, seed, folder, **more)

    monkeypatch.setattr(fitting, "fit_part", counted)
    return seeds


def cached_folder() -> Path:
    (folder,) = [path for path in (cache_root() / "meta-training").iterdir() if path.is_dir()]
    return folder


def test_one_training_serves_all_trials_and_numbers_of_labels(
    base: Path, tmp_path: Path, trainings: list[int]
) -> None:
    records = [
        experiment.run(request("protonet", base, shots=shots), [0, 1, 2], out=tmp_path)
        for shots in (1, 4)
    ]
    assert trainings == [meta_training.SEED]
    seconds = io.read_json(cached_folder() / "training.json")["seconds"]
    for record in records:
        assert record.cost.meta_train_seconds == seconds
        assert record.cost.train_seconds == 0
        assert any("meta-trained once on shapes (12 classes" in text for text in record.warnings)
        assert len(set(record.scores["accuracy"].values)) > 1  # the supports differ
    experiment.run(request("protonet", base, learner={"scale": 5.0}), [0], out=tmp_path)
    assert len(trainings) == 2


def test_the_weights_are_those_of_the_training_by_hand(base: Path, tmp_path: Path) -> None:
    """Images by their label alone, on the seed of the meta-training, not that of the trial."""
    record = experiment.run(request("siamese", base), [7], out=tmp_path)
    images = datasets.load(str(base)).train
    with seeded(0, "initialise"):
        expected = Siamese(backbones.build("conv4", options=SMALL["options"]))
    pool = streams.pool(images, torch.arange(len(images)), "cpu")
    stream = streams.pairs(pool, 16, augment.build([], 12), 0)
    with seeded(0, "fit"):
        trainer.fit(expected, stream, Train(steps=6, batch_size=16), len(images) / 16)
    saved = load_file(tmp_path / record.run_id / "weights.safetensors")
    assert saved.keys() == expected.state_dict().keys()
    for name, tensor in expected.state_dict().items():
        assert torch.equal(saved[name], tensor), name
    # The trial classifies by the cosine to the mean of the unit vectors of its own support.
    trial = tmp_path / record.run_id / "trial-7"
    digits = datasets.load("digits")
    support = io.read_json(trial / "indices.json")["support"]
    with torch.no_grad():
        features, queries = (
            expected.backbone(part.float() / 255)
            for part in (digits.train.images[support], digits.test.images)
        )
    centred, asked = (features - features.mean(0)).numpy(), (queries - features.mean(0)).numpy()
    unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    labels = digits.train.labels[support].numpy()
    means = np.stack([unit[labels == way].mean(0) for way in range(10)])
    right = cosine_similarity(asked, means).argmax(1) == digits.test.labels.numpy()
    assert record.scores["accuracy"].values == pytest.approx([right.mean()], abs=0.003)


def key_of(method: str, base: Path, out: Path, **more: Any) -> str:
    """Return the key of the weights of a run; `train` adds to its training."""
    values = request(method, base, **more)
    values["train"] = {"steps": 6, "batch_size": 16, "base": str(base), **more.get("train", {})}
    run = resolve.resolve_run(values, out, "cpu")
    return meta_training.key(run, run.build_learner(0))


def test_appended_copies_are_part_of_the_key(base: Path, tmp_path: Path) -> None:
    half = {"share": 0.5, "augment": ["grey"]}
    keys = [
        key_of("baseline", base, tmp_path),
        key_of("baseline", base, tmp_path, append=half),
        key_of("baseline", base, tmp_path, append={**half, "share": 0.25}),
    ]
    assert len(set(keys)) == 3


def test_superclasses_from_a_file_are_part_of_the_key_where_they_divide_tasks(
    base: Path, tmp_path: Path
) -> None:
    own = shutil.copytree(base, tmp_path / "shapes")
    keys: dict[float, set[str]] = {0.0: set(), 0.5: set()}
    for groups in ((range(6), range(6, 12)), (range(4), range(4, 12))):
        named = [", ".join(f"class-{number}" for number in numbers) for numbers in groups]
        lines = [f"{name}: [{members}]\n" for name, members in zip("ab", named, strict=True)]
        (own / "groups.yaml").write_text("".join(lines))
        for share, some in keys.items():
            some.add(key_of("siamese", own, tmp_path, train={"within_superclass": share}))
    assert {share: len(some) for share, some in keys.items()} == {0.0: 1, 0.5: 2}


def test_an_episode_has_as_many_base_classes_as_asked(base: Path, tmp_path: Path) -> None:
    run = resolve.resolve_run(request("protonet", base, learner={"episode_ways": 11}), tmp_path)
    (images,) = run.bases
    part = trial_data.Part(images, torch.arange(len(images)))
    stream, _ = training_stream.of_run(run, run.build_learner(0), part, 0)
    assert stream(0).classes.unique().numel() == 11


def test_an_interrupted_training_resumes_in_the_next_run(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = experiment.run(request("protonet", base), [0], out=tmp_path / "whole")
    weights = (cached_folder() / "weights.safetensors").read_bytes()
    monkeypatch.setenv("FEWSHOT_CACHE", str(tmp_path / "other"))
    monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", 0.0)
    original, losses = ProtoNet.loss, []

    def interrupted(self, item):
        if len(losses) == 4:
            raise KeyboardInterrupt
        losses.append(item)
        return original(self, item)

    monkeypatch.setattr(ProtoNet, "loss", interrupted)
    with pytest.raises(KeyboardInterrupt):
        experiment.run(request("protonet", base), [0], out=tmp_path / "parts")
    assert not list((tmp_path / "parts").rglob("record.json"))
    calls: list[Any] = []
    monkeypatch.setattr(ProtoNet, "loss", lambda *words: calls.append(1) or original(*words))
    parts = experiment.run(request("protonet", base), [0], out=tmp_path / "parts")
    assert len(calls) == 2  # of six
    assert (cached_folder() / "weights.safetensors").read_bytes() == weights
    assert without_times(parts) == without_times(whole)


def test_trials_at_the_same_time_wait_for_one_training(
    base: Path, tmp_path: Path, trainings: list[int]
) -> None:
    run = resolve.resolve_run(request("siamese", base), tmp_path)
    run.folder.mkdir()
    learners = [run.build_learner(seed) for seed in (0, 1)]
    with ThreadPoolExecutor(2) as pool:
        applied = list(pool.map(lambda learner: meta_training.apply(run, learner), learners))
    assert trainings == [meta_training.SEED]
    assert applied[0] == applied[1]
    first, second = (learner.state_dict() for learner in learners)
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def test_all_labels_are_one_trial_since_the_weights_are_shared(base: Path, tmp_path: Path) -> None:
    """Oracle: a second trial, run all the same, has the same logits."""
    values = {**request("protonet", base), "shots": None, "full": True}
    record = experiment.run(values, [0, 1], out=tmp_path)
    assert record.seeds == [0]
    run = resolve.resolve_run(values, tmp_path)
    trial.run_trial(run, 5)
    first, second = (
        np.load(run.trial_folder(seed) / "predictions.npz")["test_logits"] for seed in (0, 5)
    )
    np.testing.assert_array_equal(first, second)


def test_a_run_is_restored_without_the_cache(base: Path, tmp_path: Path) -> None:
    record = experiment.run(request("protonet", base), [3], out=tmp_path)
    expected = load_file(cached_folder() / "weights.safetensors")
    shutil.rmtree(cached_folder())
    state = restore(tmp_path / record.run_id, 3).learner.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in expected.items())
    (tmp_path / record.run_id / "weights.safetensors").unlink()
    with pytest.raises(UserError, match=r"weights\.safetensors cannot be read"):
        restore(tmp_path / record.run_id, 3)


def test_the_cache_shows_and_clears_them(base: Path, tmp_path: Path) -> None:
    experiment.run(request("protonet", base), [0], out=tmp_path)
    size = sum(path.stat().st_size for path in cached_folder().iterdir())
    (line,) = [line for line in administration.show().splitlines() if "6 steps in" in line]
    assert "shapes, protonet on conv4" in line
    assert f"{size / 1e6:,.1f} MB" in line
    assert administration.clear().startswith("freed ")
    assert not [path for path in (cache_root() / "meta-training").iterdir() if path.is_dir()]


def test_damaged_weights_are_trained_again(
    base: Path, tmp_path: Path, trainings: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    first = experiment.run(request("protonet", base), [0], out=tmp_path)
    path = cached_folder() / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    again = experiment.run(request("protonet", base), [0], out=tmp_path, force=True)
    assert "are damaged" in caplog.text
    assert trainings == [0, 0]
    assert first.scores == again.scores


@pytest.mark.parametrize("content", ['{"method": "proto', "[]", '{"steps": 6}'])
def test_weights_with_a_damaged_card_are_trained_again(
    base: Path,
    tmp_path: Path,
    trainings: list[int],
    caplog: pytest.LogCaptureFixture,
    content: str,
) -> None:
    first = experiment.run(request("protonet", base), [0], out=tmp_path)
    (cached_folder() / "training.json").write_text(content)
    again = experiment.run(request("protonet", base), [0], out=tmp_path, force=True)
    assert "are damaged" in caplog.text
    assert trainings == [0, 0]
    assert first.scores == again.scores


@pytest.mark.parametrize(
    ("method", "learner", "on_features"),
    [
        ("protonet", {}, True),
        ("siamese", {}, True),
        ("maml", {"inner_trainable": "head"}, True),
        ("maml", {"inner_trainable": "all"}, False),
    ],
)
def test_trials_use_features_unless_they_adapt_the_body(
    method: str, learner: dict[str, Any], on_features: bool, base: Path, tmp_path: Path
) -> None:
    run = resolve.resolve_run(request(method, base, learner=learner), tmp_path)
    part = trial_data.Part(run.data.train, torch.arange(10))
    assert trial_data.works_on_features(run, run.build_learner(0), part) is on_features


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"select": "holdout", "validation": {"share": 0.5}}, "the labelled images choose nothing"),
        ({"train": {"base": "digits"}}, "also needs train.steps or train.epochs: set one"),
    ],
)
def test_what_would_depend_on_the_labelled_images_is_refused(
    more: dict[str, Any], sentence: str, base: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=sentence):
        experiment.run(request("protonet", base, **more), [0], out=tmp_path)
