"""Oracle: the functions of episodes.subsets, called directly, and set arithmetic."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from episodes import subsets
from episodes.types import TrainTest
from fewshot.runs import experiment
from fewshot.runs.labelled_subset import LabelledSubset, labelled_subset, remark_on_fraction
from tests.fewshot import easy
from tests.fewshot.runs.quick_runs import quick

IMAGES = easy.images(10, 0)
DATA = TrainTest(IMAGES, easy.images(5, 1))


def config(shots=None, fraction=None, share=None):
    validation = None if share is None else SimpleNamespace(share=share, split_seed=5)
    return SimpleNamespace(shots=shots, class_shots={}, fraction=fraction, validation=validation)


def test_shots_and_fractions_are_those_of_the_subsets_module():
    by_shots = labelled_subset(config(shots=3), DATA, seed=2)
    expected = subsets.shots(IMAGES.labels, IMAGES.classes, 3, 2)
    assert torch.equal(by_shots.labelled, expected)
    by_fraction = labelled_subset(config(fraction=0.5), DATA, seed=2)
    expected = subsets.fraction(IMAGES.labels, easy.N_WAY, 0.5, 2)
    assert torch.equal(by_fraction.labelled, expected)


@pytest.mark.parametrize(("fraction", "n_raised"), [(1e-9, 4), (0.04, 4), (0.05, 0), (0.5, 0)])
def test_a_fraction_of_less_than_one_image_is_mentioned(fraction: float, n_raised: int):
    settings = config(fraction=fraction)  # of ten images per class
    remark = remark_on_fraction(settings, DATA, labelled_subset(settings, DATA, 0).labelled)
    assert (remark is not None) == (n_raised > 0)
    assert remark is None or f"one image of {n_raised} of 4 classes" in remark
    assert remark is None or f"4 labels, not {40 * fraction:.3g}" in remark


def test_a_budget_that_is_no_fraction_has_no_remark():
    settings = config(shots=1)
    assert remark_on_fraction(settings, DATA, labelled_subset(settings, DATA, 0).labelled) is None


def test_without_a_budget_all_images_are_labelled():
    assert labelled_subset(config(), DATA, seed=0).labelled.tolist() == list(range(40))


def test_without_a_validation_set_all_labelled_images_train():
    subset = labelled_subset(config(shots=3), DATA, seed=2)
    assert subset.validation is None
    assert torch.equal(subset.train, subset.labelled)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_validation_set_counts_in_the_label_budget(seed: int):
    subset = labelled_subset(config(shots=5, share=0.4), DATA, seed)
    assert subset.validation is not None
    train, validation = subset.train.tolist(), subset.validation.tolist()
    assert sorted(train + validation) == sorted(subset.labelled.tolist())
    assert IMAGES.labels[subset.train].bincount().tolist() == [3] * 4
    assert IMAGES.labels[subset.validation].bincount().tolist() == [2] * 4


def test_the_file_names_both_sets():
    subset = LabelledSubset(torch.tensor([4, 7, 9]), torch.tensor([4, 7]), torch.tensor([9]))
    assert subset.to_json() == {"support": [4, 7], "validation": [9]}
    assert subset._replace(validation=None).to_json()["validation"] is None


def test_all_methods_see_the_same_subsets(tmp_path: Path) -> None:
    hashes = [
        experiment.run(quick(method), [3], out=tmp_path).provenance.indices
        for method in ("probe", "scratch")
    ]
    assert hashes[0] == hashes[1]
