"""The file that an interrupted training resumes from."""

from __future__ import annotations

import logging
import math
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fewshot import distributed
from fewshot.errors import UserError, one_line
from fewshot.io import read_tensors, write_tensors
from fewshot.training.history import LogPoint

log = logging.getLogger("fewshot")

State = dict[str, Any]  # as of `state_dict`


@dataclass
class Progress:
    """How far a training is.

    Attributes:
        loss_sum: sum of the losses since the last log point, on the device.
        n_losses: the number of steps in that sum.
        step: optimiser steps done.
        seconds: seconds of training, without evaluation and saving.
        images: images processed, repeated ones included.
        history: the log points so far.
        best_value: the least monitored value so far; an accuracy counts as its negative.
        best_step: the step of the best value.
        stopping_value: the least value, at its last gain, of what early stopping monitors.
        log_points_without_gain: log points since that gain.
        stopped: whether early stopping ended the training.
    """

    loss_sum: Tensor
    n_losses: int = 0
    step: int = 0
    seconds: float = 0.0
    images: int = 0
    history: list[LogPoint] = field(default_factory=list)
    best_value: float = math.inf
    best_step: int | None = None
    stopping_value: float = math.inf
    log_points_without_gain: int = 0
    stopped: bool = False


@dataclass
class Checkpoint:
    """Everything that a training needs to continue as if it had not stopped.

    Attributes:
        progress: how far it is.
        learner: state of the learner.
        average: state of the moving average of the weights, if there is one.
        best: state of the best log point, or None if it is not to be restored.
        optimizer: state of the optimiser of the current phase.
        schedule: state of the learning-rate schedule of the current phase.
        random: state of torch's random generator when the file was written.
        cuda_random: state of the GPU's generator; None without one.
    """

    progress: Progress
    learner: State
    average: State | None
    best: State | None
    optimizer: State
    schedule: State
    random: Tensor = field(default_factory=torch.get_rng_state)
    cuda_random: Tensor | None = None

    def write(self, path: Path) -> None:
        """Write the file, with the state of torch's random generators."""
        device = self.progress.loss_sum.device
        self.random = torch.get_rng_state()
        self.cuda_random = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
        write_tensors(path, {**vars(self), "progress": vars(self.progress)})

    @classmethod
    def read(cls, path: Path, device: torch.device) -> Checkpoint | None:
        """Read a file; return None if there is none.

        A damaged file is renamed, with a message, and counts as none: the training begins anew.

        Raises:
            UserError: the file cannot be opened, or memory does not suffice.
        """
        try:
            content = read_tensors(path)
            progress = Progress(**content.pop("progress"))
            checkpoint = cls(progress, **content)
        except FileNotFoundError:
            return None
        except Exception as error:  # torch raises errors of many types for damaged files
            reason = one_line(error, 100) or type(error).__name__
            if isinstance(error, (OSError, MemoryError)) or "allocate memory" in str(error):
                raise UserError(f"the checkpoint {path} cannot be read: {reason}.") from error
            aside = path.with_name(f"{path.name}.damaged")
            log.warning(
                "the checkpoint %s cannot be used (%s): it is now called %s, and training begins "
                "anew.",
                path,
                reason,
                aside.name,
            )
            with suppress(FileNotFoundError):  # another process may have renamed it
                path.replace(aside)
            return None
        progress.loss_sum = progress.loss_sum.to(device)
        return checkpoint

    def restore_random(self) -> None:
        """Restore the state of torch's random generators.

        The file is rank 0's. Every other process gets random numbers of its own, so that no two
        drop the same units.
        """
        if distributed.rank():
            torch.manual_seed((torch.initial_seed() + self.progress.step) % 2**63)
            return
        torch.set_rng_state(self.random)
        device = self.progress.loss_sum.device
        if self.cuda_random is not None and device.type == "cuda":
            torch.cuda.set_rng_state(self.cuda_random, device)
