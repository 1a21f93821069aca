"""Meta-training: one training on base classes, shared by all trials, tasks and numbers of labels.

It does not depend on the labelled subset, or on the tasks. So it happens once for each
configuration, with a fixed seed, and everything that uses it starts from the same weights. With val
classes the log point with the best accuracy on their tasks gives the weights, otherwise the last
step does. They are cached in
$FEWSHOT_CACHE/meta-training/<key>/, where the key is a hash of everything that they depend on:

- checkpoint.pt and metrics.jsonl: an unfinished training, which resumes after an interruption;
- weights.safetensors: the state of the trained learner;
- training.json: how it was made. It is written last and marks the training as finished.
"""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save as safetensors_bytes

from episodes.datasets.locations import cache_root
from fewshot import io, progress
from fewshot.errors import UserError
from fewshot.features.administration import META_CARD, META_TRAINING
from fewshot.learners.base import Learner
from fewshot.runs import base_sets, fitting, meta_validation, run_ids
from fewshot.runs.fitting import Trained
from fewshot.runs.resolve import ResolvedRun
from fewshot.runs.training_run import BaseTraining, TrainingRun
from fewshot.runs.trial_data import Part
from fewshot.training import devices
from fewshot.training.history import Fitted, LogPoint

SEED = 0
WEIGHTS = "weights.safetensors"
OF_EVALUATION = ("views", "crop")  # settings of the backbone that training does not read

log = logging.getLogger("fewshot")


@dataclass(frozen=True)
class MetaTraining:
    """How the weights that all trials share were made.

    Args:
        method: name of the learner.
        backbone: name of its network.
        base: name of the data set of the base classes.
        n_classes: the number of base classes.
        n_images: the number of their images.
        seed: seed of the initial weights and of the tasks or pairs.
        steps: optimiser steps.
        seconds: seconds of training, on the device.
        images: images processed, repeated ones included.
        device: name of the processor or GPU.
        history: the log points of the training.
        sha256: hash of the file of weights.
        best_step: the step whose weights are used; None for the last.
    """

    method: str
    backbone: str
    base: str
    n_classes: int
    n_images: int
    seed: int
    steps: int
    seconds: float
    images: int
    device: str
    history: list[LogPoint]
    sha256: str
    best_step: int | None = None

    def trained(self, run: ResolvedRun, learner: Learner) -> Trained:
        """Return what a trial reports as its training, which took no time of the trial itself."""
        note = (
            f"meta-trained once on {self.base} ({self.n_classes} classes, {self.n_images:,} "
            f"images, seed {self.seed}), so the trials differ in their labelled images alone"
        )
        return Trained(
            fit=Fitted(self.history, self.steps, seconds=0.0, images=0, best_step=None),
            warnings=[note, *fitting.warnings_of_batch_norm(run.config, learner)],
            meta_train_seconds=self.seconds,
        )


def key(run: TrainingRun, learner: Learner) -> str:
    """Return a hash of everything that the weights depend on; labels of the trials are not."""
    values = run_ids.deciding_values(run.config, run.bases)
    of_evaluation = {name: v for name, v in values["backbone"].items() if name in OF_EVALUATION}
    backbone = {name: v for name, v in values["backbone"].items() if name not in OF_EVALUATION}
    content = {
        "method": run.config.method,
        "backbone": backbone,
        **{name: values.get(name) for name in ("learner", "train", "augment")},
        "n_way": run.task.n_way,
        "seed": SEED,
        "version": run_ids.META_TRAINING_VERSION,
    }
    if values.get("append") is not None:
        content["append"] = values["append"]
    if isinstance(run, BaseTraining):
        # The tasks of the evaluation are not among them.
        ways = learner.episode_ways or run.task.n_way if learner.feed == "episodes" else None
        content |= {"n_way": ways, "append": values.get("append"), "seed": run.seed}
    if run.val is not None:
        # The val tasks are evaluated with the views, which decide what step is the best.
        content["val"] = {**meta_validation.settings(learner, run.val), **of_evaluation}
        content |= run_ids.choice_version(run.config.train, "accuracy")
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:24]


def apply(run: TrainingRun, learner: Learner) -> MetaTraining:
    """Put the meta-trained weights of a run on a learner; train them if they are not cached.

    Other processes that need the same weights wait for them. The run's folder gets a copy, so that
    the run can be restored without the cache.

    Args:
        run: the run, which has base sets.
        learner: the learner of a trial or of the tasks, on its device.

    Raises:
        Diverged: the loss of the training is no longer finite.
        Interrupted: after SIGINT or SIGTERM, once the checkpoint is saved.
    """
    folder = cache_root() / META_TRAINING / key(run, learner)
    io.make_folder(folder)
    with io.locked(folder.with_suffix(".lock")):
        training = _finished(folder) or _train(run, folder)
        copy = run.folder / WEIGHTS
        if not copy.exists() or _sha256(copy) != training.sha256:
            io.write_bytes(copy, (folder / WEIGHTS).read_bytes())
    load_weights(learner, run.folder)
    return training


def _finished(folder: Path) -> MetaTraining | None:
    """Return how the cached weights were made; None if they are missing or damaged."""
    if not (folder / META_CARD).exists():
        return None
    try:
        training = MetaTraining(**io.read_json(folder / META_CARD))
    except (UserError, TypeError):  # no JSON, or not the values of a training
        training = None
    if training and (folder / WEIGHTS).exists() and _sha256(folder / WEIGHTS) == training.sha256:
        return training
    log.warning("the weights or the card in %s are damaged: they are trained again.", folder)
    return None


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def load_weights(learner: Learner, folder: Path) -> None:
    """Put the meta-trained weights in the folder of a run on a learner.

    Raises:
        UserError: the file is missing, damaged or of another learner.
    """
    path = folder / WEIGHTS
    try:
        learner.load_state_dict(io.read_safetensors(path))
    except torch.OutOfMemoryError:
        raise
    except (OSError, RuntimeError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(
            f"{path} cannot be read ({reason}): repeat the command that made it, with --force."
        ) from error


def _train(run: TrainingRun, folder: Path) -> MetaTraining:
    """Train a learner on all images of the base sets; write its weights and how it was made."""
    base = base_sets.union(run.bases)
    seed = run.seed if isinstance(run, BaseTraining) else SEED
    learner = run.build_learner(seed)
    validate = None
    if run.val is not None:
        validate = meta_validation.validation(learner, run.val, run.compute.device)
    with progress.within(f"meta-training on {base.name}"):
        fit = fitting.fit_part(
            run,
            learner,
            Part(base, torch.arange(len(base))),
            seed,
            folder,
            validate=validate,
            monitor="accuracy",
            keep_best=run.val is not None,
        )
    state = {name: tensor.cpu().contiguous() for name, tensor in learner.state_dict().items()}
    io.write_bytes(folder / WEIGHTS, safetensors_bytes(state))
    training = MetaTraining(
        method=run.config.method,
        backbone=run.config.backbone.full_name,
        base=base.name,
        n_classes=len(base.classes),
        n_images=len(base),
        seed=seed,
        steps=fit.steps,
        seconds=fit.seconds,
        images=fit.images,
        device=devices.name(run.compute.device),
        history=fit.history,
        sha256=_sha256(folder / WEIGHTS),
        best_step=fit.best_step,
    )
    io.write_json(folder / META_CARD, asdict(training))
    for unfinished in ("checkpoint.pt", "checkpoint.pt.damaged", "metrics.jsonl"):
        (folder / unfinished).unlink(missing_ok=True)
    return training
