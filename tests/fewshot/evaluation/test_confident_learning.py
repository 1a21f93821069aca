"""Tests of fewshot.evaluation.confident_learning.

Oracles: the definitions in a loop over images; cleanlab's own implementation; people's votes on
images of CIFAR-10; scipy's false discovery control; labels that the test changes.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from episodes import datasets
from fewshot.evaluation import confident_learning as cl

FAULTS = Path(datasets.__file__).parent / "cifar10_faults.json"


def noisy(n: int, n_way: int, seed: int, share: float = 0.15) -> tuple[Tensor, Tensor]:
    """Return labels, a share of which is random, and probabilities that favour the true ones."""
    generator = torch.Generator().manual_seed(seed)
    true = torch.randint(n_way, (n,), generator=generator)
    logits = torch.randn(n, n_way, generator=generator)
    logits[torch.arange(n), true] += 2.5
    labels = true.clone()
    wrong = torch.rand(n, generator=generator) < share
    labels[wrong] = torch.randint(n_way, (int(wrong.sum()),), generator=generator)
    return labels, logits.double().softmax(1)


def by_loop(labels: Tensor, probabilities: Tensor) -> dict[int, int]:
    """Return image -> class for the off-diagonal of the confident joint, image by image."""
    rows, given = probabilities.tolist(), labels.tolist()
    n_way = len(rows[0])
    means = []
    for way in range(n_way):
        own = [row[way] for row, label in zip(rows, given, strict=True) if label == way]
        means.append(sum(own) / len(own) if own else 2.0)
    errors = {}
    for image, (row, label) in enumerate(zip(rows, given, strict=True)):
        confident = [way for way in range(n_way) if row[way] >= means[way] - 1e-6]
        if len(confident) > 1:
            confident = [row.index(max(row))]
        if confident and confident[0] != label and row[label] < max(row):
            errors[image] = confident[0]
    return errors


@pytest.mark.parametrize("seed", range(5))
def test_errors_are_those_of_a_loop_over_images(seed: int):
    labels, probabilities = noisy(300, 4, seed)
    errors = cl.likely_errors(labels, probabilities)
    expected = by_loop(labels, probabilities)
    assert len(expected) > 5
    assert dict(zip(errors.indices.tolist(), errors.suggested.tolist(), strict=True)) == expected


def test_the_least_probable_label_is_first():
    labels, probabilities = noisy(200, 3, 0)
    errors = cl.likely_errors(labels, probabilities)
    own = [float(probabilities[i, labels[i]]) for i in errors.indices.tolist()]
    assert own == sorted(own)
    assert errors.scores.tolist() == pytest.approx([1 - value for value in own])


def test_a_class_without_images_is_never_suggested():
    labels = torch.tensor([0, 0, 1, 1])
    probabilities = torch.tensor(
        [[0.1, 0.2, 0.7], [0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.2, 0.7, 0.1]]
    )
    assert 2 not in cl.likely_errors(labels, probabilities).suggested.tolist()


def test_equal_probabilities_accuse_no_label():
    labels = torch.tensor([0, 0, 1, 1, 2])
    assert not len(cl.likely_errors(labels, torch.full((5, 3), 1 / 3)).indices)


def test_no_images_have_no_errors():
    errors = cl.likely_errors(torch.empty(0, dtype=torch.int64), torch.empty(0, 3))
    assert not len(errors.indices)


@pytest.mark.parametrize(("n", "n_way", "seed"), [(400, 2, 0), (400, 5, 1), (2_000, 10, 2)])
def test_errors_are_those_of_cleanlab(n: int, n_way: int, seed: int):
    cleanlab_filter = pytest.importorskip("cleanlab.filter")
    labels, probabilities = noisy(n, n_way, seed)
    theirs = cleanlab_filter.find_label_issues(
        labels.numpy(),
        probabilities.numpy(),
        filter_by="confident_learning",
        return_indices_ranked_by="self_confidence",
        n_jobs=1,
    )
    assert len(theirs) > 10
    assert cl.likely_errors(labels, probabilities).indices.tolist() == theirs.tolist()


def test_discoveries_are_those_of_scipy():
    stats = pytest.importorskip("scipy.stats")
    random = torch.Generator().manual_seed(0)
    p_values = torch.rand(500, generator=random, dtype=torch.float64)
    p_values[:60] = p_values[:60] ** 6
    for share in (0.05, 0.5):
        expected = stats.false_discovery_control(p_values.numpy()) <= share
        assert 0 < expected.sum() < 500
        assert cl.is_discovery(p_values, share).numpy().tolist() == expected.tolist()


def test_a_surprise_is_the_probability_of_classes_that_are_no_more_probable():
    probabilities = torch.tensor([[0.1, 0.6, 0.3], [0.5, 0.2, 0.3]])
    surprise = cl.surprise(torch.tensor([2, 1]), probabilities)
    assert surprise.tolist() == pytest.approx([0.4, 0.2])


def test_hard_images_are_not_sure_errors_and_wrong_labels_are():
    random = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(3_000, 5, generator=random)
    # Labels as the probabilities say: the classifier is calibrated, and wrong for a third.
    labels = torch.multinomial(logits.softmax(1), 1, generator=random)[:, 0]
    assert len(cl.likely_errors(labels, logits.softmax(1)).indices) > 150
    assert len(cl.surest(labels, logits, 1.0).indices) <= 1
    wrong = torch.arange(100)
    labels[wrong] = logits[wrong].argmin(1)
    indices = cl.surest(labels, logits, 1.0).indices
    assert len(indices) > 20
    assert (indices < 100).float().mean() > 0.7


def test_people_confirm_errors_of_cifar10():
    """48 of the 54 labels that most people reject are among the 244 likely errors.

    The probabilities are those of cleanlab's authors, in thousandths: see README.md beside them.
    """
    folder = Path(__file__).parent / "cleanlab_cifar10"
    with np.load(folder / "predictions.npz") as published:
        labels = torch.from_numpy(published["labels"]).long()
        probabilities = torch.from_numpy(published["per_mille"].astype(float)) / 1000
    errors = set(cl.likely_errors(labels, probabilities).indices.tolist())
    confirmed = {
        index
        for index, _, _, kinds, _ in json.loads(FAULTS.read_text())["images"]
        if "wrong label" in kinds
    }
    assert len(confirmed) == 54
    assert len(errors & confirmed) == 48
    assert len(errors) == 244
