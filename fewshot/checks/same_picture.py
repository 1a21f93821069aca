"""Decide by their pixels whether two images show one picture.

The second image is moved over the first, which undoes crops, shifts and another aspect ratio;
correlations do not see brightness and contrast. What then has to agree are the fine details: what a
blur takes away. Other photos of a thing have its outline in common with the first, and not the
details. Details have to agree in the whole image and in its middle, so that frames and captions
make no copies.

How alike two pictures are without being copies depends on the images: photos of a fixed camera
share their background, and drawings of a letter their strokes. Pairs of ordinary images of each
class are therefore compared as well, and the more alike they are, the less may copies differ.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from episodes.datasets import rows_on_disk
from episodes.datasets.copies import ordinary_pairs
from fewshot.checks import alignment
from fewshot.checks.copy_candidates import Candidates

SIDE = 32  # pixels
# Least correlations of the details at 16 and 32 pixels, the second chosen on half of the copies of
# CIFAR-10 that ciFAIR lists: docs/log.md.
SCREENED, LEAST = 0.45, 0.70
MIDDLE = slice(6, 26)
STEPS = 4  # of the alignment, at 16 and then at 32 pixels
DETAILED = 0.08  # effective share of the pixels that hold the details of a photograph
ORDINARY = 0.8  # quantile of the correlations of ordinary pairs
PHOTOS = 0.2  # such quantiles of photographs are below it, and those of drawings above: docs/log.md
MANY = 0.5  # quantile of the correlations of the candidates
FEWEST_PAIRS = 8  # with fewer pairs in a class, those of all classes count
EQUAL = 1e-5  # difference of the correlations of equal images
CHUNK = 256  # pairs


class Likeness(NamedTuple):
    """How alike the images of pairs are.

    Attributes:
        details: correlation of the details, of the whole image or of its middle, whichever is
            lower, float32 [m]. It is that at 16 pixels for images that differ there.
        share: effective share of the pixels that hold the details, float32 [m]; 0 for images that
            differ at 16 pixels.
    """

    details: Tensor
    share: Tensor


def scores(images: Tensor, candidates: Candidates, classes: np.ndarray) -> np.ndarray:
    """Return how sure it is that both images of each pair show one picture, float64 [m]; 0 if not.

    Args:
        images: at 32 pixels, uint8 [n, 3, 32, 32].
        candidates: the pairs.
        classes: class of each image, from 0, int64 [n].
    """
    if not len(candidates.pairs):
        return np.empty(0)
    likeness = _likeness(images, candidates)
    details = likeness.details.double().numpy()
    usual = _usual(images, classes, details)[classes[candidates.pairs.numpy()]].max(1)
    share = likeness.share.double().numpy()
    room = np.where(usual > PHOTOS, 1 - usual, 1) * (share / DETAILED).clip(max=1)
    most = np.maximum((1 - LEAST) * room**2, EQUAL)
    return np.where(1 - details <= most, 1 - (1 - details) / most / 2, 0)


def reduced(images: Tensor) -> Tensor:
    """Return images uint8 [n, 3, s, s] at 32 pixels, uint8 [n, 3, 32, 32]."""
    if images.shape[-1] == SIDE or not len(images):
        return images
    parts = (
        nn.functional.interpolate(part.float(), SIDE, mode="area").round().to(torch.uint8).numpy()
        for part in images.split(CHUNK)
    )
    return torch.from_numpy(rows_on_disk.joined(parts, len(images)))


def _usual(images: Tensor, classes: np.ndarray, of_candidates: np.ndarray) -> np.ndarray:
    """Return how alike ordinary images of each class are, float64 [number of classes].

    Where they are more alike than photographs, as digits are, it is also how alike many of the
    candidates are, whose correlations are given.
    """
    pairs = ordinary_pairs(classes)
    unmirrored = torch.zeros(len(pairs), dtype=torch.bool)
    likeness = _likeness(images, Candidates(torch.from_numpy(pairs), unmirrored))
    details = likeness.details.double().numpy()
    overall = float(np.quantile(details, ORDINARY)) if len(details) else 0.0
    usual = np.full(int(classes.max(initial=0)) + 1, overall)
    of_pairs = classes[pairs[:, 0]]
    for label in np.flatnonzero(np.bincount(of_pairs) >= FEWEST_PAIRS):
        usual[label] = np.quantile(details[of_pairs == label], ORDINARY)
    return np.where(usual > PHOTOS, usual.clip(np.quantile(of_candidates, MANY)), usual)


def _likeness(images: Tensor, candidates: Candidates) -> Likeness:
    """Compare the images of pairs."""
    chunks = [
        _likeness_of_chunk(images, *pairs)
        for pairs in zip(
            candidates.pairs.split(CHUNK), candidates.mirrored.split(CHUNK), strict=True
        )
    ]
    return Likeness(*map(torch.cat, zip(*chunks, strict=True)))


@torch.inference_mode()
def _likeness_of_chunk(images: Tensor, pairs: Tensor, mirrored: Tensor) -> Likeness:
    """Compare the images of some pairs, at 32 pixels if they are alike enough at 16."""
    first, second = images[pairs[:, 0]].float(), images[pairs[:, 1]].float()
    first, second = first.mean(1, keepdim=True), second.mean(1, keepdim=True)
    second = torch.where(mirrored[:, None, None, None], second.flip(3), second)
    small, small_second = nn.functional.avg_pool2d(first, 2), nn.functional.avg_pool2d(second, 2)
    placements = alignment.align(small, small_second, alignment.identity(len(pairs)), STEPS)
    aligned = alignment.moved(small_second, placements)
    details = _correlation(_details(small), _details(aligned.images), aligned.inside)
    share, passing = torch.zeros(len(pairs)), details > SCREENED
    if not passing.any():
        return Likeness(details, share)
    first, second = first[passing], second[passing]
    placements = alignment.align(first, second, placements[passing], STEPS)
    aligned = alignment.moved(second, placements)
    of_first, of_second = _details(first), _details(aligned.images)
    middle = torch.zeros_like(aligned.inside)
    middle[:, :, MIDDLE, MIDDLE] = 1
    details[passing] = torch.minimum(
        _correlation(of_first, of_second, aligned.inside),
        _correlation(of_first, of_second, aligned.inside * middle),
    )
    share[passing] = torch.minimum(
        _share(of_first * aligned.inside), _share(of_second * aligned.inside)
    )
    return Likeness(details, share)


def _details(images: Tensor) -> Tensor:
    """Return what a blur of 3 x 3 pixels takes away."""
    padded = nn.functional.pad(images, (1, 1, 1, 1), mode="replicate")
    return images - nn.functional.avg_pool2d(padded, 3, 1)


def _correlation(first: Tensor, second: Tensor, weights: Tensor) -> Tensor:
    """Return the correlation of each pair of images [m, 1, s, s] where the weights are 1, [m]."""
    first, second, weights = first.flatten(1), second.flatten(1), weights.flatten(1)
    n = weights.sum(1, keepdim=True).clamp_min(1)
    first = (first - (first * weights).sum(1, keepdim=True) / n) * weights
    second = (second - (second * weights).sum(1, keepdim=True) / n) * weights
    lengths = first.norm(dim=1) * second.norm(dim=1)
    return (first * second).sum(1) / lengths.clamp_min(1e-6)


def _share(details: Tensor) -> Tensor:
    """Return the effective share of the pixels that hold the details: 1 if all have as much."""
    energy = details.flatten(1) ** 2
    return energy.sum(1) ** 2 / (energy**2).sum(1).clamp_min(1e-9) / energy.shape[1]
