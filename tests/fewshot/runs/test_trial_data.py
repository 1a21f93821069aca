"""Oracles: the images of an easy task by index, and features computed by the backbone itself."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from episodes import subsets
from episodes.types import Features, FeatureSet, ImageSet
from fewshot import backbones
from fewshot.features import administration, frozen
from fewshot.runs import experiment, resolve, run_settings, trial_data
from fewshot.runs.labelled_subset import labelled_subset
from fewshot.runs.trial_data import Part
from tests.fewshot import easy
from tests.fewshot.runs.quick_runs import quick, without_times

IMAGES = easy.images(5, 0)


def part(*indices: int) -> Part:
    return Part(IMAGES, torch.tensor(indices))


def test_a_part_has_the_labels_of_its_indices_and_can_be_narrowed() -> None:
    own = part(0, 6, 7, 19)
    assert own.labels.tolist() == [0, 1, 1, 3]
    assert own.n_way == 4
    assert own.select(torch.tensor([3, 1])).indices.tolist() == [19, 6]


@pytest.mark.parametrize(("indices", "expected"), [((0, 5), 0), ((0, 1, 5), 1), ((0, 1, 5, 6), 2)])
def test_a_class_needs_two_images_to_be_in_an_episode(
    indices: tuple[int, ...], expected: int
) -> None:
    assert trial_data.episode_ways(part(*indices)) == expected


def test_a_learner_of_batches_gets_one_image_of_each_class_to_adapt_to() -> None:
    learner, train = easy.Stub(), Part(IMAGES, torch.arange(20))
    whole = trial_data.support_for_adapt(learner, train, "cpu")
    assert torch.equal(whole.labels, IMAGES.labels)
    learner.feed = "batches"
    assert trial_data.support_for_adapt(learner, train, "cpu").labels.tolist() == [0, 1, 2, 3]
    learner.needs = learner.needs._replace(support=True)
    assert len(trial_data.support_for_adapt(learner, train, "cpu").labels) == 20


def feature_part(n: int) -> Part:
    features = torch.randn(n, 6, generator=torch.Generator().manual_seed(0))
    source = FeatureSet(features.as_subclass(Features), torch.arange(n) % 4, tuple("abcd"))
    return Part(source, torch.arange(n))


@pytest.mark.parametrize("own", [part(3, 1, 17), feature_part(5000)])
def test_batches_cover_a_part_in_order(own: Part) -> None:
    batches = list(trial_data.batches(easy.Stub(), own, "cpu"))
    assert torch.equal(torch.cat([batch.labels for batch in batches]), own.labels)
    rows = torch.cat([batch.images for batch in batches])
    if isinstance(own.source, ImageSet):
        assert torch.equal((rows * 255).round().to(torch.uint8), own.source.images[own.indices])
    else:
        assert torch.equal(rows.as_subclass(Tensor), own.source.features.as_subclass(Tensor))
        assert len(batches) == 2


def test_repeated_batches_are_the_same_in_every_pass() -> None:
    batches = trial_data.repeated_batches(easy.Stub(), part(3, 1, 17), "cpu")
    first, second = ([batch.images for batch in batches] for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def request(method: str, **more: object) -> dict[str, object]:
    backbone = {"name": "conv4", "options": {"width": 4}, "weights": "none"}
    return {"method": method, "data": "digits", "shots": 1, "backbone": backbone, **more}


def test_a_probe_gets_the_features_that_its_backbone_computes(tmp_path: Path) -> None:
    run = resolve.resolve_run(request("probe", precision="float32"), tmp_path, "cpu")
    learner = run.build_learner(0)
    subset = labelled_subset(run.config, run.data, 0)
    data = trial_data.load(run, learner, subset)
    assert isinstance(data.train.source, FeatureSet)
    assert data.validation is None
    assert torch.equal(data.train.labels, run.data.train.labels[subset.train])
    assert torch.equal(data.test.labels, run.data.test.labels)
    assert data.feature_seconds > 0
    again = trial_data.load(run, learner, subset)
    assert again.feature_seconds == data.feature_seconds  # though they came from the cache
    images = run.data.train.images[subset.train].float() / 255
    with torch.no_grad():
        expected = learner.eval().backbone(images)
    features = data.train.source.features.as_subclass(Tensor)
    torch.testing.assert_close(features, expected, rtol=1e-3, atol=1e-4)


def test_a_learner_that_trains_its_backbone_gets_images(tmp_path: Path) -> None:
    run = resolve.resolve_run(request("scratch", precision="float32"), tmp_path, "cpu")
    learner = run.build_learner(0)
    assert isinstance(learner, nn.Module)
    data = trial_data.load(run, learner, labelled_subset(run.config, run.data, 0))
    assert data.train.source is run.data.train
    assert data.test.source is run.data.test


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
    trials, n_images, forward = {}, {}, backbones.Backbone.forward

    def counting(self, images: torch.Tensor) -> torch.Tensor:
        n_images[name] = n_images.get(name, 0) + len(images)
        return forward(self, images)

    monkeypatch.setattr(backbones.Backbone, "forward", counting)
    monkeypatch.setattr(frozen, "CHUNK_VIEWS", 64)
    for name, augment in (("images", STILL), ("features", [])):
        values = quick(method, train=HEAD, **more) | {"augment": augment}
        record = experiment.run(values, [0], out=tmp_path / name)
        assert (tmp_path / "cache" / "features").exists() == (name == "features")
        trial = tmp_path / name / record.run_id / "trial-0"
        result = json.loads((trial / "trial.json").read_text())
        trials[name] = (
            load_file(trial / "model.safetensors"),
            np.load(trial / "predictions.npz")["test_logits"],
            result,
        )
    weights, logits, result = trials["images"]
    cached_weights, cached_logits, cached = trials["features"]
    for key in weights:
        torch.testing.assert_close(cached_weights[key], weights[key], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(cached_logits, logits, rtol=2e-3, atol=2e-3)
    assert (cached["steps"], cached["indices_hash"]) == (result["steps"], result["indices_hash"])
    assert cached["cost"]["images_per_second"] > 0
    # The images of the check, the support, the hold-out and the test set, in chunks of 64.
    assert n_images["features"] <= 2 + 64 + 64 + 512 < n_images["images"]


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
def test_a_changing_backbone_or_changing_images_need_images(
    method: str, more: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEWSHOT_CACHE", str(tmp_path / "cache"))
    values = {**quick(method, **more), "augment": [], "calibration": "none"}
    experiment.run(values, [0], out=tmp_path)
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
    backbone = run_settings.build_learner(made.config, made.task, seed=0).backbone.eval()
    train, test = made.data
    budget = subsets.shots(train.labels, train.classes, values["shots"], seed=0)
    with torch.no_grad():
        support = backbone(train.images[budget].float() / 255).double().numpy()
        query = backbone(test.images.float() / 255).double().numpy()
    means = np.stack([support[train.labels[budget].numpy() == way].mean(0) for way in range(10)])
    nearest = ((query[:, None] - means) ** 2).sum(-1).argmin(1)
    kept_logits = np.load(tmp_path / record.run_id / "trial-0" / "predictions.npz")["test_logits"]
    assert (kept_logits.argmax(1) == nearest).mean() > 0.99  # half precision ties a few
