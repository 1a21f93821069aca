"""Oracle: the settings of the presets, and the classifier that a name asks for."""

from __future__ import annotations

import pytest
import torch

from fewshot.config.fitting import FitConfig
from fewshot.model import choosing, training, training_folds
from fewshot.model.fit import fit
from tests.fewshot.model.test_fit import SMALL, digits
from tests.fewshot.model.test_training import short


def test_a_named_method_on_frozen_features_is_that_of_its_preset() -> None:
    probe = choosing.choose(digits(3, 3), SMALL, FitConfig(method="probe"), "cpu")
    assert (probe.recipe.kind, probe.recipe.c, probe.reason) == ("logistic", 1.0, "")
    prototypes = choosing.choose(digits(3, 3), SMALL, FitConfig(method="protonet"), "cpu")
    assert (prototypes.recipe.kind, prototypes.recipe.centre) == ("cosine", False)
    assert prototypes.method == "protonet"
    assert prototypes.trained is None


@pytest.mark.parametrize("counts", [(6, 6, 6), (1, 1, 1)])
def test_a_training_that_is_named_has_estimates_where_something_can_be_held_out(
    monkeypatch: pytest.MonkeyPatch, counts: tuple[int, ...]
) -> None:
    config = short(20).config
    monkeypatch.setattr(training, "configured", lambda *arguments: config)
    classifier = fit(digits(*counts), FitConfig(method="scratch"), device="cpu")
    assert classifier.card.method == "scratch"
    assert classifier.recipe.kind == "trained"
    assert classifier.settings.weights == "none"
    n_held_out = sum(n for n in counts if n > 1)
    assert len(classifier.fold_scores) == n_held_out
    assert classifier.card.quality.n_images == n_held_out
    assert classifier.card.origins[0].weights == "random"


@pytest.mark.parametrize("strength", [9.0, -9.0])
def test_fine_tuning_that_is_named_gives_the_probe_where_that_is_better(
    monkeypatch: pytest.MonkeyPatch, strength: float
) -> None:
    images = digits(6, 6)
    config = training.configured("finetune", images, SMALL)
    assert config.train is not None
    one_step = config.train.model_copy(update={"steps": 1, "epochs": None, "batch_size": 4})
    config = config.model_copy(update={"train": one_step})
    monkeypatch.setattr(training, "configured", lambda *arguments: config)

    def logits(candidate: object, images: object, splits: list, device: str) -> list:
        return [strength * torch.eye(2)[digits(6, 6).labels[outside]] for _, outside in splits]

    monkeypatch.setattr(training_folds, "logits", logits)
    choice = choosing.choose(images, SMALL, FitConfig(method="finetune", seconds=1.0), "cpu")
    if strength > 0:
        assert (choice.method, choice.recipe.kind) == ("finetune", "trained")
        assert choice.trained is not None
    else:
        assert (choice.method, choice.recipe.kind) == ("probe", "logistic")
        assert "worse on its first fold" in choice.reason
