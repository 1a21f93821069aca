"""A sentence about labels of the user's own images that look wrong.

A run reports them where that costs next to nothing: where the features of all training images are
cached. Each image is classified by ridge regression on the features of the others.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from episodes import datasets
from episodes.datasets.decoded_parts import decoded_parts
from episodes.datasets.names import readable_line
from episodes.types import Fit
from fewshot import backbones
from fewshot.evaluation import confident_learning
from fewshot.evaluation.confident_learning import LikelyErrors
from fewshot.features import frozen
from fewshot.heads import affine, calibration
from fewshot.runs import calibrating, trial_data
from fewshot.runs.resolve import ResolvedRun
from fewshot.runs.trial_data import Part

BEGINNING = "labels that look wrong:"
FEWEST = 4  # images of the median class; with fewer, a classifier knows too little
MOST = 5_000  # images; the classification of more takes too long for a hint
FOLDS = 5

log = logging.getLogger("fewshot")


def warn(run: ResolvedRun) -> None:
    """Log a sentence about labels of the user's own training images that look wrong, if any do."""
    data, train = run.config.data, run.data.train
    if not Path(os.path.expanduser(data)).exists() or not 0 < len(train) <= MOST:
        return
    learner, indices = run.build_learner(0), torch.arange(len(train))
    device = run.compute.device
    if not trial_data.works_on_features(run, learner, Part(train, indices)):
        return
    if frozen.n_missing(learner.backbone, train, indices, device):
        return
    features = frozen.cached(learner.backbone, train, indices, device).features
    errors = likely_errors(features.features.as_subclass(Tensor), train.labels, train.clusters)
    names = _names_in(run) or tuple(map(str, range(len(train))))
    text = sentence(errors, names, train.labels, train.classes)
    if text:
        log.warning("%s", text)


def likely_errors(features: Tensor, labels: Tensor, clusters: Tensor | None) -> LikelyErrors:
    """Return the labels that are most surely wrong, by predictions for images that are held out.

    Args:
        features: float [n, d].
        labels: int64 [n].
        clusters: images of one cluster are held out together, int64 [n]; None if each is on its
            own.
    """
    nothing = LikelyErrors(labels[:0], features.new_empty(0), labels[:0])
    present, numbers, counts = labels.unique(return_inverse=True, return_counts=True)
    if len(present) < 2 or counts.median() < FEWEST:
        return nothing
    n_way = len(present)
    whole = affine.fit(features, numbers, n_way, kind="ridge")(features)
    logits, positions = [], []
    for inside, outside in calibrating.folds(numbers, clusters, most=FOLDS):
        head = affine.fit(features[inside], numbers[inside], n_way, kind="ridge")
        scale = calibration.relative_spread(whole, head(features[inside]))
        logits.append(scale * head(features[outside]))
        positions.append(outside)
    at, held_out = torch.cat(positions), torch.cat(logits)
    temperature = calibration.choose_temperature(
        held_out, numbers[at], tolerance=calibrating.WIDE_TOLERANCE
    )
    errors = confident_learning.surest(numbers[at], held_out, temperature)
    return errors._replace(indices=at[errors.indices], suggested=present[errors.suggested])


def _names_in(run: ResolvedRun) -> tuple[str, ...]:
    """Return the paths of the training images of a run; none if it leaves some of them out."""
    config = run.config
    if isinstance(config.test, float) or config.exclude_classes:
        return ()
    return names_of(
        config.data,
        len(run.data.train),
        image_size=config.image_size,
        input_size=backbones.input_side(config.backbone),
        fit=config.image_fit,
        group_by=config.group_by,
    )


def names_of(
    data: str,
    n_images: int,
    *,
    image_size: int | None = None,
    input_size: int = 0,
    fit: Fit = "crop",
    group_by: str | None = None,
) -> tuple[str, ...]:
    """Return the paths of the training images of a data set that can be read.

    Args:
        data: a path or the name of a data set.
        n_images: how many can be read; if the number has changed, there are no names.
        image_size, input_size, fit, group_by: how they were loaded, so that they are not decoded
            again.
    """
    part = datasets.contents(data).train
    positions = list(range(len(part.labels)))
    if len(positions) != n_images:
        parts = decoded_parts(
            data, image_size=image_size, input_size=input_size, fit=fit, group_by=group_by
        )
        reasons = parts[0].reasons
        positions = [index for index, reason in enumerate(reasons) if reason is None]
    return tuple(map(part.name_of, positions)) if len(positions) == n_images else ()


def sentence(
    errors: LikelyErrors, names: Sequence[str], labels: Tensor, classes: Sequence[str]
) -> str:
    """Return a sentence that names the most likely error; an empty one if there is none.

    Args:
        errors: positions of images among all labelled ones, the most likely error first.
        names: path or number of each labelled image.
        labels: int64 [n].
        classes: class names, in the order of the labels.
    """
    if not len(errors.indices):
        return ""
    first = int(errors.indices[0])
    given, suggested = classes[int(labels[first])], classes[int(errors.suggested[0])]
    return (
        f"{BEGINNING} {len(errors.indices):,} of {len(labels):,}, for example that of "
        f"{readable_line(names[first])} ({given}, more likely {suggested}); `fewshot check` lists "
        "them"
    )
