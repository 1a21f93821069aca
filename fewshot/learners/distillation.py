"""Distillation: the class probabilities of trained networks are targets beside the labels.

Source: Hinton, Vinyals, Dean, Distilling the knowledge in a neural network, arXiv 1503.02531; with
teachers of the student's own form, Furlanello et al., arXiv 1805.04770; for few-shot features,
Tian et al., arXiv 2003.11539.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from episodes.types import Labelled
from fewshot import functional
from fewshot.backbones import Backbone, class_names, from_file
from fewshot.errors import UserError
from fewshot.learners.supervised import Supervised
from fewshot.learners.variation import Variation


class Distillation(Variation[Supervised]):
    """A supervised learner that also learns from teachers, on the same augmented images.

    Each teacher sees its part of the batch. Batches are shuffled, so on average the gradient is
    that of the mean of all teachers, at the cost of one.

    Args:
        learner: the student.
        teachers: networks that hold the classifier of their pretraining; see `load_teacher`.
        weight: share of the teachers in the loss, in [0, 1].
        temperature: divisor of the logits of the teachers and of the student.
    """

    def __init__(
        self,
        learner: Supervised,
        teachers: Sequence[Backbone],
        weight: float = 0.7,
        temperature: float = 2.0,
    ) -> None:
        super().__init__(learner, images=True)
        self._teachers = list(teachers)  # not registered: they are never trained or saved
        self.weight, self.temperature = weight, temperature

    def loss(self, item: Labelled) -> Tensor:
        logits = self.learner.logits(item.images)
        supervised = self.learner.logits_loss(logits, item.labels)
        distilled = functional.distillation(
            logits, self._teacher_probabilities(item.images), self.temperature
        )
        return (1 - self.weight) * supervised + self.weight * distilled

    @torch.no_grad()
    def _teacher_probabilities(self, images: Tensor) -> Tensor:
        """Return class probabilities at the temperature, [n, n_way]."""
        logits: list[Tensor] = []
        parts = images.chunk(len(self._teachers))
        for teacher, part in zip(self._teachers, parts, strict=False):
            self._let_follow(teacher, images.device)
            logits.append(teacher.class_logits(part))
        return (torch.cat(logits) / self.temperature).softmax(1)

    def _let_follow(self, teacher: Backbone, device: torch.device) -> None:
        """Move a teacher to the device, precision and layout of the student, once."""
        precision, channels_last = self.backbone.precision, self.backbone.channels_last
        present = (teacher.mean.device, teacher.precision, teacher.channels_last)
        if present != (device, precision, channels_last):
            teacher.to(device).set_compute(precision, channels_last)


def load_teacher(path: Path, n_way: int, classes: Sequence[str] = ()) -> Backbone:
    """Load a teacher from a file that `fewshot pretrain` wrote.

    Args:
        path: the file.
        n_way: the number of classes of the data.
        classes: their names, in the order of the labels; empty if they are unknown.

    Raises:
        UserError: if the network was trained on another number of classes, or on classes of other
            names or in another order.
    """
    teacher = from_file(path).requires_grad_(False).eval()
    if teacher.n_classes != n_way:
        raise UserError(
            f"learner.teachers: {path} was trained on {teacher.n_classes} classes, and the data "
            f"has {n_way}: name files that `fewshot pretrain` wrote for the same data."
        )
    known = class_names.of_weights(path)
    if known is not None and classes:
        _check_names(path, known.classes, classes)
    return teacher


def _check_names(path: Path, taught: Sequence[str], classes: Sequence[str]) -> None:
    """Raise UserError if a class has another name; names that are numbers say nothing."""
    for place, (of_teacher, of_data) in enumerate(zip(taught, classes, strict=True)):
        if of_teacher.isdecimal() or of_data.isdecimal():
            continue
        if class_names.plain(of_teacher) != class_names.plain(of_data):
            raise UserError(
                f"learner.teachers: class {place + 1} of {path} is '{of_teacher}', and that of the "
                f"data is '{of_data}': name files that `fewshot pretrain` wrote for the same "
                "classes in the same order."
            )
