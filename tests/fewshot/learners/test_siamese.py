"""Losses on pairs, and classification by all support images.

Oracle: nested loops written from the papers.
"""

from __future__ import annotations

import math

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch.nn import functional as F

from episodes.rng import seeded
from episodes.types import Features, Labelled, Pairs
from fewshot import backbones, functional
from fewshot.config import BackboneSettings
from fewshot.learners import siamese
from fewshot.learners.base import Task


def unit(n: int, d: int = 5, seed: int = 0) -> Tensor:
    return F.normalize(
        torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64), dim=1
    )


def learner(**options) -> siamese.Siamese:
    with seeded(0, "test"):
        backbone = backbones.build(
            BackboneSettings(name="conv4", options={"width": 8, "norm": "group", "pool": True})
        )
        return siamese.Siamese.from_config(backbone, Task(3), siamese.Options(**options)).eval()


def test_contrastive_loss_follows_its_paper() -> None:
    left, right, same = unit(12), unit(12, seed=1), (torch.arange(12) % 3 == 0).double()
    left[0] = right[0]  # of one class and at no distance
    total = 0.0
    for a, b, agree in zip(left, right, same, strict=True):
        distance = math.sqrt(sum((float(x) - float(y)) ** 2 for x, y in zip(a, b, strict=True)))
        total += distance**2 if agree else max(0.0, 1.2 - distance) ** 2
    assert float(functional.contrastive(left, right, same, 1.2)) == pytest.approx(
        total / 12, abs=1e-9
    )
    beyond = functional.contrastive(left[1:3], -left[1:3], torch.zeros(2, dtype=torch.float64), 1.2)
    assert float(beyond) == 0  # opposite, further apart than the margin


def test_contrastive_loss_has_a_finite_slope_where_images_are_equal() -> None:
    left = unit(4).requires_grad_()
    functional.contrastive(
        left, left.detach().clone(), torch.tensor([0.0, 1.0, 0.0, 1.0]), 1.0
    ).backward()
    assert left.grad is not None
    assert left.grad.isfinite().all()


def test_supervised_contrastive_loss_follows_its_paper() -> None:
    features, labels, temperature = (
        unit(9),
        torch.tensor([0, 1, 0, 2, 1, 0, 2, 2, 7]),
        0.3,
    )  # 7 is alone
    losses = []
    for i in range(9):
        positives = [p for p in range(9) if p != i and labels[p] == labels[i]]
        if not positives:
            continue
        total = sum(
            math.exp(float(features[i] @ features[a]) / temperature) for a in range(9) if a != i
        )
        terms = [
            math.log(math.exp(float(features[i] @ features[p]) / temperature) / total)
            for p in positives
        ]
        losses.append(-sum(terms) / len(terms))
    result = functional.supervised_contrastive(features, labels, temperature)
    assert float(result) == pytest.approx(sum(losses) / len(losses), abs=1e-9)
    nothing = functional.supervised_contrastive(features[:3], torch.tensor([0, 1, 2]), temperature)
    assert float(nothing) == 0


def test_gradients_of_the_losses_agree_with_finite_differences() -> None:
    labels, same = (
        torch.tensor([0, 1, 0, 1, 2, 0]),
        torch.tensor([1.0, 0, 0, 1, 0, 1], dtype=torch.float64),
    )
    given = unit(6).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: functional.supervised_contrastive(x, labels, 0.5), given
    )
    assert torch.autograd.gradcheck(
        lambda x: functional.contrastive(x, unit(6, seed=3), same, 1.0), given
    )


@pytest.mark.parametrize("compare", ["mean", "all"])
@pytest.mark.parametrize("centre", [True, False])
def test_classifies_by_the_cosines_to_the_support_images(centre: bool, compare: str) -> None:
    """To the mean of their unit vectors, or to each of them; unequal classes have several."""
    support, queries, labels = (
        (unit(7, 8).float() + 0.5).as_subclass(Features),
        unit(4, 8, seed=2).float().as_subclass(Features),
        torch.tensor([0, 1, 2, 0, 1, 2, 2]),
    )
    siamese_learner = learner(centre=centre, scale=3.0, compare=compare)
    result = siamese_learner.adapt(Labelled(support, labels))(queries)
    middle = support.mean(0) if centre else torch.zeros(8)
    for n, query in enumerate(queries):
        for way in range(3):
            members = [
                (image - middle) / (image - middle).norm()
                for image, label in zip(support, labels, strict=True)
                if label == way
            ]
            compared = members if compare == "all" else [sum(members) / len(members)]
            cosines = [
                float(F.cosine_similarity(query - middle, image, dim=0)) for image in compared
            ]
            assert float(result[n, way]) == pytest.approx(3 * sum(cosines) / len(cosines), abs=1e-4)


@pytest.mark.parametrize("at_once", [1, 8, 1 << 16])
def test_same_different_logits_are_averaged_over_a_class(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(siamese, "PAIRS_AT_ONCE", at_once)
    support, queries, labels = (
        unit(7, 8).float().as_subclass(Features),
        unit(4, 8, seed=2).float().as_subclass(Features),
        torch.tensor([0, 1, 2, 0, 1, 2, 2]),
    )
    pairs = learner(loss="logits")
    assert pairs.agree is not None
    torch.nn.init.normal_(pairs.agree.weight)
    with torch.no_grad():
        result = pairs.adapt(Labelled(support, labels))(queries)
    weight, bias = pairs.agree.weight.detach()[0], float(pairs.agree.bias.detach())
    for n, query in enumerate(queries):
        for way in range(3):
            logits = [
                bias
                + sum(
                    float(w) * abs(float(a) - float(b))
                    for w, a, b in zip(weight, query, image, strict=True)
                )
                for image, label in zip(support, labels, strict=True)
                if label == way
            ]
            assert float(result[n, way]) == pytest.approx(sum(logits) / len(logits), abs=1e-4)


def test_same_different_logits_are_a_logistic_regression_on_differences() -> None:
    """Of embeddings that are given, the loss has scikit-learn's unregularised minimum."""
    left, right = (unit(200, 4, seed=seed).float().as_subclass(Features) for seed in (0, 1))
    draw = torch.Generator().manual_seed(0)
    likely = torch.sigmoid(3 - 4 * (left - right).abs().sum(1))
    same = (torch.rand(200, generator=draw) < likely).float()
    pairs = learner(loss="logits")
    pairs.agree = torch.nn.Linear(4, 1)
    fitted = LogisticRegression(C=float("inf"), max_iter=1000).fit(
        (left - right).abs().numpy(), same.numpy()
    )
    with torch.no_grad():
        pairs.agree.weight.copy_(torch.from_numpy(fitted.coef_))
        pairs.agree.bias.copy_(torch.from_numpy(fitted.intercept_))
    pairs.loss(Pairs(left, right, same, torch.zeros(2, 200))).backward()
    assert pairs.agree.weight.grad is not None
    assert float(pairs.agree.weight.grad.abs().max()) < 1e-3
    with torch.no_grad():
        pairs.agree.weight += 0.1
    pairs.zero_grad()
    pairs.loss(Pairs(left, right, same, torch.zeros(2, 200))).backward()
    assert float(pairs.agree.weight.grad.abs().max()) > 1e-3
