"""Oracle: the settings of the presets, and the classifier that a name asks for."""

from __future__ import annotations

import pytest

from fewshot.config.fitting import FitConfig
from fewshot.model import choosing, training
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
