"""`fit`: the only backward pass and the only optimiser step of the package.

Between two log points the loop never waits for the device, because losses are summed on the device.
A training is a function of its seed: an item depends on the step alone, and a checkpoint holds
everything else. A training that was interrupted and resumed therefore ends with the same numbers as
an uninterrupted one, bit for bit on the CPU. If several processes share a training, each runs this
loop on its part of every batch. Rank 0 alone evaluates, logs and saves, and all processes leave the
loop at the same step.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from episodes.types import Episode, Labelled, Pairs
from fewshot import distributed
from fewshot.config import Phase, Train
from fewshot.errors import Diverged, Interrupted
from fewshot.training import optim
from fewshot.training.checkpoint import Checkpoint, Progress, State
from fewshot.training.history import Fitted, LogPoint, log_interval, with_validation
from fewshot.training.signals import stop_requested
from fewshot.training.trainable import Trainable

CHECKPOINT_SECONDS = 15.0
AGREEMENT_STEPS = 20  # interval at which several processes agree on whether to save or to leave


Stream = Callable[[int], Labelled | Episode | Pairs]
Validate = Callable[[Any], dict[str, float]]  # takes the learner, or the average of its weights
OnLog = Callable[[LogPoint, int], None]
OnStep = Callable[[int, int], None]


def fit(
    learner: Trainable,
    stream: Stream,
    settings: Train,
    steps_per_epoch: float,
    *,
    validate: Validate | None = None,
    monitor: Literal["loss", "accuracy"] = "loss",
    keep_best: bool = False,
    evaluate_start: Validate | None = None,
    until: float = 1.0,
    checkpoint: Path | None = None,
    on_log: OnLog | None = None,
    on_step: OnStep | None = None,
) -> Fitted:
    """Train the learner in place.

    Args:
        learner: the learner, on its device.
        stream: step -> item for `learner.loss`.
        settings: the optimiser, the schedule, the phases and so on.
        steps_per_epoch: optimiser steps in one pass over the training images.
        validate: model -> {"loss": ..., "accuracy": ...} on the validation set.
        monitor: the value of the validation set that decides which log point is the best.
        keep_best: restore the weights of the best log point at the end. Without it,
            `early_stopping.restore_best` does so by its own monitor and least gain.
        evaluate_start: evaluates the learner before the first step, for the first entry of the
            history; None leaves it out.
        until: the share of the steps after which to stop. The schedule stays that of the whole
            training; 0 trains nothing.
        checkpoint: the file to resume from and to save to, or None.
        on_log: called with every log point and the total number of steps.
        on_step: called after every step with its number and the number of the last step.

    Raises:
        Diverged: if the loss or a weight is not finite.
        Interrupted: after SIGINT or SIGTERM, once the checkpoint is saved.
    """
    training = _Training(learner, stream, settings, steps_per_epoch)
    training.validate = validate
    training.monitor, training.keep_best = monitor, keep_best
    stopping = settings.early_stopping
    if stopping is not None and not keep_best:
        training.monitor, training.least_gain = stopping.monitor, stopping.least_gain
        training.keep_best = stopping.restore_best
    training.evaluate_start = evaluate_start
    training.last_step = max(1, round(until * training.total_steps)) if until else 0
    training.checkpoint = checkpoint
    training.on_log, training.on_step = on_log, on_step
    with stop_requested() as interrupted:
        training.run(interrupted)
    progress = training.progress
    return Fitted(
        progress.history, progress.step, progress.seconds, progress.images, progress.best_step
    )


class _Training:
    """One training: its settings, its progress and its loop."""

    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    loss: Callable[[Any], Tensor]

    def __init__(
        self, learner: Trainable, stream: Stream, settings: Train, steps_per_epoch: float
    ) -> None:
        self.learner, self.stream, self.settings = learner, stream, settings
        self.steps_per_epoch = steps_per_epoch
        self.total_steps = settings.total_steps(steps_per_epoch)
        self.last_step = self.total_steps
        self.log_interval = log_interval(settings, steps_per_epoch, self.total_steps)
        self.validate: Validate | None = None
        self.monitor: Literal["loss", "accuracy"] = "loss"
        self.least_gain = 0.0
        self.on_log: OnLog | None = None
        self.on_step: OnStep | None = None
        self.evaluate_start: Validate | None = None
        self.keep_best = False
        self.checkpoint: Path | None = None
        self.device = next(learner.parameters()).device
        self.average = _moving_average(learner, settings)
        self.progress = Progress(loss_sum=torch.zeros((), device=self.device))
        self.best_state: State | None = None

    def run(self, interrupted: Callable[[], bool]) -> None:
        """Train through all phases, from the checkpoint if there is one."""
        saved = self._restore()
        progress = self.progress
        if len(set(distributed.gather(progress.step))) > 1:
            raise RuntimeError(
                f"processes begin at different steps, so they do not share {self.checkpoint}"
            )
        if self.evaluate_start is not None and not progress.history:
            self.learner.eval()
            first: LogPoint = {"step": 0, "epoch": 0.0}
            progress.history.append(with_validation(first, self.evaluate_start(self.learner)))
        for start, stop, phase in optim.spans(self.settings.phases, self.total_steps):
            stop_here = min(stop, self.last_step)
            if progress.step >= stop_here or progress.stopped:
                continue
            self._begin_phase(phase, stop - start)
            if saved is not None and progress.step > start:
                optim.restore(self.optimizer, saved.optimizer)
                self.schedule.load_state_dict(saved.schedule)
            if progress.step == 0:
                self._save()
            self._train_until(stop_here, interrupted)
        optim.set_trainable(self.learner, "all")
        if self.average is not None:
            self.learner.load_state_dict(self.average.module.state_dict())
        if self.keep_best and self.best_state is not None:
            self.learner.load_state_dict(self.best_state)
        self.learner.eval()

    def _begin_phase(self, phase: Phase, steps: int) -> None:
        """Prepare the loss, the optimiser and the schedule of a phase of so many steps."""
        optim.set_trainable(self.learner, phase.trainable)
        self.loss = distributed.averaged_loss(self.learner, self.learner.loss)
        if self.settings.compile:
            self.loss = torch.compile(self.loss, mode=self._compile_mode())
        lr = phase.lr or self.settings.lr
        self.optimizer = optim.optimizer(self.learner, self.settings, lr)
        self.schedule = optim.schedule(self.optimizer, self.settings.schedule, steps)

    def _compile_mode(self) -> str:
        """Return torch.compile's mode: CUDA graphs only where one backward pass makes a step.

        A CUDA graph writes its gradients to the same memory every time, so gradients that are
        accumulated over several passes, or reduced by DistributedDataParallel, need the default.
        """
        one_pass = self.settings.tasks_per_step == 1 and distributed.world() == 1
        return "reduce-overhead" if self.device.type == "cuda" and one_pass else "default"

    def _train_until(self, stop: int, interrupted: Callable[[], bool]) -> None:
        """Take steps until `stop` or early stopping; log, save and leave when it is time.

        Raises:
            Interrupted: if a signal came.
        """
        progress = self.progress
        trained = [parameter for parameter in self.learner.parameters() if parameter.requires_grad]
        began = last_saved = time.perf_counter()
        self.learner.train()
        while progress.step < stop and not progress.stopped:
            self._step(trained)
            if self.on_step is not None:
                self.on_step(progress.step, self.last_step)
            log = progress.step % self.log_interval == 0 or progress.step == self.last_step
            leave = interrupted()
            save = time.perf_counter() - last_saved > CHECKPOINT_SECONDS
            if distributed.world() > 1:
                leave, save = self._agree(leave, save, now=log)
            save = save and self.checkpoint is not None
            if not (log or leave or save or progress.step == stop):
                continue
            self._check_finite(trained)
            progress.seconds += time.perf_counter() - began
            if log:
                if distributed.rank() == 0:
                    self._log()
                progress.stopped = distributed.agree(progress.stopped)
                self.learner.train()
            if leave or save:
                self._save()
                last_saved = time.perf_counter()
            if leave:
                raise Interrupted
            began = time.perf_counter()  # evaluation and saving do not count as training

    def _agree(self, leave: bool, save: bool, now: bool) -> tuple[bool, bool]:
        """Return whether any process is to leave and whether rank 0 is to save.

        The processes only ask each other every AGREEMENT_STEPS steps and at log points; between
        these both answers are no.
        """
        if not now and self.progress.step % AGREEMENT_STEPS:
            return False, False
        answers = distributed.gather((leave, save))
        _, rank_0_saves = answers[0]
        return any(leaves for leaves, _ in answers), rank_0_saves

    def _step(self, trained: list[nn.Parameter]) -> None:
        """Take one optimiser step on the mean loss of the items; the loss stays on the device."""
        progress, n_items = self.progress, self.settings.tasks_per_step
        share_done = progress.step / self.total_steps
        optim.set_resolution(self.learner, self.settings.resolutions, share_done)
        self.learner.on_step(share_done)
        for number in range(n_items):
            item = self.stream(progress.step * n_items + number)
            loss = self.loss(item) / n_items
            loss.backward()
            progress.loss_sum += loss.detach()
            progress.images += item.n_images * distributed.world()
        if self.settings.clip_norm is not None:
            nn.utils.clip_grad_norm_(trained, self.settings.clip_norm)
        self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.average is not None:
            self.average.update(self.learner, step=progress.step)
        progress.step += 1
        progress.n_losses += 1

    def _log(self) -> None:
        """Add a row to the history; validate, if there is a validation set."""
        progress = self.progress
        row: LogPoint = {
            "step": progress.step,
            "epoch": round(progress.step / self.steps_per_epoch, 4),
            "lr": self.optimizer.param_groups[-1]["lr"],
            "train_loss": progress.loss_sum.item() / progress.n_losses,
        }
        progress.loss_sum.zero_()
        progress.n_losses = 0
        if self.validate is not None:
            model = self.learner if self.average is None else self.average.module
            model.eval()
            result = self.validate(model)
            row = with_validation(row, result)
            self._compare_with_best(result, model)
        progress.history.append(row)
        if self.on_log is not None:
            self.on_log(row, self.total_steps)

    def _compare_with_best(self, result: dict[str, float], model: nn.Module) -> None:
        """Keep the state of the model if the monitored value is the best; decide early stopping."""
        progress, stopping = self.progress, self.settings.early_stopping
        monitored = {"loss": result["loss"], "accuracy": -result["accuracy"]}
        value = monitored[self.monitor]
        if value < progress.best_value - self.least_gain:
            progress.best_value, progress.best_step = value, progress.step
            if self.keep_best:
                state = model.state_dict()
                self.best_state = {name: tensor.clone() for name, tensor in state.items()}
        if stopping is None:
            return
        value = monitored[stopping.monitor]
        if value < progress.stopping_value - stopping.least_gain:
            progress.stopping_value, progress.log_points_without_gain = value, 0
            return
        progress.log_points_without_gain += 1
        if progress.step / self.steps_per_epoch >= stopping.least_epochs:
            progress.stopped = progress.log_points_without_gain >= stopping.patience

    def _check_finite(self, trained: list[nn.Parameter]) -> None:
        """Raise Diverged in every process if a loss or a weight of any is not finite."""
        weights = torch.stack([parameter.isfinite().all() for parameter in trained]).all()
        finite = self.progress.loss_sum.isfinite() & weights
        if all(distributed.gather(bool(finite))):
            return
        saved = ""
        if self.checkpoint is not None:
            saved = f"; the last good state is in {self.checkpoint}"
        raise Diverged(
            f"the loss is not finite any more after step {self.progress.step} of "
            f"{self.total_steps}{saved}: use a lower train.lr than {self.settings.lr:g}, or "
            "train.clip_norm."
        )

    def _save(self) -> None:
        """Write the checkpoint; only rank 0 does."""
        if self.checkpoint is None or distributed.rank():
            return
        Checkpoint(
            progress=self.progress,
            learner=self.learner.state_dict(),
            average=None if self.average is None else self.average.module.state_dict(),
            best=self.best_state,
            optimizer=self.optimizer.state_dict(),
            schedule=self.schedule.state_dict(),
        ).write(self.checkpoint)

    def _restore(self) -> Checkpoint | None:
        """Continue from the checkpoint, if there is one; return it for the optimiser's part."""
        if self.checkpoint is None:
            return None
        saved = Checkpoint.read(self.checkpoint, self.device)
        if saved is None:
            return None
        saved.restore_random()
        self.progress, self.best_state = saved.progress, saved.best
        self.learner.load_state_dict(saved.learner)
        if self.average is not None and saved.average is not None:
            self.average.module.load_state_dict(saved.average)
        return saved


def _moving_average(learner: Trainable, settings: Train) -> Any:
    """Return the moving average of the state with timm's warm-up, or None without `ema_decay`."""
    if settings.ema_decay is None:
        return None
    from timm.utils import ModelEmaV3

    return ModelEmaV3(learner, decay=settings.ema_decay, use_warmup=True)
