"""Oracle: scikit-learn's LinearDiscriminantAnalysis with the solver lsqr and a fixed shrinkage."""

import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from fewshot.heads import HEADS
from fewshot.heads.inductive.lda import LDA
from tests.fewshot.heads.tasks import random_tasks


@pytest.mark.filterwarnings("ignore:Only one sample available")
@pytest.mark.parametrize("unequal", [False, True])
@pytest.mark.parametrize("shrinkage", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("n_features", [20, 200])
def test_logits_are_those_of_scikit_learn(unequal: bool, shrinkage: float, n_features: int) -> None:
    pool = random_tasks(2, n_features=n_features, unequal=unequal)
    logits = LDA(features="UN", shrinkage=shrinkage).on_pool(pool.features)(pool.tasks)
    data, priors = pool.features.double().numpy(), np.full(5, 0.2)
    for t in range(len(pool.tasks)):
        x, y = data[pool.tasks.support[t]], pool.tasks.support_labels[t].numpy()
        fitted = LinearDiscriminantAnalysis("lsqr", shrinkage=shrinkage, priors=priors).fit(x, y)
        scores = fitted.decision_function(data[pool.tasks.query[t]])
        # A term of the query that all classes share, and ln 0.2, are left out here.
        ours = logits[t].numpy() - logits[t].numpy().mean(1, keepdims=True)
        theirs = scores - scores.mean(1, keepdims=True)
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3 * np.abs(theirs).max())


@pytest.mark.parametrize("features", ["UN", "CL2N"])
def test_one_image_of_each_class_gives_the_nearest_mean(features: str) -> None:
    pool = random_tasks(shots=1)
    lda, nearest = (
        HEADS[name](features=features).on_pool(pool.features)(pool.tasks)
        for name in ("lda", "nearest-mean")
    )
    lda, nearest = (logits - logits.mean(2, keepdim=True) for logits in (lda, nearest))
    torch.testing.assert_close(2 * lda, nearest, rtol=1e-4, atol=1e-4)
