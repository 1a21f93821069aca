"""Train a network on labelled images, for a classifier that is kept."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from episodes.types import ImageSet, Labelled
from fewshot.backbones import Backbone
from fewshot.config import FEW_LABELS, BackboneSettings, RunConfig
from fewshot.features import frozen
from fewshot.heads.affine import AffineHead
from fewshot.learners.base import Learner, Task
from fewshot.model.classifier import for_models
from fewshot.runs import checks, fitting, run_settings
from fewshot.runs.training_run import BaseTraining
from fewshot.runs.trial_data import Part
from fewshot.training import devices

Method = Literal["finetune", "scratch"]
MEASURED_STEPS = 3


class Trained(NamedTuple):
    """A network after its training, and its head.

    Attributes:
        backbone: the network, in evaluation mode, which computes as those of all classifiers.
        head: features -> logits, without a prior.
        learned: whether the logits contain the frequencies of the labels.
    """

    backbone: Backbone
    head: AffineHead
    learned: bool


class _Fit(NamedTuple):
    """A trained learner, and the seconds that its steps took."""

    learner: Learner
    seconds: float


@dataclass(frozen=True)
class Training:
    """How a network is trained.

    Args:
        config: the settings of the learner and of its training.
        device: cpu, cuda and so on.
        seed: seed of the initial weights and of the training.
    """

    config: RunConfig
    device: str
    seed: int

    def run(self, images: ImageSet, indices: Tensor) -> Trained:
        """Train on some images of a set."""
        with tempfile.TemporaryDirectory(prefix="fewshot-") as folder:
            learner = self._fit(images, indices, Path(folder)).learner
        learner.eval().requires_grad_(False)
        for_models(learner.backbone)
        features = frozen.extract(learner.backbone, images, indices, self.device)
        support = Labelled(frozen.as_features(features), images.labels[indices])
        head = learner.to("cpu").affine_head(support)
        assert head is not None  # `configured` asks for nothing else
        learner.to(self.device)
        return Trained(learner.backbone, head, learner.learns_frequencies(len(indices)))

    def n_steps(self, images: ImageSet) -> int:
        """Return the steps of a training on all images."""
        assert self.config.train is not None
        return self.config.train.total_steps(max(1.0, len(images) / self.config.train.batch_size))

    def n_images(self, images: ImageSet) -> int:
        """Return how many images all steps of a training see, with repeats."""
        assert self.config.train is not None
        return self.n_steps(images) * self.config.train.batch_size

    def seconds(self, images: ImageSet) -> float:
        """Return how long a training takes, from a few steps and from what it does besides."""
        assert self.config.train is not None
        n_steps = self.n_steps(images)
        few = min(MEASURED_STEPS, n_steps)
        for steps in (1, few):  # the first step takes longer
            settings = self.config.train.model_copy(update={"steps": steps, "epochs": None})
            short = replace(self, config=self.config.model_copy(update={"train": settings}))
            started = time.perf_counter()
            with tempfile.TemporaryDirectory(prefix="fewshot-") as folder:
                of_steps = short._fit(images, torch.arange(len(images)), Path(folder)).seconds
            seconds = time.perf_counter() - started
        return seconds + of_steps / few * (n_steps - few)

    def _fit(self, images: ImageSet, indices: Tensor, folder: Path) -> _Fit:
        compute = devices.resolve(self.device, "auto", torch.get_num_threads())
        task = Task(len(images.classes), None, images.classes)
        run = BaseTraining(self.config, (), None, task, folder, compute, self.seed)
        learner = run.build_learner(self.seed)
        fit = fitting.fit_part(run, learner, Part(images, indices), self.seed, folder)
        return _Fit(learner, fit.seconds)


def configured(
    method: Method, images: ImageSet, backbone: BackboneSettings | None, preset: str | None = None
) -> RunConfig:
    """Return the settings of a training whose classifier is affine in the features.

    Args:
        method: the learner.
        images: the labelled images.
        backbone: the network; None for that of the preset.
        preset: name of the preset; None for the default of a run with as many labels.
    """
    few = len(images) <= FEW_LABELS * len(images.classes)
    values = {"method": method, "data": images.name, "full": True, "select": "last"}
    if backbone is not None:
        values["backbone"] = backbone.model_dump()
    if method == "finetune":
        values["learner"] = {"probe_share": 0.0, "ensemble_size": 1}
    config = run_settings.configure(values, preset or ("few" if few else "full"))
    if images.mirror:
        return config
    return config.model_copy(update=checks.changes_without_mirroring(config))
