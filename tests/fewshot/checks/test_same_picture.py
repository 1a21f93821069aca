"""Pairs whose answer is known: pictures with copies, and pictures of one outline without."""

from __future__ import annotations

import numpy as np
import torch

from fewshot.checks import same_picture
from fewshot.checks.copy_candidates import Candidates
from tests.episodes.datasets.test_copies import jpeg, scenes, tensor


def scores(pictures: np.ndarray, pairs: list[tuple[int, int]]) -> list[float]:
    images = same_picture.reduced(tensor(pictures))
    candidates = Candidates(torch.tensor(pairs), torch.zeros(len(pairs), dtype=torch.bool))
    return same_picture.scores(images, candidates, np.zeros(len(pictures), dtype=np.int64)).tolist()


def test_the_more_a_copy_was_changed_the_less_sure_it_is():
    pictures = scenes(30)
    copies = np.stack([pictures[0], jpeg(pictures[0], 70), jpeg(pictures[0], 40)])
    pairs = [(0, 30), (0, 31), (0, 32), *((0, other) for other in range(1, 20))]
    equal, good, bad, *others = scores(np.concatenate([pictures, copies]), pairs)
    assert 1 >= equal > good > bad > 0
    assert good > 0.5
    assert others == [0] * 19


def test_pictures_of_one_outline_with_other_details_are_no_copies():
    outline = scenes(1, seed=3)[0].astype(float)
    details = np.random.default_rng(0).normal(0, 30, (2, 32, 32, 3)).repeat(3, 1).repeat(3, 2)
    twins = (outline + details).clip(0, 255).astype(np.uint8)
    assert scores(np.concatenate([twins, scenes(30)]), [(0, 1)]) == [0]


def test_plain_images_are_no_copies_of_each_other():
    pictures = np.full((12, 96, 96, 3), 200, dtype=np.uint8)
    assert scores(pictures, [(0, 1), (2, 3)]) == [0, 0]


def test_images_are_reduced_by_averaging():
    images = torch.arange(2 * 3 * 64 * 64).reshape(2, 3, 64, 64).remainder(251).to(torch.uint8)
    expected = images.float().reshape(2, 3, 32, 2, 32, 2).mean((3, 5)).round().to(torch.uint8)
    assert (same_picture.reduced(images) == expected).all()
