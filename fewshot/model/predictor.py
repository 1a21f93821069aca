"""A finished run's draw, ready for new images: its learner with its weights, adapted anew to the support it drew."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from fewshot import io
from fewshot.backbones import chunk_size
from fewshot.errors import UserError
from fewshot.evaluation import metrics
from fewshot.features import frozen
from fewshot.learners.base import Learner
from fewshot.model.restore import rebuild
from fewshot.runs import fitting, voters
from fewshot.runs.resolve import ResolvedRun


class Predictor(NamedTuple):
    """logits: pixels uint8 [n, 3, side, side] -> float32 [n, n_way], as the run's own evaluation computes them.

    classes: names, in the order of the logits; side: of the images, in pixels; at_once: how many images to give at
    once, for memory that does not depend on their size; mark: a hash of what decides the logits.
    """

    logits: Callable[[np.ndarray], Tensor]
    classes: tuple[str, ...]
    side: int
    at_once: int
    mark: str


def load(run: Path, seed: int | None = None, device: str | None = None) -> Predictor:
    """A draw of the finished run in a folder, the first where `seed` is None; on the run's kind of device, as precise.

    Raises UserError where the folder is no finished run, or where the data and weights that it was made from are not
    those now found under their names.
    """
    seed = _finished(run, seed)
    plan, learner, kept = rebuild(run, seed, device)
    logits = _classifier(plan, learner, kept)
    images, kind = plan.data.train.images, torch.device(plan.compute.device).type
    mark = hashlib.sha256((run / f"trial-{seed}" / "trial.json").read_bytes())
    mark.update(f"{plan.run_id} {plan.compute.precision} {kind}".encode())
    at_once = chunk_size(learner.backbone, images)
    return Predictor(logits, plan.data.train.classes, images.shape[-1], at_once, mark.hexdigest())


def _finished(run: Path, seed: int | None) -> int:
    """The draw of a run that was asked for, or its first."""
    if not (run / "record.json").is_file():
        raise UserError(
            f"{run} is no folder of a finished run: name one, as runs/1f0c, that holds a record.json."
        )
    record = io.read_json(run / "record.json")
    if record["method"] == voters.VOTING:
        raise UserError(
            f"{run} is a vote, which has no network of its own: name one of the runs that it was made of."
        )
    seed = record["seeds"][0] if seed is None else seed
    if seed not in record["seeds"]:
        raise UserError(
            f"{run} has no draw {seed}: there are {', '.join(map(str, record['seeds']))}."
        )
    return seed


@torch.no_grad()
def _classifier(
    plan: ResolvedRun, learner: Learner, kept: Tensor
) -> Callable[[np.ndarray], Tensor]:
    """Pixels -> logits, by the same steps as the draw's evaluation."""
    device, train, backbone = plan.compute.device, plan.data.train, learner.backbone
    on_features = frozen.fit_for(
        plan.config, learner, fitting.has_no_episode(plan, learner, train, kept)
    )
    support = train
    if on_features:
        support, kept = frozen.cached(backbone, train, kept, device), torch.arange(len(kept))
    learner.eval()
    classifier = learner.adapt(fitting.handed(learner, support, kept, device))

    def logits(pixels: np.ndarray) -> Tensor:
        every = torch.arange(len(pixels))
        seen = replace(train, images=torch.from_numpy(pixels), labels=torch.zeros_like(every))
        if on_features:
            seen = replace(seen, images=frozen.extract(backbone, seen, every, device))
        return metrics.classify(classifier, fitting.batches(learner, seen, every, device))[0]

    return logits
