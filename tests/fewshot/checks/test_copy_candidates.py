"""Neighbours by loops over all pairs."""

from __future__ import annotations

import torch

from fewshot.checks import copy_candidates


def looks(images: torch.Tensor, features: torch.Tensor) -> copy_candidates.Looks:
    return copy_candidates.looks(images, features, copy_candidates.projection(features))


def similarity(one: torch.Tensor, other: torch.Tensor) -> float:
    """Return the larger correlation of two images of 6 pixels, as they are and mirrored."""
    one, other = (image - image.mean((1, 2), keepdim=True) for image in (one, other))
    values = [
        torch.cosine_similarity(one.flatten(), version.flatten(), dim=0).item()
        for version in (other, other.flip(2))
    ]
    return max(values)


def test_candidates_are_the_nearest_by_pixels_and_by_features(monkeypatch):
    monkeypatch.setattr(copy_candidates, "BLOCK", 7)
    monkeypatch.setattr(copy_candidates, "N_NEIGHBOURS", 2)
    random = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (20, 3, 6, 6), generator=random, dtype=torch.uint8)
    features = torch.randn(20, 5, generator=random)
    centred = features - features.mean(0)
    expected = set()
    for one in range(20):
        others = [other for other in range(20) if other != one]
        by_pixels = sorted(
            others, key=lambda other: -similarity(images[one].float(), images[other].float())
        )
        by_features = sorted(
            others, key=lambda other: -torch.cosine_similarity(centred[one], centred[other], 0)
        )
        for other in by_pixels[:2] + by_features[:2]:
            expected.add((min(one, other), max(one, other)))
    result = copy_candidates.candidates(looks(images, features))
    assert set(map(tuple, result.pairs.tolist())) == expected


def test_a_mirrored_copy_in_other_images_is_a_candidate_and_marked():
    random = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (20, 3, 6, 6), generator=random, dtype=torch.uint8)
    others = torch.cat([images[5:6].flip(3), images[9:10]])
    nothing = torch.zeros(20, 0)
    result = copy_candidates.candidates(looks(images, nothing), looks(others, nothing[:2]))
    pairs = dict(zip(map(tuple, result.pairs.tolist()), result.mirrored.tolist(), strict=True))
    assert pairs[5, 0]
    assert not pairs[9, 1]
