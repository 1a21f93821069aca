"""Several processes that share one training, as `torchrun` starts them.

Every process loads the data and resolves the request in the same way, and computes its part of
every batch; the gradients are averaged. Rank 0 alone evaluates and writes. Without torchrun there
is one process, and the functions here return at once.
"""

from __future__ import annotations

import atexit
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import timedelta
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, distributed, nn

from fewshot.errors import (
    Interrupted,
    ProcessLost,
    RaisedByMainProcess,
    UserError,
    one_line,
)

T = TypeVar("T")
TIMEOUT = timedelta(hours=2)  # the other processes wait while rank 0 evaluates
CONNECT_SECONDS = 60.0  # to torchrun, which answers at once unless the machine is very busy
GRACE_SECONDS = 5.0  # to save a checkpoint when torchrun is gone
LOOK_SECONDS = 0.5  # between two checks whether torchrun is still there
BEAT_SECONDS = 5.0
SILENT_SECONDS = 60.0  # after which a process counts as lost
ENDED = 10**9  # beats of a process that has ended as it should


def join(device: str) -> None:
    """Meet the other processes if torchrun started several.

    Args:
        device: cpu, or cuda for one GPU for each process.

    Raises:
        UserError: if a single GPU is named, or if this machine has fewer GPUs than processes.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or distributed.is_initialized():
        return
    gpu: torch.device | None = None
    if device != "cpu":
        n_processes, n_gpus = int(os.environ["LOCAL_WORLD_SIZE"]), torch.cuda.device_count()
        if device != "cuda" or n_processes > n_gpus:
            reason = f"--device names {device} for all"
            if device == "cuda":
                reason = f"there are {n_gpus}"
            raise UserError(
                f"{n_processes} processes on this node need a GPU each, and {reason}: start as "
                "many processes as there are GPUs with --device cuda, or use --device cpu."
            )
        gpu = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(gpu)
    backend = "gloo" if gpu is None else "nccl"
    _follow_torchrun()
    distributed.init_process_group(backend, timeout=TIMEOUT, device_id=gpu)
    atexit.register(distributed.destroy_process_group)
    _watch_the_others()


def _follow_torchrun() -> None:
    """End this process when torchrun is killed, which gives each process a session of its own.

    Raises:
        Interrupted: it was killed while this process imported torch.
    """
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return  # another program started this process
    torchrun = os.getppid()
    address = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    try:
        socket.create_connection(address, timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise Interrupted from error

    def end_with_torchrun() -> None:
        while os.getppid() == torchrun:
            time.sleep(LOOK_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(GRACE_SECONDS)
        os._exit(1)

    threading.Thread(target=end_with_torchrun, daemon=True).start()


@contextmanager
def losses_named() -> Iterator[None]:
    """Raise ProcessLost in the block where the connection to another process has broken."""
    try:
        yield
    except RuntimeError as error:
        if world() > 1 and (isinstance(error, distributed.DistError) or "gloo" in str(error)):
            raise ProcessLost(
                "another process of this training, or its machine, has ended "
                f"({one_line(error)}): the same command resumes."
            ) from None
        raise


class Heartbeats:
    """Notice a process that is gone without having closed its connections.

    That happens if its machine loses power or its network. The others would wait for hours.

    Args:
        store: what all processes read and write.
        own: the rank of this process.
        n_processes: how many there are.
    """

    def __init__(self, store: distributed.Store, own: int, n_processes: int) -> None:
        self.store, self.own = store, own
        others = [rank for rank in range(n_processes) if rank != own]
        self.counts = dict.fromkeys(others, 0)
        self.heard = dict.fromkeys(others, time.monotonic())

    def beat(self, times: int = 1) -> None:
        """Show the others that this process runs, and see which of them do."""
        self.store.add(f"beats of {self.own}", times)
        for other, before in self.counts.items():
            count = self.store.add(f"beats of {other}", 0)
            if count != before or count >= ENDED:
                self.counts[other] = count
                self.heard[other] = time.monotonic()

    def silent(self) -> int | None:
        """Return the rank of a process that has not been heard for too long."""
        now = time.monotonic()
        for other, heard in self.heard.items():
            if now - heard > SILENT_SECONDS:
                return other
        return None


def _watch_the_others() -> None:
    """End this process, from now on, if another one falls silent."""
    host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    store = distributed.TCPStore(host, port, is_master=False, wait_for_workers=False)
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    mine = distributed.PrefixStore(f"heartbeats {attempt}", store)
    heartbeats = Heartbeats(mine, rank(), world())

    over = threading.Event()

    def beat() -> None:
        while True:
            try:
                heartbeats.beat()
            except RuntimeError:  # the machine of the store is gone, or all have ended
                return
            if over.wait(BEAT_SECONDS):
                return

    def watch() -> None:
        while (silent := heartbeats.silent()) is None:
            time.sleep(1)
        print(
            f"fewshot: process {silent} of this training has not answered for "
            f"{SILENT_SECONDS:.0f} s: check its machine and its network; the same command resumes.",
            file=sys.stderr,
            flush=True,
        )
        os._exit(1)  # the main thread waits for the network

    beating = threading.Thread(target=beat, daemon=True)
    beating.start()
    threading.Thread(target=watch, daemon=True).start()

    def leave() -> None:
        """Show the others that this process has ended as it should."""
        over.set()
        beating.join(GRACE_SECONDS)  # a thread that is inside torch when Python ends aborts it
        with suppress(RuntimeError):
            heartbeats.beat(ENDED)

    atexit.register(leave)


def world() -> int:
    """Return the number of processes."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """Return the number of this process, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def agree(value: T) -> T:
    """Return rank 0's value in every process; the others wait for it."""
    if world() == 1:
        return value
    values = [value]
    distributed.broadcast_object_list(values)
    return values[0]


def from_main(compute: Callable[[], T]) -> T:
    """Call a function on rank 0 alone and return its result in every process.

    Raises:
        RaisedByMainProcess: rank 0 has raised an error, and this is another process.
    """
    with _shared_error():
        value = None if rank() else compute()
    return cast(T, agree(value))


@contextmanager
def main_process_first() -> Iterator[None]:
    """Run the block on rank 0 first; the other processes then use what it cached.

    Raises:
        RaisedByMainProcess: rank 0 has raised an error, and this is another process.
    """
    if rank():
        with _shared_error():
            pass
        yield
        return
    with _shared_error():
        yield


@contextmanager
def _shared_error() -> Iterator[None]:
    """Raise an error of rank 0's block in every process, none of which then waits for the others.

    They all wait here for the end of rank 0's block.
    """
    text = None
    try:
        yield
    except Exception as error:
        text = str(error)
        agree(text)
        raise
    if (text := agree(text)) is not None:
        raise RaisedByMainProcess(text)


def entered_by_main_process(
    context: AbstractContextManager[object],
) -> AbstractContextManager[object]:
    """Return a context for rank 0, such as a lock that it holds for all; nothing for the others."""
    return nullcontext() if rank() else context


def gather(value: T) -> list[T]:
    """Return the values of all processes, by rank, in every process."""
    if world() == 1:
        return [value]
    values: list[Any] = [None] * world()
    distributed.all_gather_object(values, value)
    return values


def gather_rows(rows: Tensor) -> Tensor:
    """Return the rows of all processes, by rank, in every process.

    Args:
        rows: [n, ...], with the same n in every process.

    Returns:
        [world * n, ...].
    """
    if world() == 1:
        return rows
    parts = [torch.empty_like(rows) for _ in range(world())]
    distributed.all_gather(parts, rows.contiguous())
    return torch.cat(parts)


class _Loss(nn.Module):
    """A loss as a forward pass, which is what DistributedDataParallel follows."""

    def __init__(self, model: nn.Module, loss: Callable[[Any], Tensor]) -> None:
        super().__init__()
        self.model = model
        self.loss = loss

    def forward(self, item: Any) -> Tensor:
        return self.loss(item)


def averaged_loss(model: nn.Module, loss: Callable[[Any], Tensor]) -> Callable[[Any], Tensor]:
    """Return a loss after whose backward pass the gradients are means over all processes.

    Call it again when other parameters of the model become trainable.

    Args:
        model: the module whose parameters are trained.
        loss: the loss of one item, a method of the model.
    """
    if world() == 1:
        return loss
    return nn.parallel.DistributedDataParallel(_Loss(model, loss))
