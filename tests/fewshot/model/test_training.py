"""Oracle: settings of the presets, and a second training of the same seed."""

from __future__ import annotations

import torch

from fewshot.features import frozen
from fewshot.model import training
from tests.fewshot.model.test_fit import SMALL, digits


def short(steps: int = 2) -> training.Training:
    """Return a training of a small network for a few steps."""
    config = training.configured("scratch", digits(4, 4), None, "demo")
    assert config.train is not None
    settings = config.train.model_copy(update={"steps": steps, "batch_size": 8})
    return training.Training(config.model_copy(update={"train": settings}), "cpu", 0)


def test_settings_give_a_classifier_of_one_network_and_no_mirroring() -> None:
    config = training.configured("finetune", digits(4, 4), SMALL)
    assert config.learner["probe_share"] == 0
    assert config.learner["ensemble_size"] == 1
    assert config.backbone == SMALL
    assert "flip" not in [step["name"] for step in config.augment]
    many = training.configured("finetune", digits(*[120] * 2), SMALL)
    assert many.preset == "full"
    assert many.learner["probe_share"] == 0


def test_the_same_seed_gives_the_same_network_and_its_head_separates_what_it_saw() -> None:
    images, one = digits(8, 8), short(25)
    first, second = (one.run(images, torch.arange(16)) for _ in range(2))
    for name, weight in first.backbone.state_dict().items():
        torch.testing.assert_close(second.backbone.state_dict()[name], weight, rtol=0, atol=0)
    features = frozen.extract(first.backbone, images, torch.arange(16), "cpu")
    assert (first.head(features).argmax(1) == images.labels).double().mean() > 0.9
    assert first.learned
    assert not first.backbone.training


def test_the_length_is_that_of_the_settings() -> None:
    images = digits(4, 4)
    assert short().n_steps(images) == 2
    assert short().n_images(images) == 16
    assert 0 < short().seconds(images) < 60
