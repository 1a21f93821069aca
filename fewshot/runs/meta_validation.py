"""Tasks of the val classes, which choose the best step of a meta-training."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from episodes import streams, subsets
from episodes.tasks import sampling
from episodes.tasks.task_set import TaskSet
from episodes.types import ImageSet, Labelled
from fewshot.backbones import embed
from fewshot.errors import UserError
from fewshot.evaluation import metrics
from fewshot.learners.base import Learner
from fewshot.training import trainer

WAYS, SHOTS, QUERIES = 5, 5, 15
TASKS = 400
IMAGE_TASKS = 32  # of a learner that adapts to images; each takes inner steps of the whole network
IMAGES = 40  # of a class, at most, so that a log point embeds few images
SEED = 0


def settings(learner: Learner, val: ImageSet) -> dict[str, Any]:
    """Return what identifies the tasks, for the key of the weights."""
    return {"images": val.fingerprint, "shots": _shots(learner), "version": 1}


def validation(learner: Learner, val: ImageSet, device: str) -> trainer.Validate:
    """Return the function that gives loss and accuracy of a model on tasks of the val classes.

    The tasks are the same at every log point: 5-way 5-shot ones, or 1-shot ones of a learner that
    trains with one shot, with 15 queries per class.

    Raises:
        UserError: there are too few classes, or a class has too few images.
    """
    tasks, used = _tasks(learner, val)
    images = streams.labelled(val, used, device).images
    support, labels = tasks.support.to(device), tasks.support_labels.to(device)
    query, targets = tasks.query.to(device), tasks.query_labels.to(device).flatten()

    def on_images(model: Any) -> Tensor:
        """Return the logits of a learner that needs the images themselves."""
        logits = [
            model.adapt(Labelled(images[rows], ways))(images[asked])
            for rows, ways, asked in zip(support, labels, query, strict=True)
        ]
        return torch.cat(logits)

    @torch.no_grad()
    def validate(model: Any) -> dict[str, float]:
        if model.needs.images:
            logits = on_images(model)
        else:
            features = embed(model.backbone, images)
            logits = model.task_logits(features[support], labels, features[query], WAYS)
        return metrics.loss_and_accuracy(logits.flatten(0, -2), targets)

    return validate


def _shots(learner: Learner) -> int:
    return min(SHOTS, learner.episode_shots)


def _tasks(learner: Learner, val: ImageSet) -> tuple[TaskSet, Tensor]:
    """Return the tasks as positions among some of the images, and which images these are."""
    shots, n_classes = _shots(learner), len(val.classes)
    sizes = val.labels.bincount(minlength=n_classes)
    least = shots + QUERIES
    if n_classes < WAYS or int(sizes.min()) < least:
        raise UserError(
            f"the val classes of {val.name} choose the best step on {WAYS}-way {shots}-shot tasks "
            f"with {QUERIES} queries, which need {WAYS} classes of {least} images; there are "
            f"{n_classes}, and the smallest has {int(sizes.min())}: use --set select=last."
        )
    per_class = min(IMAGES, int(sizes.min()))
    used = subsets.shots(val.labels, val.classes, per_class, SEED)
    count = IMAGE_TASKS if learner.needs.images else TASKS
    tasks = sampling.fixed(
        val.labels[used], ways=WAYS, shots=shots, queries=QUERIES, count=count, seed=SEED
    )
    return tasks, used
