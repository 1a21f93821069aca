"""What a training reads of a run, whichever regime evaluates its result."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from episodes.types import ImageSet
from fewshot.config import MethodConfig
from fewshot.learners.base import Learner, Task
from fewshot.runs.run_settings import build_learner
from fewshot.training.devices import Compute


class TrainingRun(Protocol):
    """A run as meta-training sees it: `ResolvedRun` of the low-data regime, or `BaseTraining`.

    Attributes:
        config: the settings; `method` names a learner, and `train` is set.
        bases: the image sets of the base classes.
        val: images of classes whose tasks choose the best step; None keeps the last step.
        task: what the learner is built for.
        folder: the folder of the run, which gets a copy of the weights.
        compute: device, precision and threads.
    """

    @property
    def config(self) -> MethodConfig: ...
    @property
    def bases(self) -> tuple[ImageSet, ...]: ...
    @property
    def val(self) -> ImageSet | None: ...
    @property
    def task(self) -> Task: ...
    @property
    def folder(self) -> Path: ...
    @property
    def compute(self) -> Compute: ...

    def build_learner(self, seed: int) -> Learner:
        """Return the learner before its training, on the device."""


@dataclass(frozen=True)
class BaseTraining:
    """A meta-training of the episodic regime; see `TrainingRun` for the attributes.

    The number of classes of a training episode is `learner.episode_ways`, or `task.n_way` if that
    is null. `task.n_base` has to be the number of classes of all bases. `seed` is that of the
    initial weights and of the training's tasks, pairs or batches.
    """

    config: MethodConfig
    bases: tuple[ImageSet, ...]
    val: ImageSet | None
    task: Task
    folder: Path
    compute: Compute
    seed: int = 0

    def build_learner(self, seed: int) -> Learner:
        """Return the learner before its training, on the device."""
        learner = build_learner(self.config, self.task, seed).to(self.compute.device)
        learner.backbone.set_compute(self.compute.precision, self.compute.channels_last)
        return learner
