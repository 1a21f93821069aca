"""A training of the episodic regime: its own log, and a training that was never interrupted."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from fewshot import io
from fewshot.config import BackboneSettings
from fewshot.errors import UserError
from fewshot.learners import ProtoNet
from fewshot.runs import meta_training, meta_validation, training_stream
from fewshot.runs.episodic import experiment
from fewshot.runs.training_run import BaseTraining
from fewshot.runs.trial_data import Part
from fewshot.training import trainer
from tests.fewshot.runs.colours import SMALL, colours, training

EPISODES = {"episode_ways": 6, "episode_shots": 2, "episode_queries": 3}
OFTEN = {"steps": 6, "lr": 0.05, "log_every_epochs": 0.5}  # a log point at every second step


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEWSHOT_CACHE", str(tmp_path / "cache"))


def protonet(folder: Path, **more: Any) -> BaseTraining:
    bases, val = (colours("base", 10),), colours("val", 6, per_class=20)
    settings = {"learner": EPISODES, "train": OFTEN, **more}
    return training("protonet", folder, bases, val, **settings)


def apply(run: BaseTraining) -> tuple[Any, meta_training.MetaTraining]:
    learner = run.build_learner(0)
    return learner, meta_training.apply(run, learner)


def test_val_tasks_choose_the_best_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The weights are those that had the best accuracy in the log."""
    values, states = iter([0.3, 0.9, 0.5]), []

    def validation(*_: Any) -> trainer.Validate:
        def validate(model: Any) -> dict[str, float]:
            states.append(copy.deepcopy(model.state_dict()))
            return {"loss": 1.0, "accuracy": next(values)}

        return validate

    monkeypatch.setattr(meta_validation, "validation", validation)
    learner, made = apply(protonet(tmp_path / "run"))
    assert [row["validation_accuracy"] for row in made.history] == [0.3, 0.9, 0.5]
    assert made.best_step == made.history[1]["step"] == 4
    for name, tensor in learner.state_dict().items():
        assert torch.equal(tensor, states[1][name]), name
    assert not torch.equal(states[1]["log_scale"], states[2]["log_scale"])


def test_without_val_classes_the_last_step_counts(tmp_path: Path) -> None:
    run = training("protonet", tmp_path / "run", (colours("base", 10),), None, learner=EPISODES)
    _, made = apply(run)
    assert made.best_step is None
    assert made.steps == 6
    assert not any("validation_accuracy" in row for row in made.history)


def test_an_interrupted_training_resumes_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, whole = apply(protonet(tmp_path / "whole"))
    weights = load_file(tmp_path / "whole" / "weights.safetensors")
    monkeypatch.setenv("FEWSHOT_CACHE", str(tmp_path / "other"))
    monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", 0.0)
    original, losses = ProtoNet.loss, []

    def interrupted(self: ProtoNet, item: Any) -> torch.Tensor:
        if len(losses) == 5:  # after two log points
            raise KeyboardInterrupt
        losses.append(item)
        return original(self, item)

    monkeypatch.setattr(ProtoNet, "loss", interrupted)
    with pytest.raises(KeyboardInterrupt):
        apply(protonet(tmp_path / "parts"))
    monkeypatch.setattr(ProtoNet, "loss", original)
    _, parts = apply(protonet(tmp_path / "parts"))
    assert parts.history == whole.history
    assert parts.best_step == whole.best_step
    for name, tensor in load_file(tmp_path / "parts" / "weights.safetensors").items():
        assert torch.equal(tensor, weights[name]), name


def test_the_key_is_of_everything_that_the_weights_depend_on(tmp_path: Path) -> None:
    def key(run: BaseTraining) -> str:
        return meta_training.key(run, run.build_learner(0))

    run = protonet(tmp_path)
    others = [
        protonet(tmp_path, train={**OFTEN, "lr": 0.1}),
        protonet(tmp_path, learner={**EPISODES, "episode_ways": 5}),
        protonet(tmp_path, backbone=SMALL),
        protonet(tmp_path, augment=["flip"]),
        protonet(tmp_path, append={"share": 0.5, "augment": ["flip"]}),
        BaseTraining(run.config, run.bases, None, run.task, tmp_path, run.compute),
        BaseTraining(run.config, run.bases * 2, run.val, run.task, tmp_path, run.compute),
        BaseTraining(run.config, run.bases, run.val, run.task, tmp_path, run.compute, seed=1),
    ]
    assert len({key(run), *map(key, others)}) == 9
    other_test = run.task._replace(n_way=20)  # ways of the evaluation, which training does not see
    same = BaseTraining(run.config, run.bases, run.val, other_test, tmp_path, run.compute)
    views = run.config.backbone.model_copy(update={"views": "flip"})
    seen_otherwise = run.config.model_copy(update={"backbone": BackboneSettings(**dict(views))})
    also = BaseTraining(seen_otherwise, run.bases, run.val, run.task, tmp_path, run.compute)
    assert key(same) == key(run) != key(also)  # the val tasks are seen in these views
    without_val = BaseTraining(run.config, run.bases, None, run.task, tmp_path, run.compute)
    last = BaseTraining(seen_otherwise, run.bases, None, run.task, tmp_path, run.compute)
    assert key(last) == key(without_val)


@pytest.mark.parametrize("method", ["protonet", "siamese"])
def test_an_item_comes_from_one_base_set_in_proportion_to_the_classes(
    method: str, tmp_path: Path
) -> None:
    """Which set an image comes from is known by its brightness."""
    dark, light = colours("dark", 6), colours("light", 18)
    dark.images.clamp_(max=100)
    light.images.clamp_(min=120)
    learner_settings = EPISODES if method == "protonet" else {}
    run = training(
        method, tmp_path, (dark, light), None, learner=learner_settings, train={"epochs": 40}
    )
    union = meta_training.base_sets.union(run.bases)
    part = Part(union, torch.arange(len(union)))
    stream, _ = training_stream.of_run(run, run.build_learner(0), part, seed=0)
    n_light = 0
    for number in range(60):
        item = stream(number)
        images = item.query.images if method == "protonet" else torch.cat([item.left, item.right])
        is_light = images.flatten(1).mean(1) > 110 / 255
        assert is_light.all() or not is_light.any()
        n_light += bool(is_light[0])
        if method == "protonet":
            assert int(item.classes.max()) < (18 if is_light[0] else 6)
    assert 36 <= n_light <= 54  # of 60, with probability 0.75


def test_batches_come_from_the_union_of_the_base_sets(tmp_path: Path) -> None:
    train = {"epochs": 4, "batch_size": 16}
    run = training("baseline", tmp_path, (colours("a", 4), colours("b", 7)), None, train=train)
    union = meta_training.base_sets.union(run.bases)
    learner = run.build_learner(0)
    assert learner.head[-1].out_features == 11
    part = Part(union, torch.arange(len(union)))
    stream, steps_per_epoch = training_stream.of_run(run, learner, part, seed=0)
    assert steps_per_epoch == 11 * 12 / 16
    labels = torch.cat([stream(number).labels for number in range(33)])  # four passes over 132
    assert torch.equal(labels.bincount(), torch.full((11,), 48))


def test_base_sets_of_different_sizes_are_an_error(tmp_path: Path) -> None:
    run = training("baseline", tmp_path, (colours("a", 4), colours("b", 7, side=24)), None)
    with pytest.raises(UserError, match=r"images of a have 16 pixels a side and those of b 24"):
        apply(run)


def test_the_card_says_how_the_weights_were_made(tmp_path: Path) -> None:
    run = protonet(tmp_path / "run")
    _, made = apply(run)
    card = io.read_json(next((tmp_path / "cache" / "meta-training").glob("*/training.json")))
    assert (card["n_classes"], card["n_images"], card["base"]) == (10, 120, "base")
    assert card["images"] == made.images == 6 * 6 * 5
    again = apply(run)[1]
    assert again == made


@pytest.mark.parametrize(("norm", "expected"), [("group", 0), ("batch", 1)])
def test_a_record_says_that_batch_norm_was_held(tmp_path: Path, norm: str, expected: int) -> None:
    request = {
        "method": "protonet",
        "data": "digits",
        "split": "seed:0:5/0/5",
        "train": {"steps": 1},
        "learner": {**EPISODES, "episode_ways": 5},
        "backbone": {"name": "conv4", "options": {"width": 8, "norm": norm}},
        "tasks": {"count": 3},
    }
    record = experiment.run(request, out=tmp_path, device="cpu")
    assert sum("batch norm is held" in warning for warning in record.warnings) == expected
    assert record.training is not None
    assert (record.training.steps, record.training.n_classes) == (1, 5)
