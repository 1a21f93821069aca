"""Oracles: formulas written out in numpy, the closed-form classifiers, and counts by hand."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from episodes.rng import seeded
from fewshot.heads import nearest_mean, regression, trainable
from fewshot.heads.trainable import CosineHead, EnsembleHead, HeadOptions, UnitHead
from tests.fewshot.heads.points import clusters


def build(head: str, n_way: int = 3, start: str | None = None, scale: float = 10.0) -> nn.Module:
    options = HeadOptions(head=head, start=start, scale=scale)  # type: ignore[arg-type]
    with seeded(0, "test"):
        return trainable.build(options, 10, n_way)


def test_a_linear_head_has_its_hidden_layers_and_dropout_before_each_dense_layer() -> None:
    head = trainable.linear(20, 5, hidden=(16, 8), dropout=0.5)
    n_parameters = sum(parameter.numel() for parameter in head.parameters())
    assert n_parameters == (20 * 16 + 16) + (16 * 8 + 8) + (8 * 5 + 5)
    kinds = [type(layer) for layer in head]
    assert kinds == 2 * [nn.Dropout, nn.Linear, nn.ReLU] + [nn.Dropout, nn.Linear]


def test_cosine_logits_are_scaled_cosines_and_the_scale_is_learned() -> None:
    features, _ = clusters(3)
    head = CosineHead(10, 3, scale=7.0)
    x, w = features.numpy(), head.weight.detach().numpy()
    norms = np.linalg.norm(x, axis=1)[:, None] * np.linalg.norm(w, axis=1)
    cosines = x @ w.T / norms
    np.testing.assert_allclose(head(features).detach().numpy(), 7 * cosines, rtol=1e-4, atol=1e-5)
    assert head.log_scale.item() == pytest.approx(math.log(7))
    head(features).sum().backward()
    assert head.log_scale.grad is not None


def test_an_ensemble_gives_every_head_its_own_part_of_the_features() -> None:
    heads = [nn.Linear(4, 3) for _ in range(2)]
    features = torch.randn(5, 8)
    logits = EnsembleHead(heads)(features)
    assert logits.shape == (5, 2, 3)
    assert torch.equal(logits[:, 0], heads[0](features[:, :4]))
    assert torch.equal(logits[:, 1], heads[1](features[:, 4:]))


@pytest.mark.parametrize("head", ["linear", "cosine"])
def test_prototypes_as_a_start_are_the_nearest_mean_classifier(head: str) -> None:
    features, labels = clusters(3)
    queries, _ = clusters(3, seed=1)
    model = build(head, scale=5.0)
    options = HeadOptions(head=head, scale=5.0)  # type: ignore[arg-type]
    trainable.start_from_support(model, options, features, labels, 3)
    probabilities = torch.softmax(model.eval()(queries), 1)
    if head == "cosine":
        unit = nn.functional.normalize(features, dim=-1)
        classify = nearest_mean.fit(unit, labels, 3, distance="cosine", scale=5.0)
    else:
        variance = float((features - features.mean(0)).square().sum(1).mean())
        classify = nearest_mean.fit(features, labels, 3, scale=5.0 / variance)
    expected = torch.softmax(classify(queries), 1)
    torch.testing.assert_close(probabilities, expected, rtol=1e-3, atol=1e-4)


def test_a_unit_head_starts_as_a_logistic_regression_on_centred_unit_features() -> None:
    features, labels = clusters(3)
    queries, _ = clusters(3, seed=1)
    model = build("unit")
    trainable.start_from_support(model, HeadOptions(head="unit", c=3.0), features, labels, 3)
    centre = features.mean(0)
    unit, unit_queries = (
        nn.functional.normalize(points - centre, dim=-1) for points in (features, queries)
    )
    weight, bias = regression.fit(unit, labels, 3, c=3.0)
    expected = unit_queries @ weight.T + bias
    torch.testing.assert_close(model.eval()(queries), expected, rtol=1e-4, atol=1e-4)


def test_a_unit_head_can_start_from_the_prototypes() -> None:
    features, labels = clusters(3)
    model = build("unit")
    options = HeadOptions(head="unit", start="prototypes")
    trainable.start_from_support(model, options, features, labels, 3)
    unit = nn.functional.normalize(features - features.mean(0), dim=-1)
    expected = nearest_mean.fit(unit, labels, 3)(unit).argmax(1)
    assert torch.equal(model.eval()(features).argmax(1), expected)


@pytest.mark.parametrize("head", ["linear", "unit", "cosine"])
def test_copied_rows_give_the_logits_of_their_classes(head: str) -> None:
    features, labels = clusters(3)
    source, target = build(head), build(head, n_way=2)
    trainable.start_from_support(source, HeadOptions(head=head), features, labels, 3)
    trainable.copy_rows(target, source, torch.tensor([2, 0]))
    logits = source.eval()(features)[:, [2, 0]]
    torch.testing.assert_close(target.eval()(features), logits)


@pytest.mark.parametrize(
    ("head", "kind"), [("linear", nn.Sequential), ("unit", UnitHead), ("cosine", CosineHead)]
)
def test_the_last_layer_has_one_row_for_each_logit(head: str, kind: type[nn.Module]) -> None:
    model = build(head)
    assert isinstance(model, kind)
    assert trainable.last_layer(model).weight.shape == (3, 10)


def test_only_a_unit_head_can_start_from_a_probe() -> None:
    with pytest.raises(ValueError, match="needs head: unit"):
        HeadOptions(head="linear", start="probe")
