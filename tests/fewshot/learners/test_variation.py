"""Oracle: the learner that a variation holds, asked directly, and a list of its calls."""

import pytest
import torch
from torch import Tensor, nn

from episodes.rng import seeded
from episodes.types import Labelled
from fewshot import backbones
from fewshot.config import BackboneSettings
from fewshot.learners.base import Classifier, Learner, Needs
from fewshot.learners.variation import Variation
from tests.fewshot import easy


class Recorder(Learner):
    """A linear learner that records which hooks were called."""

    feed = "batches"
    needs = Needs(support=True)
    metric_names = ("half",)

    def __init__(self) -> None:
        with seeded(0, "test"):
            super().__init__(backbones.build(BackboneSettings(name="conv4", options={"width": 8})))
            self.head = nn.Linear(self.backbone.n_features, easy.N_WAY)
        self.calls: list[object] = []

    def loss(self, item: Labelled) -> Tensor:
        return nn.functional.cross_entropy(self.head(self.backbone(item.images)), item.labels)

    def adapt(self, support: Labelled) -> Classifier:
        return lambda images: self.head(self.backbone(images))

    def on_train_start(self, n_images: int) -> None:
        self.calls.append(("start", n_images))

    def on_step(self, progress: float) -> None:
        self.calls.append(("step", progress))

    def on_train_end(self) -> None:
        self.calls.append("end")

    def extra_metrics(self, batch: Labelled, shift: Tensor | None = None) -> dict[str, Tensor]:
        return {"half": torch.full((len(batch.labels),), 0.5)}


class Doubled(Variation[Recorder]):
    def loss(self, item: Labelled) -> Tensor:
        return 2 * self.learner.loss(item)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def test_parameters_have_the_names_of_the_held_learner_and_are_shared(recorder: Recorder):
    variation = Doubled(recorder)
    own, inner = dict(variation.named_parameters()), dict(recorder.named_parameters())
    assert list(own) == list(inner)
    assert all(own[name] is parameter for name, parameter in inner.items())
    assert list(variation.state_dict()) == list(recorder.state_dict())


def test_only_the_loss_changes(recorder: Recorder):
    variation, batch = Doubled(recorder).eval(), easy.labelled(2, 0)
    torch.testing.assert_close(variation.loss(batch), 2 * recorder.loss(batch))
    logits = variation.adapt(batch)(batch.images)
    assert torch.equal(logits, recorder.adapt(batch)(batch.images))
    assert torch.equal(variation.extra_metrics(batch)["half"], torch.full((8,), 0.5))
    assert variation.metric_names == ("half",)


def test_hooks_are_passed_on_in_their_order(recorder: Recorder):
    variation = Doubled(recorder)
    variation.on_train_start(7)
    variation.on_step(0.25)
    variation.on_train_end()
    assert recorder.calls == [("start", 7), ("step", 0.25), "end"]


def test_training_and_evaluation_mode_reach_the_held_learner(recorder: Recorder):
    variation = Doubled(recorder)
    variation.eval()
    assert not recorder.training
    assert not recorder.backbone.training
    variation.train()
    assert recorder.training


@pytest.mark.parametrize("images", [True, False])
def test_a_variation_can_need_images_and_has_the_other_needs_too(recorder: Recorder, images: bool):
    assert Doubled(recorder, images=images).needs == Needs(images=images, support=True)


def test_variations_can_hold_variations(recorder: Recorder):
    batch = easy.labelled(2, 0)

    class Again(Variation[Doubled]):
        def loss(self, item: Labelled) -> Tensor:
            return 3 * self.learner.loss(item)

    outer = Again(Doubled(recorder)).eval()
    torch.testing.assert_close(outer.loss(batch), 6 * recorder.loss(batch))
    assert list(dict(outer.named_parameters())) == list(dict(recorder.named_parameters()))
