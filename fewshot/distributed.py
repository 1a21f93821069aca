"""Several processes on one training, as `torchrun` starts them: who is who, and what they agree on.

Every process loads the data and plans alike; each computes its part of every batch, and gradients are averaged. The
first one (rank 0) alone judges and writes. Without torchrun there is one process, and nothing here does anything.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch
from filelock import FileLock
from torch import Tensor, distributed, nn

from fewshot.errors import UserError

T = TypeVar("T")
WAIT = timedelta(hours=2)  # for the first process, which judges alone


def join(device: str) -> None:
    """Meet the other processes where torchrun started several; `cuda` then is a GPU for each.

    Raises UserError where one GPU is named, or there are fewer than processes on this machine.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or distributed.is_initialized():
        return
    if device != "cpu":
        here, there = int(os.environ["LOCAL_WORLD_SIZE"]), torch.cuda.device_count()
        if device != "cuda" or here > there:
            named = f"there are {there}" if device == "cuda" else f"--device names {device} for all"
            raise UserError(
                f"{here} processes on this machine need a GPU each, and {named}: "
                "start as many processes as there are GPUs with --device cuda, or use --device cpu."
            )
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if device == "cuda" else "gloo", timeout=WAIT)
    atexit.register(distributed.destroy_process_group)


def world() -> int:
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    return distributed.get_rank() if distributed.is_initialized() else 0


def agree(value: Any) -> Any:
    """What rank 0 gives, in every process, which waits for it."""
    if world() == 1:
        return value
    said = [value]
    distributed.broadcast_object_list(said)
    return said[0]


def from_main(compute: Callable[[], T]) -> T:
    """Call a function on rank 0 alone and return its result in every process."""
    return agree(None if rank() else compute())


@contextmanager
def main_process_first() -> Iterator[None]:
    """Run the block on rank 0 first; the other processes then use what it cached."""
    if rank():
        _meet()
    yield
    if rank() == 0:
        _meet()


@contextmanager
def locked_by_main_process(path: Path) -> Iterator[None]:
    """Hold a file lock for the duration of the block; rank 0 holds it for all processes."""
    with nullcontext() if rank() else FileLock(path):
        yield


def _meet() -> None:
    """Wait until every process is here."""
    if world() > 1:
        distributed.barrier()


def gather(value: Any) -> list[Any]:
    """What each process gives, in every process."""
    if world() == 1:
        return [value]
    said = [None] * world()
    distributed.all_gather_object(said, value)
    return said


def joined(rows: Tensor) -> Tensor:
    """The rows of all processes, which have equally many, in every process."""
    if world() == 1:
        return rows
    said = [torch.empty_like(rows) for _ in range(world())]
    distributed.all_gather(said, rows.contiguous())
    return torch.cat(said)


class _Loss(nn.Module):
    """A learner's loss as a forward pass, which is what DistributedDataParallel follows."""

    def __init__(self, learner: nn.Module) -> None:
        super().__init__()
        self.learner = learner

    def forward(self, item: Any) -> Tensor:
        return self.learner.loss(item)  # type: ignore[operator]


def loss(learner: nn.Module) -> Callable[[Any], Tensor]:
    """The learner's loss, after whose backward pass gradients are the mean over the processes.

    To be made anew where another part of the learner becomes trainable.
    """
    if world() == 1:
        return learner.loss  # type: ignore[return-value]
    return nn.parallel.DistributedDataParallel(_Loss(learner))
