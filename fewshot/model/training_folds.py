"""What a training predicts for labelled images that it was not trained on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from episodes.types import ImageSet
from fewshot import progress
from fewshot.features import frozen
from fewshot.model import comparing, heads
from fewshot.model.candidates import Candidate
from fewshot.model.comparing import Split
from fewshot.model.heads import OutOfFold
from fewshot.runs import calibrating


def logits(
    candidate: Candidate, images: ImageSet, splits: Sequence[Split], device: str
) -> Iterator[Tensor]:
    """Train on the first part of each split, and yield the logits of the second, under the prior.

    Args:
        candidate: the training.
        images: the labelled images.
        splits: indices of the images to train on and to classify, int64.
        device: cpu, cuda and so on.
    """
    assert candidate.training is not None
    prior = candidate.recipe.prior
    for number, (inside, outside) in enumerate(splits):
        with progress.within(f"{candidate.name}, fold {number + 1}/{len(splits)}"):
            trained = candidate.training.run(images, inside)
            labels = images.labels[inside]
            head = heads.with_prior(trained.head, labels, trained.learned, prior, images.classes)
            yield head(frozen.extract(trained.backbone, images, outside, device))


def out_of_fold(candidate: Candidate, images: ImageSet, seed: int, device: str) -> OutOfFold:
    """Return what trainings without each of a few folds predict for it."""
    splits = list(calibrating.folds(images.labels, images.clusters, seed, comparing.TRAINING_FOLDS))
    at = torch.cat([outside for _, outside in splits])
    predictions = torch.cat(list(logits(candidate, images, splits, device)))
    return OutOfFold(predictions, images.labels[at], at, len(splits))
