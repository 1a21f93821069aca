"""Oracle: scikit-learn's classifiers on features that numpy prepares."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.neighbors import NearestCentroid
from sklearn.preprocessing import normalize
from threadpoolctl import threadpool_info, threadpool_limits

from episodes.errors import UserError
from episodes.types import Labelled
from fewshot import backbones
from fewshot.heads import names
from fewshot.learners.probe import Probe
from tests.fewshot.learners.small import features, network, random_images


def probed(n_way: int, **settings) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the logits of a probe, and prepared support, queries and labels for scikit-learn."""
    support, queries = features(n_way)
    learner = Probe(network(), **settings).eval()
    logits = learner.adapt(support)(queries)
    x, q = support.images.double().numpy(), queries.double().numpy()
    if learner.options.centre:
        centre = x.mean(0)
        x, q = x - centre, q - centre
    if learner.options.normalise:
        x, q = normalize(x), normalize(q)
    return logits.numpy(), x, q, support.labels.numpy()


@pytest.mark.parametrize("n_way", [2, 3, 7])
@pytest.mark.parametrize("prepared", [True, False])
def test_every_classifier_agrees_with_scikit_learn(n_way: int, prepared: bool) -> None:
    settings = {"centre": prepared, "normalise": prepared}
    logits, x, q, y = probed(n_way, classifier="nearest-mean", **settings)
    assert (logits.argmax(1) == NearestCentroid().fit(x, y).predict(q)).all()

    logits, x, q, y = probed(n_way, classifier="logistic", c=2.0, **settings)
    probabilities = torch.softmax(torch.from_numpy(logits), 1).numpy()
    expected = LogisticRegression(C=2.0, max_iter=1000).fit(x, y).predict_proba(q)
    np.testing.assert_allclose(probabilities, expected, atol=1e-3)

    logits, x, q, y = probed(n_way, classifier="ridge", c=0.5, **settings)
    assert (logits.argmax(1) == RidgeClassifier(alpha=2.0).fit(x, y).predict(q)).all()

    logits, x, q, y = probed(n_way, classifier="cosine", scale=4.0, **settings)
    means = np.stack([x[y == label].mean(0) for label in range(n_way)])
    np.testing.assert_allclose(logits, 4 * normalize(q) @ normalize(means).T, rtol=1e-3, atol=1e-4)


def blas_threads() -> dict[bool, int]:
    """Return the threads of each BLAS library, by whether it is part of scipy."""
    return {
        "scipy" in Path(library["filepath"]).parent.name: library["num_threads"]
        for library in threadpool_info()
        if library["user_api"] == "blas"
    }


def test_only_scipys_blas_is_limited_to_one_thread_and_only_during_the_fit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    during: list[dict[bool, int]] = []
    original = LogisticRegression.fit

    def record(self: LogisticRegression, *arguments) -> LogisticRegression:
        during.append(blas_threads())
        return original(self, *arguments)

    monkeypatch.setattr(LogisticRegression, "fit", record)
    with threadpool_limits(3, user_api="blas"):
        before = blas_threads()
        if True not in before:
            pytest.skip("scipy brings no BLAS of its own here")
        probed(3)
        assert blas_threads() == before
    assert during == [{**before, True: 1}]


def test_the_regularisation_is_chosen_on_the_support_alone() -> None:
    support, queries = features(3)
    values = (1e-4, 1.0, 1e4)
    chosen = Probe(network(), c=values).eval().adapt(support)(queries)
    fixed = [Probe(network(), c=value).eval().adapt(support)(queries) for value in values]
    assert sum(torch.allclose(chosen, logits) for logits in fixed) == 1
    # The strongest regularisation gives nearly uniform probabilities, which lose here.
    assert not torch.allclose(chosen, fixed[0])


def test_one_image_per_class_leaves_nothing_to_validate_on() -> None:
    support, queries = features(3)
    single = Labelled(support.images[:3], support.labels[:3])
    logits = Probe(network(), c=(1e-4, 1.0, 1e4)).eval().adapt(single)(queries)
    assert logits.shape == (len(queries), 3)


def test_the_backbone_is_frozen_and_stays_in_evaluation_mode() -> None:
    learner = Probe(network()).train()
    assert not any(parameter.requires_grad for parameter in learner.parameters())
    assert not any(module.training for module in learner.backbone.modules())


def test_the_prior_from_names_adds_the_pretrainings_probabilities_of_each_classs_kinds() -> None:
    classes = ("cat", "deer", "zebra")
    backbone = backbones.build("mini-resnet", weights="pretrained").eval()
    learner = Probe(backbone, classes=classes, prior_from_names=True).eval()
    batch = random_images(9, 3)
    support = Labelled(batch.images[:3], batch.labels[:3])
    with torch.no_grad():
        logits = learner.adapt(support)(batch.images)
        plain = Probe(backbone).adapt(support)(batch.images)
        alone = learner.adapt(Labelled(support.images[:0], support.labels[:0]))(batch.images)
        p = softmax(backbone.class_logits(batch.images).double().numpy(), axis=1)
    known = list(backbone.pretraining.classes)
    cats = [known.index(name) for name in ("tabby", "Persian cat", "Egyptian cat")]
    gazelle = known.index("gazelle")
    others = np.delete(p, [*cats, gazelle], axis=1).mean(1)
    sums = np.stack([p[:, cats].sum(1), p[:, gazelle], others], axis=1)
    expected = np.log(sums / sums.sum(1, keepdims=True))
    np.testing.assert_allclose(alone, expected, atol=2e-3)
    weights = names.ONE_LABEL
    mixed = weights.fitted * plain.numpy() + weights.names * expected
    np.testing.assert_allclose(logits, mixed, atol=5e-3)


@pytest.mark.parametrize(
    ("network_of", "classes", "words"),
    [
        ("random", ("cat", "dog"), ["weights", "mini-resnet"]),
        ("shipped", ("tench", "church"), ["no class of tinyimagenet32", "mapping"]),
    ],
)
def test_a_prior_without_names_is_an_error(
    network_of: str, classes: tuple[str, ...], words: list[str]
) -> None:
    shipped = network_of == "shipped"
    backbone = backbones.build("mini-resnet", weights="pretrained") if shipped else network()
    with pytest.raises(UserError) as error:
        Probe(backbone, classes=classes, prior_from_names=True)
    assert all(word in str(error.value) for word in words)
