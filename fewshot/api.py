"""The Python interface: run experiments, train and evaluate learners, compare results.

`import fewshot` offers these functions. They call what the command line calls.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch

from episodes import augment as augmentation
from episodes import samplers, streams, subsets
from episodes.datasets import load
from episodes.rng import generator, seeded
from episodes.types import Episode, ImageSet, Labelled, TrainTest
from fewshot import config, progress
from fewshot.backbones import Backbone, chunk_size
from fewshot.config import Prior
from fewshot.errors import UserError
from fewshot.evaluation import low_data, metrics
from fewshot.heads import calibration
from fewshot.heads.calibration import Calibration
from fewshot.learners.base import Learner
from fewshot.runs import checks, experiment, training_stream
from fewshot.runs.run_record import RunRecord
from fewshot.training import curves, trainer


def run(
    method: str = config.DEFAULT_METHOD,
    *,
    shots: int | None = None,
    fraction: float | None = None,
    full: bool = False,
    data: str | Path | None = None,
    test: float | str | Path | None = None,
    folds: int | None = None,
    group_by: str | None = None,
    seeds: int | Sequence[int] = 10,
    preset: str | None = None,
    backbone: str | Mapping[str, Any] | None = None,
    weights: str | Path | None = None,
    out: str | Path = "runs",
    device: str | None = None,
    workers: int | None = 1,
    threads: int | None = None,
    force: bool = False,
    log: Literal["tensorboard", "wandb"] | None = None,
    quiet: bool = False,
    **settings: Any,
) -> RunRecord:
    """Train and evaluate a method on labelled subsets of a data set, as `fewshot run` does.

    Finished trials are read from the run's folder; an interrupted trial continues.

    Args:
        method: name of a learner, as `fewshot list` shows it.
        shots: labelled images per class. Give at most one of `shots`, `fraction` and `full`.
        fraction: share of the training images that are labelled, in (0, 1].
        full: use all training images, which is the default if `data` is given.
        data: name of a data set, or the path of a folder or file of images; by default "cifar10".
        test: path of other images to test on, or share of the images of a data set without a test
            part, in (0, 1). By default such a data set is cross-validated: each trial tests on one
            fold and learns from the others.
        folds: number of folds of the cross-validation; 5 by default.
        group_by: what keeps images in one fold: "subfolder", "prefix" (of the file name) or the
            name of a column; by default each image is on its own.
        seeds: number of trials (seeds 0 to n-1), or the seeds themselves.
        preset: a preset of the method, or the path of a YAML file; by default `few` up to 100
            labels per class, `full` beyond.
        backbone: name of one of our networks or of timm's, or a mapping with the keys of the
            section `backbone`.
        weights: "none", "pretrained" or a file.
        out: folder for run folders.
        device: "cpu", "cuda" or "cuda:1"; a GPU is the default where there is one.
        workers: trials that run at once, each in its own process, with the same results; None
            for as many as fit on the cores if the trials are long, which needs a main module that
            can be imported.
        threads: CPU threads of each trial; another number changes results slightly; by default
            those that the run has, and two for a new one (or OMP_NUM_THREADS).
        force: run finished trials again.
        log: where to send the curves of trainings as well: "tensorboard" or "wandb".
        quiet: show no progress.
        **settings: any other settings, nested as in YAML: `train={"steps": 50}`.

    Returns:
        The record of all finished trials of the run.

    Raises:
        UserError: if the request is wrong; nothing has been written then.
    """
    values: dict[str, Any] = {
        "method": method,
        "shots": shots,
        "fraction": fraction,
        "full": full or None,
        "data": None if data is None else str(data),
        "test": str(test) if isinstance(test, Path) else test,
        "test_folds": folds,
        "group_by": group_by,
        "preset": preset,
        "backbone": {"name": backbone} if isinstance(backbone, str) else backbone,
    }
    values = {key: value for key, value in values.items() if value is not None}
    if weights is not None:
        values = config.overlay(values, {"backbone": {"weights": str(weights)}})
    values = config.with_defaults(config.overlay(values, settings))
    with progress.on_stderr(quiet), curves.sent_to(log):
        return experiment.run(
            values,
            list(range(seeds)) if isinstance(seeds, int) else list(seeds),
            out=Path(out),
            device=device,
            workers=workers,
            threads=threads,
            force=force,
        )


def load_dataset(
    data: str | Path = "cifar10",
    *,
    image_size: int | None = None,
    backbone: Backbone | None = None,
) -> TrainTest:
    """Load the training and the test images of a data set.

    Args:
        data: name of a data set, or the path of a folder or file of images. If it has no test
            part, a fixed fifth of the images is set aside as the test set.
        image_size: side in pixels to which images are resized; chosen for the data set and the
            backbone by default.
        backbone: the network that will see the images. Without one, photographs are decoded at 64
            pixels, which is too few for most networks.

    Returns:
        A pair `(train, test)` of `ImageSet`, decoded once and memory-mapped afterwards.
    """
    input_size = 0 if backbone is None else backbone.image_side
    return load(str(data), image_size=image_size, input_size=input_size)


def sample_subset(
    images: ImageSet,
    *,
    shots: int | None = None,
    fraction: float | None = None,
    seed: int = 0,
) -> Labelled:
    """Sample a labelled subset, the same one that `run` samples for this seed.

    Subsets are nested: the first 4 shots of a seed are among its 16. A cross-validated `run`
    samples only from the images outside its test fold, so its subsets are different.

    Args:
        images: the images to sample from, usually the training images.
        shots: images per class. Give exactly one of `shots` and `fraction`.
        fraction: share of every class, in (0, 1].
        seed: seed of the subset.

    Returns:
        Images float [n, c, h, w] in [0, 1] and labels int64 [n].
    """
    if (shots is None) == (fraction is None):
        raise UserError("give exactly one of shots and fraction.")
    if shots is not None:
        indices = subsets.shots(images.labels, images.classes, shots, seed)
    else:
        assert fraction is not None
        indices = subsets.fraction(images.labels, len(images.classes), fraction, seed)
    return streams.labelled(images, indices, "cpu")


def sample_episode(
    images: ImageSet, *, ways: int = 5, shots: int = 1, queries: int = 15, seed: int = 0
) -> Episode:
    """Sample an N-way k-shot task: a support set and a disjoint query set of some classes.

    Args:
        images: the images to sample from.
        ways: number of classes.
        shots: support images per class.
        queries: query images per class.
        seed: seed of the task.

    Returns:
        Support and query with labels 0 to ways-1, and the classes that these stand for.

    Raises:
        UserError: if a number is below 1 or the classes have too few images.
    """
    if min(ways, shots, queries) < 1:
        raise UserError(
            "ways, shots and queries must be at least 1, "
            f"not ways={ways}, shots={shots}, queries={queries}."
        )
    by_class = subsets.by_class(images.labels, len(images.classes))
    task = samplers.episode(by_class, ways, shots, queries, generator(seed, "episode"))
    support = streams.labelled(images, task.support, "cpu")
    query = streams.labelled(images, task.query, "cpu")
    return Episode(
        Labelled(support.images, task.support_labels),
        Labelled(query.images, task.query_labels),
        task.classes,
    )


def fit(
    learner: Learner,
    support: Labelled,
    *,
    steps: int = 100,
    lr: float = 1e-3,
    batch_size: int = 64,
    augment: Sequence[str | Mapping[str, Any]] = (),
    seed: int = 0,
    quiet: bool = False,
    **train: Any,
) -> Learner:
    """Train a learner in place on labelled images, with the trainer that every run uses.

    A learner that needs no training, such as a probe, is returned as it is. A `speed-cnn` with
    random weights also needs `learner.backbone.initialise(support.images)` before, as runs do it.

    Args:
        learner: the learner, on the device that it should train on.
        support: the labelled images, float [n, c, h, w] in [0, 1], labels 0 to n_way-1.
        steps: optimiser steps.
        lr: learning rate at its highest; it falls as a cosine unless `schedule` says otherwise.
        batch_size: images per step, or pairs per step for a learner of pairs.
        augment: augmentations by name, or mappings of a name and its parameters.
        seed: seed of batches, augmentation and dropout.
        quiet: show no progress.
        **train: further keys of the `train:` settings, such as `weight_decay=0.05`.

    Returns:
        The learner itself, in evaluation mode.

    Raises:
        UserError: for an unknown setting, or one that the learner cannot take or `fit` has no use
            for.
        Diverged: if the loss is no longer finite.
    """
    learner.eval()
    if learner.feed is None:
        return learner
    settings = config.check(
        config.Train, {"steps": steps, "lr": lr, "batch_size": batch_size, **train}, "fit"
    )
    if settings.early_stopping is not None:
        raise UserError("fit: early_stopping needs a validation set, and fit has none: remove it.")
    steps_of_augment = augmentation.check(augment)
    checks.check_fit(learner, settings, steps_of_augment)
    device = next(learner.parameters()).device
    support = support.to(device)
    n_classes = int(support.labels.max()) + 1
    pixels = support.images.mul(255).round().to(torch.uint8)
    pool = streams.Pool(pixels, support.labels, n_classes)
    learner.prepare(support)
    stream, steps_per_epoch = training_stream.of_pool(
        settings, steps_of_augment, learner, pool, n_classes, seed
    )

    def on_log(point: trainer.LogPoint, total: int) -> None:
        progress.update(f"step {point['step']}/{total}, loss {point['train_loss']:.3f}")

    with progress.on_stderr(quiet), seeded(seed, "fit"):
        trainer.fit(learner, stream, settings, steps_per_epoch, on_log=on_log)
    learner.on_train_end()
    return learner.eval()


def evaluate(
    learner: Learner,
    support: Labelled,
    query: Labelled | ImageSet,
    *,
    prior: Literal["balanced", "training"] | Sequence[float] = "balanced",
) -> metrics.ClassifierScores:
    """Adapt a learner to the support set and score it on the query set.

    No query image influences the classification of another.

    Args:
        learner: a learner that is trained, or needs no training.
        support: the labelled images of the task.
        query: the images to classify, with their true labels.
        prior: frequencies of the classes that the classifier expects: `balanced`, those of the
            support set (`training`), or one weight for each class. It matters where the classes
            have unequal numbers of labels, or weights are given.

    Returns:
        Accuracy, macro precision, recall and F1, loss in nats, calibration error (ECE), Brier
        score, the recall of each class and the confusion matrix; without a temperature.

    Raises:
        UserError: the prior is not one of the two names, nor a positive weight for each class.
    """
    device = next(learner.parameters()).device
    counts = support.labels.bincount().cpu()
    classes = [str(label) for label in range(len(counts))]
    weights = _prior(prior, classes)
    learned = learner.learns_frequencies(len(support.labels))
    shift = calibration.prior_shift(weights, classes, counts, learned)
    classifier = low_data.adapt(learner, support.to(device)).classifier
    classifier = Calibration(shift).shifted(classifier)
    return metrics.scores(*low_data.classify(classifier, _in_batches(learner, query, device)))


def _prior(prior: str | Sequence[float], classes: Sequence[str]) -> Prior:
    """Return a checked prior, with its weights by class."""
    if isinstance(prior, str) and prior in ("balanced", "training"):
        return "balanced" if prior == "balanced" else "training"
    weights = [] if isinstance(prior, str | Mapping) else [float(weight) for weight in prior]
    if len(weights) != len(classes) or not all(0 < weight < math.inf for weight in weights):
        raise UserError(
            f"expected prior to be 'balanced', 'training' or a positive weight for each of the "
            f"{len(classes)} classes, not {prior!r}."
        )
    return dict(zip(classes, weights, strict=True))


def _in_batches(
    learner: Learner, query: Labelled | ImageSet, device: torch.device
) -> Iterator[Labelled]:
    size = chunk_size(learner.backbone, query.images)
    if isinstance(query, ImageSet):
        yield from streams.chunks(query, torch.arange(len(query)), size, device)
        return
    for images, labels in zip(query.images.split(size), query.labels.split(size), strict=True):
        yield Labelled(images, labels).to(device)
