"""Oracles: MAPIE, the definition by counting, and the coverage of simulated images."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fewshot.errors import UserError
from fewshot.model import conformal, heads
from fewshot.model.classifier import ImageClassifier, LabelledFeatures, Recipe
from tests.fewshot.model import stored_classifier


def simulated(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return probabilities of four classes and labels that do not follow them exactly."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(4, (n,), generator=generator)
    logits = torch.randn(n, 4, generator=generator)
    logits[torch.arange(n), labels] += 1.5
    return logits.softmax(1), labels


def scores_of(probabilities: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return 1 - probabilities.gather(1, labels[:, None])[:, 0]


@pytest.mark.parametrize("coverage", [0.5, 0.9, 0.95])
def test_a_class_is_in_the_set_if_its_p_value_is_above_the_error(coverage: float) -> None:
    scores = scores_of(*simulated(57, 0))
    probabilities, _ = simulated(30, 1)
    inside = conformal.sets(scores, probabilities, coverage)
    for row, chosen in zip(probabilities.tolist(), inside.tolist(), strict=True):
        for p, is_inside in zip(row, chosen, strict=True):
            at_least = sum(score >= 1 - p for score in scores.tolist())
            p_value = (at_least + 1) / (len(scores) + 1)
            assert is_inside == (p_value > 1 - coverage + 1e-9 or p == max(row))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
def test_sets_are_those_of_mapie_from_the_same_scores(coverage: float) -> None:
    mapie = pytest.importorskip("mapie.classification", reason="MAPIE is not installed")
    from sklearn.base import BaseEstimator, ClassifierMixin

    class Given(ClassifierMixin, BaseEstimator):
        """Returns its inputs as probabilities."""

        def fit(self, x: np.ndarray, y: np.ndarray) -> "Given":
            self.classes_ = np.arange(4)
            self.n_features_in_ = 4
            return self

        def predict_proba(self, x: np.ndarray) -> np.ndarray:
            return x

        def predict(self, x: np.ndarray) -> np.ndarray:
            return x.argmax(1)

    known, labels = (part.numpy() for part in simulated(160, 0))
    new, _ = simulated(300, 1)
    model = mapie.SplitConformalClassifier(
        Given().fit(known, labels), confidence_level=coverage, conformity_score="lac", prefit=True
    )
    model.conformalize(known, labels)
    expected = torch.tensor(model.predict_set(new.numpy())[1][:, :, 0])
    expected[torch.arange(len(new)), new.argmax(1)] = True  # those of MAPIE may be empty
    scores = scores_of(torch.tensor(known), torch.tensor(labels))
    assert torch.equal(conformal.sets(scores, new, coverage), expected)


def test_sets_cover_as_often_as_they_say() -> None:
    covered = []
    for seed in range(200):
        scores = scores_of(*simulated(40, seed))
        probabilities, labels = simulated(50, 1000 + seed)
        inside = conformal.sets(scores, probabilities, 0.9)
        covered.append(inside.gather(1, labels[:, None]).float().mean())
    assert 0.885 < float(torch.stack(covered).mean()) < 0.93


@pytest.mark.parametrize(("coverage", "least"), [(0.9, 9), (0.95, 19), (0.99, 99), (0.5, 1)])
def test_too_few_labels_for_a_coverage_are_refused(coverage: float, least: int) -> None:
    probabilities, _ = simulated(3, 0)
    assert conformal.needed(coverage) == least
    conformal.sets(torch.rand(least), probabilities, coverage)
    with pytest.raises(UserError, match=f"at least {least} labelled images"):
        conformal.sets(torch.rand(least - 1), probabilities, coverage)


@pytest.mark.parametrize("coverage", [0.0, 1.0, -1.0, 1.5, float("nan")])
def test_an_impossible_coverage_is_refused(coverage: float) -> None:
    with pytest.raises(UserError, match="between 0 and 1"):
        conformal.sets(torch.rand(20), torch.rand(3, 4), coverage)


def test_words_name_coverage_and_labels() -> None:
    assert conformal.in_words(0.9, 160) == "about 90%, from 160 labels"


def normal(n: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Return points of three overlapping normal classes."""
    labels = torch.arange(n) % 3
    means = 1.2 * torch.eye(3, 8)
    return means[labels] + torch.randn(n, 8, generator=generator), labels


def fitted(x: torch.Tensor, labels: torch.Tensor, kind: str) -> ImageClassifier:
    recipe = Recipe(kind)  # type: ignore[arg-type]
    support = LabelledFeatures(x, labels, tuple(map(str, range(len(x)))))
    head = heads.fit_head(x, labels, 3, recipe)
    return replace(stored_classifier.classifier(), recipe=recipe, support=support, head=head)


@pytest.mark.parametrize("kind", ["logistic", "ridge", "nearest-mean", "cosine"])
def test_exact_sets_cover_as_often_as_they_say_and_are_not_all_classes(kind: str) -> None:
    generator = torch.Generator().manual_seed(0)
    covered, sizes = [], []
    for _ in range(12 if kind == "logistic" else 30):
        x, labels = normal(60, generator)
        model = fitted(x[:24], labels[:24], kind)
        inside = conformal.exact_sets(model, x[24:], 0.8)
        covered.append(inside.gather(1, labels[24:, None]).float().mean())
        sizes.append(inside.sum(1).float().mean())
    assert 0.75 < float(torch.stack(covered).mean()) < 0.88
    assert float(torch.stack(sizes).mean()) < 2.6


def test_an_exact_set_does_not_depend_on_other_images() -> None:
    x, labels = normal(40, torch.Generator().manual_seed(1))
    model = fitted(x[:24], labels[:24], "ridge")
    together = conformal.exact_sets(model, x[24:], 0.8)
    alone = [conformal.exact_sets(model, x[24 + i : 25 + i], 0.8) for i in range(16)]
    assert torch.equal(together, torch.cat(alone))


def test_exact_sets_refuse_what_they_cannot_do() -> None:
    x, labels = normal(30, torch.Generator().manual_seed(1))
    model = fitted(x, labels, "ridge")
    trained = replace(model, recipe=model.recipe._replace(kind="trained"))
    with pytest.raises(UserError, match="trained together with its network"):
        conformal.exact_sets(trained, x, 0.9)
    copies = model.support._replace(clusters=torch.arange(30) // 4)
    with pytest.raises(UserError, match=r"at least 9 .* there are 8"):
        conformal.exact_sets(replace(model, support=copies), x, 0.9)
    with pytest.raises(UserError, match=r"label more images, or .* at most 0\.96"):
        conformal.exact_sets(model, x, 0.99)
    many = LabelledFeatures(torch.zeros(1001, 8), torch.arange(1001) % 3, ("",) * 1001)
    with pytest.raises(UserError, match="at most 1000 labelled images"):
        conformal.exact_sets(replace(model, support=many), x, 0.9)
