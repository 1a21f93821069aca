"""Send the log points of trainings to TensorBoard or to Weights & Biases while they run.

It is off unless `sent_to` names one. What a run computes, its id and its files stay the same. The
destination is in the environment of the process, so processes that it starts use it as well.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from uuid import uuid4

from fewshot import io
from fewshot.errors import UserError, one_line
from fewshot.training.history import LogPoint

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter
    from wandb import Run

TENSORBOARD, WANDB = "tensorboard", "wandb"
VARIABLE = "_FEWSHOT_CURVES"  # of the environment: the destination
NAMES = {
    "train_loss": "loss/train",
    "validation_loss": "loss/validation",
    "validation_accuracy": "accuracy/validation",
    "lr": "lr",
    "epoch": "epoch",
}
STATE = "last-point.json"

OnPoint = Callable[[LogPoint], None]


class Training(NamedTuple):
    """What a curve says of its training.

    Attributes:
        run: the folder of the run, below which the curve is written.
        name: which training of the run it is, such as "trial-0".
        settings: what distinguishes the run, in a few words each.
    """

    run: Path
    name: str
    settings: Mapping[str, str | int]


class Writer(Protocol):
    """What writes the values of a step."""

    def add(self, step: int, values: Mapping[str, float]) -> None: ...

    def close(self) -> None: ...


def check(destination: str) -> None:
    """Raise UserError unless curves can be sent to a destination."""
    if destination not in WRITERS:
        raise UserError(f"--log {destination}: expected one of {', '.join(WRITERS)}.")
    if find_spec(destination) is None:
        raise UserError(
            f"--log {destination} needs the package {destination}: pip install "
            f"'fewshot[{destination}]'."
        )


@contextmanager
def sent_to(destination: str | None) -> Iterator[None]:
    """Send the curves of all trainings in the block to a destination; None for nowhere.

    Raises:
        UserError: there is no such destination, or its package is missing.
    """
    if destination is not None:
        check(destination)
    before = os.environ.pop(VARIABLE, None)
    if destination is not None:
        os.environ[VARIABLE] = destination
    try:
        yield
    finally:
        os.environ.pop(VARIABLE, None)
        if before is not None:
            os.environ[VARIABLE] = before


def environment() -> dict[str, str]:
    """Return the variables that processes on other machines need to use the destination."""
    return {VARIABLE: os.environ[VARIABLE]} if VARIABLE in os.environ else {}


@contextmanager
def of_training(training: Training, *, resumes: bool) -> Iterator[OnPoint]:
    """Yield what is to be called with every log point of a training; by default it does nothing.

    A training that resumes computes the points since its last checkpoint again. Those that were
    sent before are not sent a second time.

    Args:
        training: the training.
        resumes: whether it resumes; otherwise its curve begins anew.

    Raises:
        UserError: the destination does not accept the curve.
    """
    from fewshot import distributed

    destination = os.environ.get(VARIABLE)
    if destination is None or distributed.rank():
        yield lambda point: None
        return
    folder = training.run / destination / training.name
    if not resumes:
        shutil.rmtree(folder, ignore_errors=True)
    io.make_folder(folder)
    state = io.read_json(folder / STATE) if (folder / STATE).exists() else {}
    last_step, key = state.get("step", -1), state.get("key", uuid4().hex[:12])
    writer = WRITERS[destination](folder, training, key)

    def send(point: LogPoint) -> None:
        nonlocal last_step
        if point["step"] <= last_step:
            return
        last_step = point["step"]
        numbers: Mapping[str, Any] = point
        values = {NAMES[name]: float(number) for name, number in numbers.items() if name in NAMES}
        writer.add(last_step, values)
        io.write_json(folder / STATE, {"step": last_step, "key": key})

    try:
        yield send
    finally:
        writer.close()


class _TensorBoard:
    """Write event files."""

    def __init__(self, folder: Path, training: Training, key: str) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.events: SummaryWriter = SummaryWriter(str(folder))

    def add(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self.events.add_scalar(name, value, step)
        self.events.flush()

    def close(self) -> None:
        self.events.close()


class _WeightsAndBiases:
    """Send values to Weights & Biases, or to files for it with WANDB_MODE=offline."""

    def __init__(self, folder: Path, training: Training, key: str) -> None:
        import wandb

        try:
            self.run: Run = wandb.init(
                project=os.environ.get("WANDB_PROJECT", "fewshot"),
                dir=str(folder),
                group=training.run.name,
                name=f"{training.run.name}/{training.name}",
                id=key,
                resume="allow",
                reinit="create_new",
                config=dict(training.settings),
                # No code, no output and no facts of the machine are sent.
                settings=wandb.Settings(
                    console="off",
                    silent=True,
                    save_code=False,
                    disable_code=True,
                    disable_git=True,
                    x_disable_machine_info=True,
                    x_disable_meta=True,
                    x_disable_stats=True,
                ),
            )
        except wandb.errors.Error as error:
            raise UserError(
                f"--log {WANDB} failed ({one_line(error).rstrip('.')}): log in with `wandb login`, "
                "or set WANDB_MODE=offline."
            ) from error

    def add(self, step: int, values: Mapping[str, float]) -> None:
        self.run.log(dict(values), step=step)

    def close(self) -> None:
        self.run.finish()


WRITERS: Mapping[str, Callable[[Path, Training, str], Writer]] = {
    TENSORBOARD: _TensorBoard,
    WANDB: _WeightsAndBiases,
}
