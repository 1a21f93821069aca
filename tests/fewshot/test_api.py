"""Oracles: the functions below the interface, JSON files, scikit-learn, and an easy task."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from sklearn.neighbors import NearestCentroid
from torch import Tensor, nn

import fewshot
from episodes import subsets
from episodes.errors import UserError
from episodes.rng import seeded
from episodes.types import Labelled
from fewshot import api, backbones
from fewshot.config import BackboneSettings
from fewshot.learners.base import Classifier, Learner
from tests.fewshot import easy


class Plain(Learner):
    """A linear layer on a small network, as a user might write it in a notebook."""

    feed = "batches"

    def __init__(self) -> None:
        with seeded(0, "test"):
            super().__init__(backbones.build(BackboneSettings(name="conv4", options={"width": 8})))
            self.head = nn.Linear(self.backbone.n_features, easy.N_WAY)

    def loss(self, item: Labelled) -> Tensor:
        return nn.functional.cross_entropy(self.head(self.backbone(item.images)), item.labels)

    def adapt(self, support: Labelled) -> Classifier:
        return lambda images: self.head(self.backbone(images))


def test_importing_the_package_loads_no_torch_and_offers_every_public_name():
    code = "import sys, fewshot; print('torch' in sys.modules); print(*dir(fewshot))"
    command = [sys.executable, "-c", code]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert shown[0] == "False"
    assert set(fewshot.__all__) <= set(shown)
    for name in fewshot.__all__:
        assert getattr(fewshot, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'no_such_name'"):
        fewshot.no_such_name  # noqa: B018


def test_a_sampled_subset_has_the_images_that_a_run_selects():
    images = easy.images(6, 0)
    subset = api.sample_subset(images, shots=2, seed=3)
    indices = subsets.shots(images.labels, images.classes, 2, 3)
    assert torch.equal(subset.labels, images.labels[indices])
    assert torch.equal((subset.images * 255).round().to(torch.uint8), images.images[indices])
    assert len(api.sample_subset(images, fraction=0.5).labels) == 3 * easy.N_WAY


def test_an_episode_needs_at_least_one_of_everything():
    with pytest.raises(fewshot.UserError, match="ways=0, shots=1, queries=15"):
        api.sample_episode(easy.images(6, 0), ways=0)


@pytest.mark.parametrize("budget", [{}, {"shots": 1, "fraction": 0.5}])
def test_a_subset_needs_exactly_one_budget(budget: dict[str, float]):
    with pytest.raises(UserError, match="exactly one of shots and fraction"):
        api.sample_subset(easy.images(6, 0), **budget)


def test_a_sampled_episode_is_a_disjoint_task_whose_labels_map_back():
    images = easy.images(6, 0)
    episode = api.sample_episode(images, ways=3, shots=2, queries=4, seed=1)
    assert episode.support.labels.bincount().tolist() == [2, 2, 2]
    assert episode.query.labels.bincount().tolist() == [4, 4, 4]
    both = torch.cat([episode.support.images, episode.query.images])
    assert len({image.numpy().tobytes() for image in both}) == 18
    for part in (episode.support, episode.query):
        # The colour of an image is that of its class.
        colours = part.images.mean((2, 3))
        nearest = torch.cdist(colours, 0.7 * easy.COLOURS + 0.15).argmin(1)
        assert torch.equal(nearest, episode.classes[part.labels])


def test_fitting_learns_an_easy_task_and_repeats_for_a_seed():
    support, query = easy.labelled(6, 0), easy.images(10, 1)
    learners = [Plain(), Plain()]
    for learner in learners:
        fitted = api.fit(learner, support, steps=20, lr=0.01, batch_size=12, quiet=True)
        assert fitted is learner
        assert not learner.training
    scores = api.evaluate(learners[0], support, query)
    assert scores.accuracy > 0.9
    assert scores.accuracy > api.evaluate(Plain(), support, query).accuracy
    assert api.evaluate(learners[1], support, query) == scores


@pytest.mark.filterwarnings("ignore:self.within_class_std_dev_")
def test_untrained_prototypes_agree_with_the_nearest_centroid_of_scikit_learn():
    train, test = fewshot.load_dataset("digits")
    support = fewshot.sample_subset(train, shots=5, seed=3)
    query = fewshot.sample_subset(test, shots=20, seed=0)
    with seeded(0, "test"):
        backbone = fewshot.build_backbone("conv4", input_size=16, options={"width": 16})
    learner = fewshot.ProtoNet(backbone, distance="euclidean")
    scores = fewshot.evaluate(learner, support, query)
    with torch.no_grad():
        known, unknown = backbone(support.images), backbone(query.images)
    oracle = NearestCentroid().fit(known, support.labels)
    assert scores.accuracy == pytest.approx(oracle.score(unknown, query.labels))


@pytest.mark.parametrize("name", ["ProtoNet", "Siamese", "Supervised", "FineTune"])
def test_fitting_trains_the_backbone_of_learners_of_every_feed(name: str):
    arguments = {"n_way": easy.N_WAY} if name in ("Supervised", "FineTune") else {}
    options = {"width": 8, "norm": "group"}
    with seeded(0, "test"):
        learner = getattr(fewshot, name)(
            fewshot.build_backbone("conv4", options=options), **arguments
        )
    before = [parameter.clone() for parameter in learner.backbone.parameters()]
    fewshot.fit(learner, easy.labelled(6, 0), steps=3, batch_size=8, quiet=True)
    after = list(learner.backbone.parameters())
    assert not any(torch.equal(old, new) for old, new in zip(before, after, strict=True))


@pytest.mark.parametrize(
    "prior",
    ["even", [1.0], [0.0] * easy.N_WAY, [float("nan")] * easy.N_WAY, [-1.0] * easy.N_WAY, {"a": 1}],
)
def test_a_prior_that_is_none_is_an_error(prior):
    with pytest.raises(UserError, match="expected prior to be 'balanced', 'training' or"):
        api.evaluate(Plain(), easy.labelled(2, 0), easy.labelled(1, 1), prior=prior)


def test_weights_by_class_shift_the_logits_of_an_evaluation():
    learner, support, query = Plain().eval(), easy.labelled(2, 0), easy.labelled(3, 1)
    weights = [1.0] * (easy.N_WAY - 1) + [1e30]
    scores = api.evaluate(learner, support, query, prior=weights)
    assert scores.per_class == [0.0] * (easy.N_WAY - 1) + [1.0]


def test_evaluation_agrees_with_a_loop_over_single_images():
    learner, query = Plain().eval(), easy.labelled(3, 1)
    scores = api.evaluate(learner, easy.labelled(2, 0), query)
    n_right = 0
    with torch.no_grad():
        for image, label in zip(query.images, query.labels, strict=True):
            logits = learner.head(learner.backbone(image[None]))[0]
            n_right += int(logits.argmax() == label)
    assert scores.accuracy == pytest.approx(n_right / len(query.labels))


def test_a_learner_that_needs_no_training_is_returned_unchanged():
    learner = Plain()
    learner.feed = None
    before = {name: value.clone() for name, value in learner.state_dict().items()}
    assert api.fit(learner, easy.labelled(2, 0)) is learner
    after = learner.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_an_augmentation_of_fit_stops_at_its_share_of_the_steps():
    is_black: list[bool] = []

    class Recording(Plain):
        def loss(self, item: Labelled) -> torch.Tensor:
            is_black.append(not item.images.any())
            return super().loss(item)

    augment = [{"name": "cutout", "size": 64, "until": 0.4}]
    api.fit(Recording(), easy.labelled(4, 0), steps=10, augment=augment, quiet=True)
    assert is_black == [True] * 4 + [False] * 6


def test_an_unknown_setting_of_fit_is_an_error_that_names_it():
    with pytest.raises(UserError, match="weight_decey"):
        api.fit(Plain(), easy.labelled(2, 0), weight_decey=0.1)


def test_early_stopping_of_fit_which_validates_nothing_is_refused():
    with pytest.raises(UserError, match="early_stopping needs a validation set"):
        api.fit(Plain(), easy.labelled(2, 0), early_stopping={"patience": 2})


@pytest.mark.parametrize(
    ("learner", "settings", "message"),
    [
        (fewshot.Siamese, {"label_smoothing": 0.3}, "pairs, which have no labels to smooth"),
        (fewshot.Siamese, {"augment": ["mixup"]}, "'mixup' mixes labels"),
        (fewshot.ProtoNet, {"base": "digits"}, "base is for fewshot.run"),
        (
            lambda backbone: fewshot.Siamese(backbone, embedding=None),
            {"phases": [{"share": 0.5}, {"share": 0.5, "trainable": "head"}]},
            "train.phases.1 trains nothing",
        ),
    ],
)
def test_settings_of_fit_without_a_use_are_refused(
    learner: Any, settings: dict[str, Any], message: str
) -> None:
    made = learner(fewshot.build_backbone("conv4", options={"width": 4}))
    with pytest.raises(UserError, match=message):
        api.fit(made, easy.labelled(2, 0), **settings)


def test_a_run_returns_the_record_that_it_writes(tmp_path: Path):
    request = {"shots": 1, "data": "digits", "seeds": 1, "quiet": True, "out": tmp_path}
    backbone = {"name": "conv4", "options": {"width": 8}}
    record = api.run("probe", backbone=backbone, weights="none", **request)
    content = json.loads((tmp_path / record.run_id / "record.json").read_text())
    assert content["scores"]["accuracy"]["values"] == record.scores["accuracy"].values
    assert record.seeds == [0]
    assert "probe" in repr(record)


def test_photos_are_loaded_at_the_size_that_a_network_needs(tmp_path: Path) -> None:
    for number in range(6):
        place = tmp_path / "photos" / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (300 + number, 290), (40 * number, 0, 0)).save(place / f"{number}.png")
    backbone = fewshot.build_backbone("resnet18", views="flip-crop")
    expected: list[tuple[dict, int]] = [
        ({}, 64),
        ({"backbone": backbone}, 256),
        ({"image_size": 48}, 48),
    ]
    for settings, side in expected:
        train, _ = fewshot.load_dataset(tmp_path / "photos", **settings)
        assert train.images.shape[2:] == (side, side)
