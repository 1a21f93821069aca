"""The probe against scikit-learn's classifiers on the same prepared features."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.neighbors import NearestCentroid
from sklearn.preprocessing import normalize
from threadpoolctl import threadpool_info, threadpool_limits

from episodes.types import Labelled
from fewshot.learners import probe
from fewshot.learners.base import Task
from tests.fewshot.learners.small import features, network


def probed(n_way: int, **options) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Logits of the probe, and the prepared support, queries and labels for scikit-learn."""
    support, queries = features(n_way)
    settings = probe.Options(**options)
    logits = (
        probe.Probe.from_config(network(), Task(n_way), settings).eval().adapt(support)(queries)
    )
    x, q = support.images.double().numpy(), queries.double().numpy()
    if settings.centre:
        x, q = (
            x - support.images.double().numpy().mean(0),
            q - support.images.double().numpy().mean(0),
        )
    if settings.normalise:
        x, q = normalize(x), normalize(q)
    return logits.numpy(), x, q, support.labels.numpy()


@pytest.mark.parametrize("n_way", [2, 3, 7])
@pytest.mark.parametrize("plain", [True, False])
def test_probes_agree_with_scikit_learn(n_way: int, plain: bool) -> None:
    prepared = {"centre": not plain, "normalise": not plain}
    logits, x, q, y = probed(n_way, classifier="nearest-mean", **prepared)
    assert (logits.argmax(1) == NearestCentroid().fit(x, y).predict(q)).all()
    logits, x, q, y = probed(n_way, classifier="logistic", c=2.0, **prepared)
    ours = torch.softmax(torch.from_numpy(logits), 1).numpy()
    np.testing.assert_allclose(
        ours, LogisticRegression(C=2.0, max_iter=1000).fit(x, y).predict_proba(q), atol=1e-3
    )
    logits, x, q, y = probed(n_way, classifier="ridge", c=0.5, **prepared)
    assert (logits.argmax(1) == RidgeClassifier(alpha=2.0).fit(x, y).predict(q)).all()
    logits, x, q, y = probed(n_way, classifier="cosine", scale=4.0, **prepared)
    means = np.stack([x[y == label].mean(0) for label in range(n_way)])
    np.testing.assert_allclose(logits, 4 * normalize(q) @ normalize(means).T, rtol=1e-3, atol=1e-4)


def test_scipys_blas_has_one_thread_while_a_probe_is_fitted_and_numpys_what_it_had(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def threads() -> dict[bool, int]:
        libraries = [
            (library["filepath"], library["num_threads"])
            for library in threadpool_info()
            if library["user_api"] == "blas"
        ]
        return {"scipy" in Path(path).parent.name: count for path, count in libraries}

    seen: list[dict[bool, int]] = []
    plain = LogisticRegression.fit

    def watched(self: LogisticRegression, *given) -> LogisticRegression:
        seen.append(threads())
        return plain(self, *given)

    monkeypatch.setattr(LogisticRegression, "fit", watched)
    with threadpool_limits(3, user_api="blas"):
        before = threads()
        if True not in before:
            pytest.skip("scipy brings no BLAS of its own here")
        probed(3)
        assert threads() == before
    assert seen == [{**before, True: 1}]


def test_the_strength_of_a_probe_is_chosen_inside_the_support() -> None:

    support, queries = features(3)
    options = probe.Options(classifier="logistic", c=(1e-4, 1.0, 1e4))
    chosen = probe.Probe.from_config(network(), Task(3), options).eval().adapt(support)(queries)
    fixed = {
        c: probe.Probe.from_config(network(), Task(3), probe.Options(classifier="logistic", c=c))
        .eval()
        .adapt(support)(queries)
        for c in options.c
    }
    assert sum(torch.allclose(chosen, value) for value in fixed.values()) == 1
    assert not torch.allclose(
        chosen, fixed[1e-4]
    )  # near-uniform predictions lose on separable classes
    single = Labelled(
        support.images[:3], support.labels[:3]
    )  # one image a class: nothing to validate on
    assert probe.Probe.from_config(network(), Task(3), options).eval().adapt(single)(
        queries
    ).shape == (
        len(queries),
        3,
    )
