"""What a fitted learner predicts for labelled images that it was not fitted to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from fewshot import io
from fewshot.backbones import embed
from fewshot.config import FEW_LABELS
from fewshot.errors import UserError, one_line
from fewshot.evaluation import low_data
from fewshot.evaluation.low_data import Predictions
from fewshot.heads import calibration
from fewshot.learners.base import Learner
from fewshot.runs import trial_data
from fewshot.runs.resolve import ResolvedRun
from fewshot.runs.trial_data import Part

FILE = "predictions.npz"


class HeldOut(NamedTuple):
    """Predictions for held-out images.

    Attributes:
        logits: under the prior of the run, [n, n_way].
        labels: int64 [n].
        reference: logits of a cosine head on the same features, [n, n_way]; None if the network
            began with random weights, whose features say little, or if there are many labels.
    """

    logits: Tensor
    labels: Tensor
    reference: Tensor | None = None

    def write(self, folder: Path) -> None:
        """Write the predictions into the folder of a training."""
        arrays = {
            name: value.numpy() for name, value in self._asdict().items() if value is not None
        }
        io.write_arrays(folder / FILE, arrays)


def read(folder: Path) -> HeldOut:
    """Return the predictions that `HeldOut.write` wrote into a folder.

    Raises:
        UserError: they are damaged.
    """
    path = folder / FILE
    try:
        with path.open("rb") as stream, np.load(stream) as arrays:
            return HeldOut(**{name: torch.from_numpy(array) for name, array in arrays.items()})
    except io.DAMAGED_ARRAYS as error:
        raise UserError(
            f"{path} cannot be read ({one_line(error)}): remove the folder {folder}, and the same "
            "command computes it again."
        ) from None


def joined(parts: Sequence[HeldOut]) -> HeldOut:
    """Return the predictions of several folds as one."""
    references = [part.reference for part in parts if part.reference is not None]
    return HeldOut(
        torch.cat([part.logits for part in parts]),
        torch.cat([part.labels for part in parts]),
        torch.cat(references) if len(references) == len(parts) else None,
    )


def shift(run: ResolvedRun, learner: Learner, train: Part, *, trained: bool) -> Tensor | None:
    """Return what the run's prior adds to the logits of a learner that was fitted to a part.

    Args:
        run: the resolved run.
        learner: the learner.
        train: the images that it was trained on, or that it adapts to.
        trained: whether it was trained; otherwise it is as it was initialised.
    """
    counts = train.labels.bincount(minlength=train.n_way)
    learned = learner.learns_frequencies(len(train.indices), trained=trained)
    return calibration.prior_shift(run.config.prior, train.source.classes, counts, learned)


def image_weights(run: ResolvedRun, train: Part, labels: Tensor) -> Tensor | None:
    """Return weights of held-out images for the classes to be as frequent as the prior says.

    Args:
        run: the resolved run.
        train: the training images, whose frequencies may be the prior.
        labels: of the held-out images, int64 [n].

    Returns:
        Float [n], or None if all weigh alike.
    """
    counts = train.labels.bincount(minlength=train.n_way)
    expected = calibration.frequencies(run.config.prior, train.source.classes, counts)
    return calibration.image_weights(labels, expected)


def fitted(
    run: ResolvedRun, learner: Learner, inside: Part, *, trained: bool
) -> Callable[[Part], Predictions]:
    """Return a function that classifies a part, under the prior, by a learner fitted to `inside`.

    Args:
        run: the resolved run.
        learner: the learner, which was trained on `inside` or is not trained.
        inside: the images that it adapts to.
        trained: whether it was trained.
    """
    device = run.compute.device
    support = trial_data.support_for_adapt(learner, inside, device)
    classifier = low_data.adapt(learner, support).classifier
    prior = calibration.Calibration(shift(run, learner, inside, trained=trained))
    shifted = prior.shifted(classifier)

    def classify(part: Part) -> Predictions:
        return low_data.classify(shifted, trial_data.batches(learner, part, device))

    return classify


def predict(
    run: ResolvedRun, learner: Learner, inside: Part, outside: Part, *, trained: bool
) -> HeldOut:
    """Return what a learner that was fitted to `inside` predicts for `outside`; see `fitted`."""
    logits, labels = fitted(run, learner, inside, trained=trained)(outside)
    few = len(inside.indices) <= FEW_LABELS * inside.n_way
    if run.config.backbone.weights == "none" or not few:
        return HeldOut(logits, labels)
    return HeldOut(logits, labels, reference(run, learner, inside, outside))


@torch.no_grad()
def reference(run: ResolvedRun, learner: Learner, inside: Part, outside: Part) -> Tensor:
    """Return the logits of a cosine head on the learner's features as they are, [n, n_way]."""
    learner.eval()
    support, queries = (
        torch.cat(
            [
                embed(learner.backbone, batch.images).float().cpu()
                for batch in trial_data.batches(learner, part, run.compute.device)
            ]
        )
        for part in (inside, outside)
    )
    return calibration.cosine_reference(support, inside.labels, inside.n_way, queries)
