from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file

from episodes import datasets, streams, subsets
from episodes.errors import UserError
from fewshot import backbones, config, progress
from fewshot.errors import Diverged
from fewshot.evaluation import low_data, metrics
from fewshot.features import administration, frozen
from fewshot.learners import probe
from fewshot.model.restore import restore
from fewshot.runs import experiment, records, resolve
from fewshot.runs.records import METRICS

QUICK = {
    "data": "digits",
    "shots": 4,
    "precision": "float32",
    "backbone": {"name": "conv4", "options": {"width": 8}},
    "train": {"steps": 12, "batch_size": 16},
}


def quick(method: str, **more) -> dict:
    values = {key: value for key, value in QUICK.items() if method != "probe" or key != "train"}
    return {**values, "method": method, **more}


def without_times(record: records.RunRecord) -> dict:
    """Return a record as JSON without what differs from run to run: cost, dates, the checkout."""
    kept = json.loads(json.dumps(record.to_json()))
    kept["cost"] = {"parameters": kept["cost"]["parameters"]}
    for key in ("started", "finished", "commit", "dirty"):
        kept["provenance"].pop(key)
    return kept


@pytest.mark.parametrize("method", ["finetune", "maml", "probe", "protonet", "scratch", "siamese"])
def test_a_run_leaves_the_promised_files(method: str, tmp_path: Path) -> None:
    record = experiment.run(quick(method), [0, 1], out=tmp_path)
    folder = tmp_path / record.run_id
    assert records.read(folder / "record.json") == record
    assert record.seeds == [0, 1]
    assert set(record.scores) == set(METRICS)
    assert record.cost.parameters > 1000
    settings = yaml.safe_load((folder / "config.yaml").read_text())
    assert settings["method"] == method
    assert settings["compute"]["precision"] == "float32"
    for seed, accuracy in zip((0, 1), record.scores["accuracy"].values, strict=True):
        draw = folder / f"trial-{seed}"
        names = {path.name for path in draw.iterdir()}
        trained = {"model.safetensors"} if method != "probe" else set()
        assert names == {"metrics.jsonl", "indices.json", "predictions.npz", "trial.json"} | trained
        kept = np.load(draw / "predictions.npz")
        assert kept["test_logits"].dtype == np.float16
        assert (kept["test_logits"].argmax(1) == kept["test_labels"]).mean() == pytest.approx(
            accuracy, abs=0.02
        )  # ties in half
        support = json.loads((draw / "indices.json").read_text())["support"]
        labels = datasets.load("digits").train.labels[torch.tensor(support)]
        assert labels.bincount().tolist() == [4] * 10


def test_all_methods_see_the_same_subsets(tmp_path: Path) -> None:
    found = [
        experiment.run(quick(method), [3], out=tmp_path).provenance.indices
        for method in ("probe", "scratch")
    ]
    assert found[0] == found[1]


def test_more_seeds_run_only_the_missing_draws(tmp_path: Path) -> None:
    first = experiment.run(quick("scratch"), [0, 1], out=tmp_path)
    draws = [tmp_path / first.run_id / f"trial-{seed}" / "trial.json" for seed in (0, 1)]
    before = [path.stat().st_mtime_ns for path in draws]
    second = experiment.run(quick("scratch"), [0, 1, 2], out=tmp_path)
    assert second.run_id == first.run_id
    assert second.seeds == [0, 1, 2]
    assert second.scores["accuracy"].values[:2] == first.scores["accuracy"].values
    assert [path.stat().st_mtime_ns for path in draws] == before
    experiment.run(quick("scratch"), [1], out=tmp_path, force=True)
    assert draws[0].stat().st_mtime_ns == before[0]
    assert draws[1].stat().st_mtime_ns > before[1]


def test_the_run_id_follows_what_decides_the_result(tmp_path: Path) -> None:
    def run_id(**more) -> str:
        return resolve.resolve_run(quick("scratch", **more), tmp_path, "cpu").run_id

    base = run_id()
    assert run_id(precision="bfloat16") == base
    assert run_id(preset="few") == base
    assert run_id(shots=5) != base
    assert run_id(train={"steps": 13, "batch_size": 16}) != base


def test_the_saved_weights_make_the_saved_predictions(tmp_path: Path) -> None:
    record = experiment.run(quick("scratch"), [0], out=tmp_path)
    draw = tmp_path / record.run_id / "trial-0"
    made = resolve.resolve_run(quick("scratch"), tmp_path, "cpu")
    learner = resolve.build_learner(made.config, made.task, seed=5)
    learner.load_state_dict(load_file(draw / "model.safetensors"))
    test = made.data.test
    support = streams.labelled(test, torch.arange(2), "cpu")
    classifier = low_data.adapt(learner, support).classifier
    predictions = low_data.classify(
        classifier, streams.chunks(test, torch.arange(len(test)), 100, "cpu")
    )
    kept = torch.from_numpy(np.load(draw / "predictions.npz")["test_logits"]).float()
    torch.testing.assert_close(predictions.logits, kept, rtol=2e-3, atol=2e-3)


def test_a_hold_out_is_taken_from_the_label_budget(tmp_path: Path) -> None:
    values = quick("scratch", shots=5, select="holdout", validation={"share": 0.2, "split_seed": 3})
    record = experiment.run(values, [0], out=tmp_path)
    drawn = json.loads((tmp_path / record.run_id / "trial-0" / "indices.json").read_text())
    train = datasets.load("digits").train
    budget = subsets.shots(train.labels, train.classes, 5, seed=0).tolist()
    assert sorted(drawn["support"] + drawn["validation"]) == sorted(budget)
    assert train.labels[torch.tensor(drawn["validation"])].bincount().tolist() == [1] * 10
    assert record.labels == 50
    kept = np.load(tmp_path / record.run_id / "trial-0" / "predictions.npz")
    accuracy = (kept["validation_logits"].argmax(1) == kept["validation_labels"]).mean()
    assert record.validation["accuracy"].mean == pytest.approx(accuracy, abs=0.11)


@pytest.mark.parametrize(("start", "steps"), [(9.0, 6), (1.0, 0)])
def test_the_step_is_chosen_on_folds_of_the_support(
    start: float, steps: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The curves are scripted: least on average at the second of four log points, or before the first step."""
    seen: list[set[int]] = []
    curves = [
        [5.0, 1.0, 2.0, 3.0],
        [4.0, 2.0, 1.5, 6.0],
        [3.0, 2.0, 3.5, 3.0],
        [3.0, 2.0, 3.5, 3.0],
    ]
    scripted = iter([loss for curve in curves for loss in (start, *curve)])

    def noting(classifier, queries) -> low_data.Predictions:
        queries = list(queries)
        images = torch.cat([batch.images for batch in queries])
        seen.append({hash(image.numpy().tobytes()) for image in images})
        return classify(classifier, queries)

    classify = low_data.classify
    monkeypatch.setattr(low_data, "classify", noting)
    monkeypatch.setattr(
        metrics,
        "loss_at_best_temperature",
        lambda logits, labels: {"loss": next(scripted), "accuracy": 0.5},
    )
    train = {"steps": 12, "batch_size": 16, "log_every_epochs": 1.6}
    values = quick("scratch", shots=4, select="support_cv", train=train, augment=[])
    record = experiment.run(values, [0], out=tmp_path)
    draw = tmp_path / record.run_id / "trial-0"
    assert json.loads((draw / "trial.json").read_text())["steps"] == steps
    assert record.cost.train_seconds > 0  # the folds' too
    folds = [seen[i] for i in (0, 5, 10, 15)]  # four folds of four shots
    assert [len(fold) for fold in folds] == [10] * 4
    assert len(set.union(*folds)) == 40  # every labelled image validates once
    assert not list(draw.glob("fold-*"))


def test_a_preset_that_chooses_on_folds_stays_at_the_start_at_one_shot(tmp_path: Path) -> None:
    values = quick("finetune", learner={"head": "unit"})
    monkey = pytest.MonkeyPatch()
    read = config.preset
    with monkey.context() as patch:
        patch.setattr(
            config, "preset", lambda method, name: {**read(method, name), "select": "support_cv"}
        )
        one = {**values, "shots": 1}
        assert resolve.resolve_run(one, tmp_path, "cpu").config.select == "start"
        random = {**one, "learner": {"head": "linear", "start": "random"}}
        assert resolve.resolve_run(random, tmp_path, "cpu").config.select == "last"
        assert resolve.resolve_run(values, tmp_path, "cpu").config.select == "support_cv"
        record = experiment.run(one, [0], out=tmp_path)
    probed = experiment.run(quick("probe", shots=1, backbone=values["backbone"]), [0], out=tmp_path)
    assert record.provenance.indices == probed.provenance.indices
    assert record.scores["accuracy"].values == probed.scores["accuracy"].values


def test_a_backbone_with_random_weights_begins_from_training_images(tmp_path: Path) -> None:
    """speed-cnn's filters whiten the support, and stay as they are found."""
    backbone = {"name": "speed-cnn", "options": {"widths": [4, 4, 4]}}
    record = experiment.run(quick("scratch", backbone=backbone, shots=5), [0], out=tmp_path)
    draw = tmp_path / record.run_id / "trial-0"
    kept = json.loads((draw / "indices.json").read_text())["support"]
    known = load_file(draw / "model.safetensors")["backbone.body.stages.0.0.weight"]
    fresh = backbones.build(config.BackboneSettings(**backbone))
    before = fresh.body.stages[0][0].weight.clone()
    fresh.initialise(datasets.load("digits").train.images[kept].float() / 255)
    found = fresh.body.stages[0][0].weight
    # grey images leave directions of no variance, among which none is the right one: so the inverse covariance
    inverse = [each.flatten(1).T @ each.flatten(1) for each in (known, found, before)]
    torch.testing.assert_close(inverse[0], inverse[1], rtol=1e-3, atol=1e-2)
    assert not torch.allclose(inverse[0], inverse[2], rtol=0.1)


def test_meta_training_on_a_base_set(tmp_path: Path) -> None:
    """The base set's images are the only ones that are trained on; its name, not its place, is told."""
    folder = tmp_path / "shapes"
    draw = np.random.default_rng(0)
    for part in ("train", "test"):
        for number in range(12):
            (folder / part / f"class-{number}").mkdir(parents=True)
            for i in range(3):
                image = draw.integers(0, 255, (8, 8, 3), dtype=np.uint8)
                Image.fromarray(image).save(folder / part / f"class-{number}" / f"{i}.png")
    base = {**QUICK["train"], "base": str(folder)}
    plain = experiment.run(quick("protonet", shots=1), [0], out=tmp_path)
    record = experiment.run(quick("protonet", shots=1, train=base), [0], out=tmp_path)
    assert record.run_id != plain.run_id
    assert record.scores != plain.scores  # with one shot of its own it could not have trained
    assert record.warnings == [each for each in record.warnings if "stay as they were" not in each]
    assert "meta-trained on 36 labelled images of shapes" in record.data_notes
    assert record.config["train"]["base"] == "shapes"
    assert record.labels == 10
    pairs = experiment.run(quick("siamese", shots=1, train=base), [0], out=tmp_path)
    assert pairs.scores != experiment.run(quick("siamese", shots=1), [0], out=tmp_path).scores
    with pytest.raises(
        UserError,
        match=r"train.base is for learners of episodes or pairs, and 'finetune' is not one",
    ):
        experiment.run(quick("finetune", train=base), [0], out=tmp_path)


def test_one_shot_runs_everywhere(tmp_path: Path) -> None:
    for method in ("finetune", "probe", "protonet", "scratch", "siamese"):
        record = experiment.run(quick(method, shots=1), [0], out=tmp_path)
        assert record.labels == 10
        assert any("stay as they were" in warning for warning in record.warnings) == (
            method == "protonet"
        )


@pytest.mark.parametrize(
    ("method", "train", "told"),
    [
        ("scratch", {}, False),
        ("scratch", {"phases": [{"trainable": "head"}]}, True),
        ("finetune", {}, True),
    ],
)
def test_batch_norm_that_is_held_on_random_weights_is_told(
    method: str, train: dict, told: bool, tmp_path: Path
) -> None:
    record = experiment.run(
        quick(method, train={**QUICK["train"], "steps": 1, **train}), [0], out=tmp_path
    )
    assert any("held at its initial statistics" in warning for warning in record.warnings) == told


def test_mirrored_digits_are_not_trained_on(tmp_path: Path) -> None:
    made = resolve.resolve_run(quick("scratch", augment=["flip", "translate"]), tmp_path, "cpu")
    assert [step["name"] for step in made.config.augment] == ["translate"]


def test_mirrored_views_of_digits_are_dropped(tmp_path: Path) -> None:
    """Also from the id: nothing else is run."""
    mirrored = quick("probe", backbone={**QUICK["backbone"], "views": "flip"})
    assert resolve.configure(mirrored, "few").backbone.views == "flip"
    made = resolve.resolve_run(mirrored, tmp_path, "cpu")
    assert made.config.backbone.views == "none"
    assert made.run_id == resolve.resolve_run(quick("probe"), tmp_path, "cpu").run_id


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Sums depend in their last bits on the number of threads, so runs to be compared have the same."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_draws_in_processes_are_the_same_draws(tmp_path: Path, one_thread: None) -> None:
    alone = experiment.run(quick("protonet"), [0, 1], out=tmp_path / "a")
    together = experiment.run(quick("protonet"), [0, 1], out=tmp_path / "b", workers=2)
    assert without_times(together) == without_times(alone)


def test_draws_of_another_precision_are_not_mixed_unknowingly(tmp_path: Path) -> None:
    first = experiment.run(quick("scratch"), [0], out=tmp_path)
    with pytest.raises(
        UserError, match=rf"{first.run_id} was computed on cpu in float32: name another --out"
    ):
        experiment.run(quick("scratch", precision="bfloat16"), [0], out=tmp_path)
    forced = experiment.run(quick("scratch", precision="bfloat16"), [0], out=tmp_path, force=True)
    assert forced.run_id == first.run_id
    assert forced.provenance.compute["precision"] == "bfloat16"
    assert experiment.run(quick("scratch", precision="auto"), [0], out=tmp_path) == forced


def test_the_weights_of_a_run_can_start_another(tmp_path: Path) -> None:
    first = experiment.run(quick("scratch"), [0], out=tmp_path)
    weights = tmp_path / first.run_id / "trial-0" / "model.safetensors"
    values = quick("probe", backbone={**QUICK["backbone"], "weights": str(weights)})
    record = experiment.run(values, [0], out=tmp_path)
    assert record.weights == str(weights)
    learner = resolve.build_learner(
        resolve.resolve_run(values, tmp_path).config, resolve.Task(10), seed=0
    )
    kept = load_file(weights)["backbone.body.stages.0.0.weight"]
    assert torch.equal(learner.state_dict()["backbone.body.stages.0.0.weight"], kept)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {
                "shots": 2,
                "validation": {"share": 0.5},
                "select": "holdout",
                "learner": {"hiden": [3]},
            },
            "'learner.hiden'",
        ),
        ({"shots": 1, "validation": {}, "select": "holdout"}, "two labelled images"),
        ({"augment": ["flop"]}, "did you mean 'flip'"),
        (
            {"backbone": {"name": "conv4", "options": {"widht": 3}}},
            "did you mean 'backbone.options.width'",
        ),
        ({"train": {"steps": 3, "lr_multipliers": {"haed": 2}}}, "'haed'"),
        (
            {"backbone": {"name": "conv4", "weights": "/nowhere.safetensors"}},
            "/nowhere.safetensors does not exist",
        ),
    ],
)
def test_wrong_requests_write_nothing(change: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        experiment.run(quick("scratch", **change), [0], out=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_label_mixing_needs_batches(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match="'mixup' mixes labels, which method 'protonet' cannot take"
    ):
        experiment.run(quick("protonet", augment=["mixup"]), [0], out=tmp_path)


def test_frozen_features_are_computed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEWSHOT_CACHE", str(tmp_path / "cache"))
    first = experiment.run(quick("probe"), [0], out=tmp_path / "a")
    files = {
        path: path.read_bytes() for path in (tmp_path / "cache" / "features").glob("*.safetensors")
    }
    assert len(files) == 2  # train and test
    second = experiment.run(quick("probe"), [0], out=tmp_path / "b")
    assert {path: path.read_bytes() for path in files} == files
    assert without_times(first) == without_times(second)
    cleared = administration.clear()
    assert not any(path.exists() for path in files), cleared
    assert without_times(experiment.run(quick("probe"), [0], out=tmp_path / "c")) == without_times(
        first
    )


HEAD = {"steps": 12, "batch_size": 16, "phases": [{"trainable": "head"}]}
STILL = [
    {"name": "noise", "most": 0.0}
]  # changes nothing, but is an augmentation: images go through the network


@pytest.mark.parametrize(
    ("method", "more"),
    [
        ("finetune", {"select": "last"}),
        (
            "finetune",
            {
                "select": "last",
                "backbone": {"name": "resnet", "options": {"width": 8}},
                "learner": {"head": "linear"},
            },
        ),
        ("finetune", {"select": "support_cv"}),
        ("finetune", {"validation": {"share": 0.25}, "select": "holdout"}),
        ("protonet", {}),
        ("scratch", {"backbone": {"name": "conv4", "options": {"width": 8, "norm": "batch"}}}),
        (
            "scratch",
            {"backbone": {"name": "dropout-cnn", "options": {"dropout": 0.5, "pools": "each"}}},
        ),
    ],
)
def test_training_the_head_alone_on_features_is_training_it_on_images(
    method: str, more: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEWSHOT_CACHE", str(tmp_path / "cache"))
    found, seen, forward = {}, {}, backbones.Backbone.forward

    def counting(self, images: torch.Tensor) -> torch.Tensor:
        seen[name] = seen.get(name, 0) + len(images)
        return forward(self, images)

    monkeypatch.setattr(backbones.Backbone, "forward", counting)
    monkeypatch.setattr(frozen, "CHUNK_VIEWS", 64)
    for name, augment in (("images", STILL), ("features", [])):
        values = quick(method, train=HEAD, **more) | {"augment": augment}
        record = experiment.run(values, [0], out=tmp_path / name)
        assert (tmp_path / "cache" / "features").exists() == (name == "features")
        draw = tmp_path / name / record.run_id / "trial-0"
        result = json.loads((draw / "trial.json").read_text())
        found[name] = (
            load_file(draw / "model.safetensors"),
            np.load(draw / "predictions.npz")["test_logits"],
            result,
        )
    (weights, logits, result), (cached_weights, cached_logits, cached) = (
        found["images"],
        found["features"],
    )
    for key in weights:
        torch.testing.assert_close(cached_weights[key], weights[key], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(cached_logits, logits, rtol=2e-3, atol=2e-3)
    assert (cached["steps"], cached["indices_hash"]) == (result["steps"], result["indices_hash"])
    assert cached["cost"]["images_per_second"] > 0
    assert (
        seen["features"] <= 2 + 64 + 64 + 512 < seen["images"]
    )  # try-out, support, hold-out, test; in chunks of 64


@pytest.mark.parametrize(
    ("method", "more"),
    [
        (
            "finetune",
            {"train": {**HEAD, "phases": [{"trainable": "head", "share": 0.5}, {"share": 0.5}]}},
        ),
        ("finetune", {"train": {**HEAD, "phases": [{"trainable": 1}]}}),
        (
            "scratch",
            {"train": {**HEAD, "phases": [{"trainable": "head", "share": 0.5}, {"share": 0.5}]}},
        ),
        ("finetune", {"train": HEAD, "append": {"share": 0.5, "augment": ["translate"]}}),
    ],
)
def test_what_changes_the_backbone_or_the_images_keeps_to_images(
    method: str, more: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEWSHOT_CACHE", str(tmp_path / "cache"))
    experiment.run({**quick(method, **more), "augment": []}, [0], out=tmp_path)
    assert not (tmp_path / "cache" / "features").exists()


@pytest.mark.parametrize("more", [{"train": None}, {"shots": 1}])
def test_prototypes_without_training_are_class_means_of_cached_features(
    more: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEWSHOT_CACHE", str(tmp_path / "cache"))
    values = quick("protonet", learner={"distance": "euclidean"}, **more)
    record = experiment.run(values, [0], out=tmp_path)
    assert len(list((tmp_path / "cache" / "features").glob("*.safetensors"))) == 2
    assert any("stay as they were" in warning for warning in record.warnings) == ("shots" in more)
    made = resolve.resolve_run(values, tmp_path, "cpu")
    backbone = resolve.build_learner(made.config, made.task, seed=0).backbone.eval()
    train, test = made.data
    budget = subsets.shots(train.labels, train.classes, values["shots"], seed=0)
    with torch.no_grad():
        support = backbone(train.images[budget].float() / 255).double().numpy()
        query = backbone(test.images.float() / 255).double().numpy()
    means = np.stack([support[train.labels[budget].numpy() == way].mean(0) for way in range(10)])
    nearest = ((query[:, None] - means) ** 2).sum(-1).argmin(1)
    kept_logits = np.load(tmp_path / record.run_id / "trial-0" / "predictions.npz")["test_logits"]
    assert (kept_logits.argmax(1) == nearest).mean() > 0.99  # half precision ties a few


LONG = [
    sys.executable, "-m", "fewshot", "run", "--method", "scratch", "--shots", "16", "--data", "digits", "--seeds", "2",
    "--set", "backbone.options={width: 16}", "--set", "train.steps=600", "--set", "train.log_every_epochs=5",
    "--set", "train.ema_decay=0.99", "--set", "learner.dropout=0.2", "--json",
]  # fmt: skip
EAGER = "import fewshot.training.trainer as t; t.CHECKPOINT_SECONDS = 0.2"


def long_run(out: Path) -> subprocess.Popen[str]:
    """The command with checkpoints five times a second instead of four a minute."""
    arguments = ["fewshot", *LONG[3:], "--out", str(out)]
    code = (
        f"{EAGER}\nimport sys; sys.argv = {arguments!r}\nfrom fewshot.cli.main import main; main()"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finished(out: Path) -> dict:
    process = long_run(out)
    printed, said = process.communicate()
    assert process.returncode == 0, said
    return without_times(records.RunRecord.from_json(json.loads(printed)))


def checkpointed(out: Path, process: subprocess.Popen[str], seconds: float) -> None:
    """Wait for the first checkpoint, and then as long as told."""
    while not list(out.glob("*/trial-0/checkpoint.pt")):
        assert process.poll() is None
        time.sleep(0.02)
    time.sleep(seconds)


@pytest.mark.slow
def test_killed_five_times_at_random_a_run_ends_the_same(tmp_path: Path) -> None:
    undisturbed = finished(tmp_path / "a")
    luck = random.Random(0)
    for _ in range(5):
        process = long_run(tmp_path / "b")
        checkpointed(tmp_path / "b", process, luck.uniform(0.2, 3.0))
        process.kill()
        process.communicate()
    assert finished(tmp_path / "b") == undisturbed


def test_ctrl_c_leaves_a_run_that_continues(tmp_path: Path) -> None:
    process = long_run(tmp_path)
    checkpointed(tmp_path, process, 0.5)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command continues" in said
    assert "Traceback" not in said
    (folder,) = tmp_path.iterdir()
    state = torch.load(folder / "trial-0" / "checkpoint.pt", weights_only=True)
    assert 0 < state["progress"]["step"] < 600
    assert not (folder / "record.json").exists()


def test_a_diverging_run_fails_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(Diverged, match="lower train"):
        experiment.run(
            quick("scratch", train={"steps": 50, "lr": 1e20, "optimizer": {"name": "sgd"}}),
            [0],
            out=tmp_path,
        )
    assert not list(tmp_path.glob("*/record.json"))


def test_nothing_is_half_written_on_a_full_disk(tmp_path: Path) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here to stand for a full disk")
    record = experiment.run(quick("probe"), [0], out=tmp_path)
    folder = tmp_path / record.run_id
    before = (folder / "record.json").read_bytes()
    (folder / f"record.json.{os.getpid()}.part").symlink_to("/dev/full")
    with pytest.raises(
        UserError, match=r"record\.json could not be written \(No space left on device\)"
    ):
        experiment.run(quick("probe"), [0, 1], out=tmp_path)
    assert (folder / "record.json").read_bytes() == before
    assert not list(folder.rglob("*.part"))
    assert experiment.run(quick("probe"), [0, 1], out=tmp_path).seeds == [0, 1]


@pytest.mark.parametrize(
    ("image_size", "input_size", "told"), [(63, None, False), (64, None, True), (64, 48, False)]
)
def test_large_images_in_a_small_network_are_a_warning(
    image_size, input_size, told, tmp_path: Path
) -> None:
    values = quick("probe", shots=1, image_size=image_size)
    values["backbone"] = {
        **values["backbone"],
        "options": {"width": 8, "pool": True},
        "input_size": input_size,
    }
    record = experiment.run(values, [0], out=tmp_path)
    assert any("sees images of 64 pixels at 32" in warning for warning in record.warnings) == told


def test_a_long_training_says_how_long_it_takes(tmp_path: Path, monkeypatch) -> None:
    """With a clock that goes a minute at every look: twelve steps, a log point and so a minute each at least."""
    seconds = iter(range(0, 10**6, 60))
    monkeypatch.setattr("fewshot.runs.fitting.time.perf_counter", lambda: next(seconds))
    told: list[str] = []
    values = quick("scratch", train={"steps": 12, "batch_size": 16, "log_every_epochs": 0.1})
    with progress.shown_by(told.append):
        experiment.run(values, [0], out=tmp_path)
    steps = [text for text in told if text.startswith("step ")]
    assert len(steps) >= 3
    assert "left" not in steps[0]
    assert all(re.search(r", [1-9]\d* min left$", text) for text in steps[1:-1])
    assert "left" not in steps[-1]


def test_compiling_in_half_precision_on_a_cpu_is_refused(tmp_path: Path) -> None:
    asked = quick("scratch", precision="bfloat16", train={**QUICK["train"], "compile": True})
    with pytest.raises(UserError, match=r"train\.compile: .* use --set precision=float32"):
        resolve.resolve_run(asked, tmp_path, "cpu")
    resolve.resolve_run({**asked, "precision": "float32"}, tmp_path, "cpu")


def test_with_views_a_run_of_scratch_also_tells_what_it_is_without(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (2, 12, 16, 16, 3), dtype=np.uint8)
    for name, images in zip(("cat", "dog"), noise, strict=True):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number, pixels in enumerate(images):
            Image.fromarray(pixels).save(tmp_path / "data" / name / f"{number}.png")
    asked = quick("scratch", data=str(tmp_path / "data"), shots=4)
    plain = experiment.run(asked, [0], out=tmp_path / "runs")
    viewed = {**asked, "backbone": {**asked["backbone"], "views": "flip-shift"}}
    record = experiment.run(viewed, [0], out=tmp_path / "runs")
    assert plain.measures == {}
    assert record.measures["accuracy_without_views"].values == plain.scores["accuracy"].values


def test_a_logistic_readout_sees_the_whole_support(tmp_path: Path) -> None:
    asked = quick(
        "finetune",
        shots=6,
        learner={"head": "unit", "readout": "logistic", "readout_c": 5.0},
        select="last",
    )
    record = experiment.run(asked, [0], out=tmp_path)
    made, learner, kept = restore(tmp_path / record.run_id, 0)
    assert len(kept) == 60
    support = streams.labelled(made.data.train, kept, "cpu")
    with torch.no_grad():
        classify = probe.fit_classifier(learner.eval().backbone, support, probe.Options(c=5.0))
        expected = classify(streams.as_float(made.data.test.images)).argmax(1)
    saved = np.load(tmp_path / record.run_id / "trial-0" / "predictions.npz")["test_logits"].argmax(
        1
    )
    assert (saved == expected.numpy()).mean() > 0.99  # saved in half precision
