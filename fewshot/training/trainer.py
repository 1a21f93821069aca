"""`fit`: the only backward pass, the only optimiser step.

The loop never waits for the device between two log points: losses are summed where they are made. A training
is a function of its seed: items depend on the step alone and a checkpoint holds everything else, so a killed
run ends with the same numbers as an undisturbed one (bit for bit on the CPU). Of several processes each runs
this loop on its part of the batches; the first one judges, logs and saves, and they leave it at the same step.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from fewshot import distributed
from fewshot.config import Train
from fewshot.errors import Diverged, Interrupted
from fewshot.io import read_tensors, write_tensors
from fewshot.training import optim
from fewshot.training.trainable import Trainable

CHECKPOINT_SECONDS = 15.0
LOG_POINTS = 50
SHARED_STEPS = 20  # several processes tell each other that often whether to save or to leave

Validate = Callable[[Any], dict[str, float]]  # takes the learner, or the average of its weights
OnLog = Callable[[dict[str, float], int], None]


class Fitted(NamedTuple):
    """history: a row a log point; steps done; seconds of training over all sessions; images seen; the best step."""

    history: list[dict[str, float]]
    steps: int
    seconds: float
    images: int
    best_step: int | None


def fit(
    learner: Trainable,
    stream: Callable[[int], Any],
    settings: Train,
    steps_per_epoch: float,
    *,
    validate: Validate | None = None,
    keep_best: bool = False,
    judge_start: bool = False,
    until: float = 1.0,
    checkpoint: Path | None = None,
    on_log: OnLog | None = None,
) -> Fitted:
    """Train the learner in place.

    stream: step -> item for `learner.loss`; validate: model -> {"loss": ..., "accuracy": ...} on the hold-out.
    keep_best: at the end the weights of the best log point come back, as with `early_stopping.restore_best`.
    judge_start: the history begins with what `validate` finds before the first step.
    until: the share of the steps after which to stop, the schedule being that of the whole; 0 trains nothing.
    checkpoint: the file to continue from and to save to; without one nothing is kept.
    Raises Diverged where a loss is not finite, Interrupted after a signal.
    """
    training = _Training(learner, stream, settings, steps_per_epoch, checkpoint)
    stopping = settings.early_stopping
    training.keep_best = keep_best or (stopping is not None and stopping.restore_best)
    training.validate, training.on_log = validate, on_log
    training.judge_start = judge_start
    training.last = max(1, round(until * training.total)) if until else 0
    with _signals() as interrupted:
        training.run(interrupted)
    return Fitted(
        training.history, training.step, training.seconds, training.images, training.best_step
    )


class _Training:
    """The state of one training; what `saved` lists is what a checkpoint holds."""

    saved = ("step", "seconds", "images", "history", "loss_sum", "counted", "best_value", "best_step", "waited",
             "stopped")  # fmt: skip

    def __init__(
        self,
        learner: Trainable,
        stream: Callable[[int], Any],
        settings: Train,
        steps_per_epoch: float,
        checkpoint: Path | None,
    ) -> None:
        self.learner, self.stream, self.settings = learner, stream, settings
        self.steps_per_epoch, self.checkpoint = steps_per_epoch, checkpoint
        self.total = settings.total_steps(steps_per_epoch)
        self.last = self.total
        self.every = _log_every(settings, steps_per_epoch, self.total)
        self.validate: Validate | None = None
        self.on_log: OnLog | None = None
        self.keep_best = self.judge_start = False
        self.average = _average(learner, settings)
        self.step, self.seconds, self.images = 0, 0.0, 0
        self.history: list[dict[str, float]] = []
        self.best_value = math.inf
        self.best_step: int | None = None
        self.best_state: dict[str, Tensor] | None = None
        self.waited, self.stopped = 0, False
        self.loss_sum, self.counted = torch.zeros((), device=next(learner.parameters()).device), 0
        self.loss: Callable[[Any], Tensor] = learner.loss
        self.optimizer: torch.optim.Optimizer
        self.schedule: Any

    def run(self, interrupted: Callable[[], bool]) -> None:
        state = self._restore()
        if len(set(distributed.gather(self.step))) > 1:
            raise RuntimeError(
                f"processes begin at different steps, so they do not share {self.checkpoint}"
            )
        if self.judge_start and self.validate is not None and not self.history:
            self.learner.eval()
            found = self.validate(self.learner)
            self.history.append(
                {"step": 0, "epoch": 0.0, **{f"validation_{key}": found[key] for key in found}}
            )
        for start, stop, phase in optim.spans(self.settings.phases, self.total):
            stop_here = min(stop, self.last)
            if self.step >= stop_here or self.stopped:
                continue
            optim.set_trainable(self.learner, phase.trainable)
            self.loss = distributed.loss(self.learner)
            if self.settings.compile:
                graphs = "reduce-overhead" if self.loss_sum.is_cuda else "default"
                self.loss = torch.compile(self.loss, mode=graphs)
            self.optimizer = optim.optimizer(
                self.learner, self.settings, phase.lr or self.settings.lr
            )
            self.schedule = optim.schedule(self.optimizer, self.settings.schedule, stop - start)
            if state is not None and self.step > start:
                self.optimizer.load_state_dict(state["optimizer"])
                self.schedule.load_state_dict(state["schedule"])
            if self.step == 0:
                self._save()
            self._phase(stop_here, interrupted)
        optim.set_trainable(self.learner, "all")
        if self.average is not None:
            self.learner.load_state_dict(self.average.module.state_dict())
        if self.keep_best and self.best_state is not None:
            self.learner.load_state_dict(self.best_state)
        self.learner.eval()

    def _phase(self, stop: int, interrupted: Callable[[], bool]) -> None:
        trained = [parameter for parameter in self.learner.parameters() if parameter.requires_grad]
        began = last_saved = time.perf_counter()
        self.learner.train()
        while self.step < stop and not self.stopped:
            self._step(trained)
            due = self.step % self.every == 0 or self.step == self.last
            leave, late = interrupted(), time.perf_counter() - last_saved > CHECKPOINT_SECONDS
            if distributed.world() > 1:
                told = (
                    distributed.gather((leave, late))
                    if due or self.step % SHARED_STEPS == 0
                    else [(False, False)]
                )
                leave, late = any(each for each, _ in told), told[0][1]
            late = late and self.checkpoint is not None
            if due or leave or late or self.step == stop:
                self._check_finite(trained)
                self.seconds += time.perf_counter() - began
                if due:
                    if distributed.rank() == 0:
                        self._log()
                    self.stopped = distributed.agree(self.stopped)
                    self.learner.train()
                if leave or late:
                    self._save()
                    last_saved = time.perf_counter()
                if leave:
                    raise Interrupted
                began = time.perf_counter()  # judging and saving are not training time

    def _step(self, trained: list[nn.Parameter]) -> None:
        """One optimiser step on the mean loss of the step's items; the loss stays on the device."""
        tasks = self.settings.tasks_per_step
        optim.set_resolution(self.learner, self.settings.resolutions, self.step / self.total)
        self.learner.on_step(self.step / self.total)
        for task in range(tasks):
            item = self.stream(self.step * tasks + task)
            loss = self.loss(item) / tasks
            loss.backward()
            self.loss_sum += loss.detach()
            self.images += _count(item) * distributed.world()
        if self.settings.clip_norm is not None:
            nn.utils.clip_grad_norm_(trained, self.settings.clip_norm)
        self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.average is not None:
            self.average.update(self.learner, step=self.step)
        self.step, self.counted = self.step + 1, self.counted + 1

    def _log(self) -> None:
        row = {
            "step": self.step,
            "epoch": round(self.step / self.steps_per_epoch, 4),
            "lr": self.optimizer.param_groups[-1]["lr"],
            "train_loss": self.loss_sum.item() / self.counted,
        }
        self.loss_sum.zero_()
        self.counted = 0
        if self.validate is not None:
            judged = self.learner if self.average is None else self.average.module
            judged.eval()
            found = self.validate(judged)
            row |= {f"validation_{key}": value for key, value in found.items()}
            self._judge(found, judged)
        self.history.append(row)
        if self.on_log is not None:
            self.on_log(row, self.total)

    def _judge(self, found: dict[str, float], judged: Trainable) -> None:
        """Early stopping and the best weights, on the monitored value (accuracy counts downwards as -accuracy)."""
        stopping = self.settings.early_stopping
        monitor = stopping.monitor if stopping is not None else "loss"
        value = found[monitor] if monitor == "loss" else -found[monitor]
        least_gain = stopping.least_gain if stopping is not None else 0.0
        if value < self.best_value - least_gain:
            self.best_value, self.best_step, self.waited = value, self.step, 0
            if self.keep_best:
                self.best_state = {key: kept.clone() for key, kept in judged.state_dict().items()}
            return
        self.waited += 1
        if stopping is not None and self.step / self.steps_per_epoch >= stopping.least_epochs:
            self.stopped = self.waited >= stopping.patience

    def _check_finite(self, trained: list[nn.Parameter]) -> None:
        finite = (
            self.loss_sum.isfinite()
            & torch.stack([each.isfinite().all() for each in trained]).all()
        )
        if all(distributed.gather(bool(finite))):
            return
        kept = (
            f"; the last good state is in {self.checkpoint}" if self.checkpoint is not None else ""
        )
        raise Diverged(
            f"the loss is not finite any more at step {self.step} of {self.total} "
            f"(learning rate {self.optimizer.param_groups[-1]['lr']:.3g}){kept}: use a lower train.lr, "
            "or train.clip_norm."
        )

    def _save(self) -> None:
        if self.checkpoint is None or distributed.rank():
            return
        state = {
            "progress": {key: getattr(self, key) for key in self.saved},
            "learner": self.learner.state_dict(),
            "average": None if self.average is None else self.average.module.state_dict(),
            "best": self.best_state,
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "random": torch.get_rng_state(),
            "cuda_random": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],
        }
        write_tensors(self.checkpoint, state)

    def _restore(self) -> dict[str, Any] | None:
        if self.checkpoint is None or not self.checkpoint.exists():
            return None
        state = read_tensors(self.checkpoint)
        for key, value in state["progress"].items():
            setattr(
                self, key, value.to(self.loss_sum.device) if isinstance(value, Tensor) else value
            )
        self.learner.load_state_dict(state["learner"])
        if self.average is not None:
            self.average.module.load_state_dict(state["average"])
        self.best_state = state["best"]
        if (
            distributed.rank()
        ):  # what is kept is the first process's, and no two are to drop the same units
            torch.manual_seed((torch.initial_seed() + self.step) % 2**63)
            return state
        torch.set_rng_state(state["random"])
        if state["cuda_random"] and torch.cuda.is_available():
            torch.cuda.set_rng_state_all(state["cuda_random"])
        return state


def _log_every(settings: Train, steps_per_epoch: float, total: int) -> int:
    """Steps between two log points: as configured, at most 50 points a training otherwise."""
    if settings.log_every_epochs is not None:
        return max(1, round(min(settings.log_every_epochs * steps_per_epoch, total)))
    return max(1, round(steps_per_epoch), -(-total // LOG_POINTS))


def _average(learner: Trainable, settings: Train) -> Any:
    """The moving average of the weights, buffers included, with timm's warm-up; None where none is wanted."""
    if settings.ema_decay is None:
        return None
    from timm.utils import ModelEmaV3

    return ModelEmaV3(learner, decay=settings.ema_decay, use_warmup=True)


def _count(item: Any) -> int:
    """Images, or features in their place, in a Labelled batch, an Episode or Pairs."""
    if isinstance(item, Tensor):
        return len(item)
    parts = ("images", "support", "query", "left", "right")
    return sum(_count(getattr(item, name)) for name in parts if hasattr(item, name))


@contextmanager
def _signals() -> Iterator[Callable[[], bool]]:
    """Whether SIGINT or SIGTERM came: they are taken at a step's end, so what is saved is whole; twice is at once."""
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return

    def note(number: int, frame: object) -> None:
        if came:
            raise Interrupted
        came.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
