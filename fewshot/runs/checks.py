"""Checks of a request before any work starts; each failure is one sentence with its remedy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from episodes import augment, streams
from episodes.rng import generator
from episodes.types import ImageSet, TrainTest
from fewshot import config
from fewshot.backbones import views
from fewshot.config import BackboneSettings, MethodConfig, Prior, RunConfig
from fewshot.errors import UserError, one_line
from fewshot.learners.base import Learner, LearnerOptions
from fewshot.training import devices, optim

MIRRORING = ("flip", "alternating_flip")


def check_method(settings: RunConfig, method: type[Learner], options: LearnerOptions) -> None:
    """Check that the settings suit what the method trains on.

    Raises:
        UserError: a section has no use for the method, or a required one is missing.
    """
    name, train = settings.method, settings.train
    if method.feed is None and train is not None:
        raise UserError(f"method '{name}' is not trained: remove the section 'train'.")
    tied = method.feed == "batches" and not method.needs.support  # the trained head classifies
    if tied and train is None:
        raise UserError(f"method '{name}' is trained, and the section 'train' is missing.")
    if tied and train is not None and train.bases:
        raise UserError(
            f"train.base is for learners that adapt to new classes, and '{name}' is not one: "
            "remove it."
        )
    if train is not None and train.bases:
        _check_meta_training(settings, method, options)
    if train is None and (settings.select == "start" or settings.on_folds):
        remedy = "give several values as learner.c" if method.feed is None else "use select: last"
        raise UserError(f"method '{name}' without training has no steps to choose from: {remedy}.")
    if settings.shots == 0 and options.needs_labels():
        raise UserError(
            f"'shots' is 0, which leaves method '{name}' no label to learn from: use at least 1, "
            "or a probe with learner.prior_from_names=true."
        )
    check_labels(settings, method, options)


def _check_meta_training(
    settings: RunConfig, method: type[Learner], options: LearnerOptions
) -> None:
    """Check that nothing of the training on base classes depends on the labelled subset."""
    shared = "train.base trains once for all trials"
    if settings.select != "last" or settings.validation is not None:
        raise UserError(
            f"{shared}, so the labelled images choose nothing: use select: last and "
            "validation: null."
        )
    if (setting := options.excludes_base()) is not None:
        raise UserError(
            f"learner.{setting} has a value that needs the classes of the labelled images, which "
            f"train.base replaces: remove learner.{setting} or train.base."
        )
    if method.prepare is not Learner.prepare:
        raise UserError(
            f"{shared}, and method '{settings.method}' initialises itself from the labelled "
            "images: remove train.base."
        )


def check_labels(settings: MethodConfig, method: type[Learner], options: LearnerOptions) -> None:
    """Check that the method can take the labels that the augmentations give."""
    name = settings.method
    if settings.append is not None:
        if any("until" in step for step in augment.check(settings.append.augment)):
            raise UserError(
                "append.augment changes its images once, so 'until' has no effect: remove it."
            )
        if method.feed != "batches":
            raise UserError(f"append gives soft labels, which method '{name}' cannot take.")
    steps = augment.check(settings.augment)
    _check_labels_of_training(name, method, options, settings.train, steps)


def check_augment_of_request(
    method: type[Learner],
    settings: RunConfig,
    preset: Mapping[str, Any],
    request: Mapping[str, Any],
) -> None:
    """Check that a request names no augmentation where nothing is trained.

    Args:
        method: the learner.
        settings: the settings, without a training.
        preset: the settings of the preset, whose augmentation is that of a training.
        request: the settings that were given on top of it.

    Raises:
        UserError: it names one that the preset does not have.
    """
    if not request.get("augment") or request["augment"] == preset.get("augment"):
        return
    remedy = "is never trained: remove augment."
    if method.feed is not None:
        remedy = "is not trained here: remove augment, or set train.steps."
    raise UserError(
        f"augment changes the images of a training, and method '{settings.method}' {remedy}"
    )


def check_fit(learner: Learner, train: config.Train, steps: Sequence[Mapping[str, Any]]) -> None:
    """Check that a training by `fewshot.fit` suits its learner.

    Args:
        learner: the learner.
        train: how it is trained.
        steps: steps of augmentation.

    Raises:
        UserError: the learner cannot take a setting, or a phase trains nothing.
    """
    if train.base is not None:
        raise UserError(
            "fit: base is for fewshot.run and fewshot.episodes, and fit trains on the support: "
            "give the images as the support."
        )
    name = type(learner).__name__
    _check_labels_of_training(name, type(learner), learner.options, train, steps)
    _check_phases(train, learner, name)


def _check_labels_of_training(
    name: str,
    method: type[Learner],
    options: LearnerOptions,
    train: config.Train | None,
    steps: Sequence[Mapping[str, Any]],
) -> None:
    mixing = [step["name"] for step in steps if augment.mixes_labels(step)]
    if mixing and method.feed != "batches":
        raise UserError(f"augment: '{mixing[0]}' mixes labels, which method '{name}' cannot take.")
    if method.feed == "pairs" and train is not None and train.label_smoothing:
        raise UserError(
            f"method '{name}' trains on pairs, which have no labels to smooth: remove "
            "train.label_smoothing."
        )
    if method.feed == "batches" and train is not None and train.within_superclass:
        raise UserError(
            f"train.within_superclass chooses the classes of episodes and of pairs, and method "
            f"'{name}' trains on batches of all classes: remove it."
        )
    if mixing and (setting := options.excludes_mixing()):
        raise UserError(
            f"augment: '{mixing[0]}' mixes images, but learner.{setting} needs unmixed images: "
            "remove one of them."
        )


def check_prior(prior: Prior, classes: Sequence[str]) -> None:
    """Check that the prior names classes of the data.

    Raises:
        UserError: it names another.
    """
    for name in prior if isinstance(prior, dict) else ():
        if name not in classes:
            raise UserError(
                f"prior names the class '{name}', which the data does not have: its classes are "
                f"{', '.join(classes)}."
            )


def check_folds(settings: RunConfig, data: TrainTest) -> None:
    """Check that a number of folds is not asked for where nothing is cross-validated.

    Raises:
        UserError: there are test images, and the number of folds is not the default.
    """
    if data.is_whole or settings.test_folds == RunConfig.model_fields["test_folds"].default:
        return
    reason = "has a test part" if settings.test is None else "gets test images by --test"
    raise UserError(
        f"{data.train.name} {reason}, so it is not cross-validated: remove --folds (test_folds)."
    )


def fit_to_data(settings: RunConfig, data: TrainTest, smallest_class: int) -> RunConfig:
    """Return the settings without mirroring where a mirror image may be of another class.

    Args:
        settings: the settings.
        data: the data set; digits, for example, have no mirror images.
        smallest_class: number of labelled images of the smallest class.

    Raises:
        UserError: a validation set is asked for, and a class has a single labelled image.
    """
    if (settings.validation is not None or settings.on_folds) and smallest_class < 2:
        raise UserError(
            "validation needs two labelled images of every class: use more shots, or select=last "
            "and validation=null."
        )
    if data.train.mirror:
        return settings
    return settings.model_copy(update=changes_without_mirroring(settings))


def changes_without_mirroring(settings: MethodConfig) -> dict[str, Any]:
    """Return the settings that change where a mirror image may be of another class."""
    changes: dict[str, Any] = {"augment": _without_mirroring(settings.augment)}
    if (backbone := without_mirrored_views(settings.backbone)) != settings.backbone:
        changes["backbone"] = backbone
    if settings.append is not None:
        steps = _without_mirroring(settings.append.augment)
        changes["append"] = settings.append.model_copy(update={"augment": steps})
    return changes


def without_mirrored_views(backbone: BackboneSettings) -> BackboneSettings:
    """Return the settings of a network without views where these have mirror images."""
    beside = tuple(without_mirrored_views(one) for one in backbone.beside)
    own = "none" if views.mirrored(backbone.views) else backbone.views
    return backbone.model_copy(update={"views": own, "beside": beside})


def _without_mirroring(steps: Sequence[config.Step]) -> tuple[config.Step, ...]:
    return tuple(step for step in augment.check(steps) if step["name"] not in MIRRORING)


def check_by_trying(settings: MethodConfig, learner: Learner, n_way: int, train: ImageSet) -> None:
    """Put two images through augmentation and backbone, and build the optimiser.

    Raises:
        UserError: the images do not fit the network, the network gives no feature vectors, or a
            phase trains nothing.
    """
    backbone, size = settings.backbone.full_name, "x".join(map(str, train.images.shape[-2:]))
    try:
        images = streams.labelled(train, torch.arange(2), "cpu")
        change = augment.build(settings.augment, n_way)
        changed, _ = change(images.images, images.labels, generator(0, "try-out"), None)
    except (AssertionError, RuntimeError, ValueError) as error:
        raise UserError(
            f"the augmentation fails on images of {size} pixels ({one_line(error)}): change "
            "augment or image_size."
        ) from None
    try:
        with torch.no_grad():
            features = learner.eval().backbone(changed)
    except (AssertionError, RuntimeError, ValueError) as error:
        raise UserError(
            f"backbone '{backbone}' fails on images of {size} pixels ({one_line(error)}): "
            "change backbone.input_size, backbone.views or image_size."
        ) from None
    if features.shape[1:] != (learner.backbone.n_features,):
        raise UserError(
            f"backbone '{backbone}' gives features of shape {list(features.shape[1:])}, not one "
            "vector for an image: use another network, or other backbone.options."
        )
    if settings.train is not None:
        _check_resolutions(settings.train, learner, backbone)
        optimizer = optim.optimizer(learner, settings.train, settings.train.lr)
        optim.schedule(optimizer, settings.train.schedule, 10)
        _check_phases(settings.train, learner, settings.method)


def _check_phases(train: config.Train, learner: Learner, method: str) -> None:
    for number, phase in enumerate(train.phases):
        if not optim.trained_names(learner, train, phase.trainable):
            raise UserError(
                f"train.phases.{number} trains nothing: method '{method}' has no parameter in "
                f"'trainable: {phase.trainable}' with a learning rate above 0; use "
                "'trainable: all', or a number of stages of the backbone."
            )


def _check_resolutions(train: config.Train, learner: Learner, backbone: str) -> None:
    for resolution in train.resolutions:
        side = resolution.side
        try:
            with torch.no_grad():
                shape = learner.backbone.body(torch.zeros(1, 3, side, side)).shape[1:]
        except (AssertionError, RuntimeError, ValueError):
            shape = ()
        if shape != (learner.backbone.n_body_features,):
            raise UserError(
                f"train.resolutions: backbone '{backbone}' takes no images of {side} pixels: use "
                "others, or --set train.resolutions=[]."
            )


def check_compiler(settings: MethodConfig, compute: devices.Compute) -> None:
    """Refuse torch's compiler in bfloat16 on a CPU, where its gradients are not finite."""
    compiles = settings.train is not None and settings.train.compile
    if compiles and (compute.device, compute.precision) == ("cpu", "bfloat16"):
        raise UserError(
            "train.compile: torch's compiler gives gradients that are not finite in bfloat16 on a "
            "CPU: remove it, or use --set precision=float32."
        )
