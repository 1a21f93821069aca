"""Oracles: the images of an easy task by index, and features computed by the backbone itself."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from episodes.types import Features, FeatureSet, ImageSet
from fewshot.runs import resolve, trial_data
from fewshot.runs.labelled_subset import labelled_subset
from fewshot.runs.trial_data import Part
from tests.fewshot import easy

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
    subset = labelled_subset(run.config, run.data.train, 0)
    data = trial_data.load(run, learner, subset)
    assert isinstance(data.train.source, FeatureSet)
    assert data.validation is None
    assert torch.equal(data.train.labels, run.data.train.labels[subset.train])
    assert torch.equal(data.test.labels, run.data.test.labels)
    assert data.feature_seconds > 0
    images = run.data.train.images[subset.train].float() / 255
    with torch.no_grad():
        expected = learner.eval().backbone(images)
    features = data.train.source.features.as_subclass(Tensor)
    torch.testing.assert_close(features, expected, rtol=1e-3, atol=1e-4)


def test_a_learner_that_trains_its_backbone_gets_images(tmp_path: Path) -> None:
    run = resolve.resolve_run(request("scratch", precision="float32"), tmp_path, "cpu")
    learner = run.build_learner(0)
    assert isinstance(learner, nn.Module)
    data = trial_data.load(run, learner, labelled_subset(run.config, run.data.train, 0))
    assert data.train.source is run.data.train
    assert data.test.source is run.data.test
