"""Several processes on one training, as `torchrun` starts them: who is who, and what they agree on.

Every process loads the data and plans alike; each computes its part of every batch, and gradients are averaged. The
first one (rank 0) alone judges and writes. Without torchrun there is one process, and nothing here does anything.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed, nn

WAIT = timedelta(hours=2)  # for the first process, which judges alone


def join(device: str) -> str:
    """Meet the other processes where torchrun started several; the device of this one: of several GPUs its own."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return device
    if device == "cuda":
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo", timeout=WAIT)
        atexit.register(distributed.destroy_process_group)
    return device


def world() -> int:
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    return distributed.get_rank() if distributed.is_initialized() else 0


def agree(value: Any) -> Any:
    """What rank 0 gives, in every process; it waits for all."""
    if world() == 1:
        return value
    said = [value]
    distributed.broadcast_object_list(said)
    return said[0]


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
