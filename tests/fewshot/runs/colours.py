"""Image sets whose classes are colours, and small trainings on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from episodes.types import ImageSet
from fewshot.config import MethodConfig
from fewshot.learners import LEARNERS
from fewshot.learners.base import Task
from fewshot.runs.training_run import BaseTraining
from fewshot.training.devices import Compute

SMALL = {"name": "conv4", "options": {"width": 8, "norm": "group"}}


def colours(name: str, n_classes: int, per_class: int = 12, side: int = 16) -> ImageSet:
    """Return images of noisy colours, a colour for each class."""
    random = torch.Generator().manual_seed(sum(name.encode()))
    means = torch.rand(n_classes, 3, 1, 1, generator=random)
    labels = torch.arange(n_classes).repeat(per_class)
    noise = torch.rand(len(labels), 3, side, side, generator=random)
    pixels = (0.6 * means[labels] + 0.4 * noise).mul(255).to(torch.uint8)
    classes = tuple(f"{name}-{number}" for number in range(n_classes))
    return ImageSet(name, pixels, labels, classes, f"{name}-{n_classes}-{per_class}", {})


def training(
    method: str, folder: Path, bases: tuple[ImageSet, ...], val: ImageSet | None, **settings: Any
) -> BaseTraining:
    """Return a meta-training of a few steps on base sets."""
    values = {"backbone": {**SMALL, "input_size": 16}, "train": {"steps": 6, "batch_size": 16}}
    config = MethodConfig.model_validate({**values, "method": method, **settings})
    options = LEARNERS[method].options_type.model_validate(config.learner)
    config = config.model_copy(update={"learner": options.model_dump(mode="json")})
    folder.mkdir(exist_ok=True)
    task = Task(5, n_base=sum(len(base.classes) for base in bases))
    return BaseTraining(config, bases, val, task, folder, Compute("cpu", "float32", False, 1))
