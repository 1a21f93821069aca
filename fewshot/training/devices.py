"""The device of a run, and the precision, memory layout and threads with which it computes."""

from __future__ import annotations

import ctypes
import platform
import time
from typing import NamedTuple

import torch
from threadpoolctl import threadpool_limits

from fewshot.errors import UserError
from fewshot.training import cores
from fewshot.training import precision as precisions
from fewshot.training.precision import Precision

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's malloc.h


class Compute(NamedTuple):
    """How a run computes; stored in its config.yaml, so that a resumed run computes the same way.

    Attributes:
        device: cpu, cuda, cuda:0 and so on.
        precision: the precision inside the backbone.
        channels_last: whether the backbone's weights and images have the channels in the last
            place in memory.
        threads: CPU threads of a trial.
        processes: how many processes share one training.
    """

    device: str
    precision: Precision
    channels_last: bool
    threads: int
    processes: int = 1


def pick(requested: str | None) -> str:
    """Return the device to use.

    Args:
        requested: cpu, cuda, cuda:0 and so on; None or "auto" for cuda if there is one, else cpu.

    Raises:
        UserError: if the device is unknown or does not exist here.
    """
    if requested is None or requested == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    usage = "use cpu, cuda, or cuda:0 and so on."
    try:
        device = torch.device(requested)
    except RuntimeError:
        raise UserError(f"unknown device '{requested}': {usage}") from None
    if device.type not in ("cpu", "cuda"):
        raise UserError(f"device '{requested}' is not supported: {usage}")
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            existing = f"{count} CUDA devices are" if count else "no CUDA device is"
            raise UserError(
                f"device '{requested}' was requested, but {existing} here: use --device cpu."
            )
    return requested


def set_up_process(compute: Compute) -> None:
    """Let this process compute as a run does from now on, and count the GPU's memory from here."""
    use_threads(compute.threads)
    keep_freed_memory()
    if compute.device.startswith("cuda"):
        torch.cuda.init()  # a name with a number, such as cuda:0, does not do it
        torch.cuda.reset_peak_memory_stats(compute.device)


def now(device: str | torch.device) -> float:
    """Return the time in seconds at which the device has done all of its work."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def use_threads(n_threads: int) -> None:
    """Compute with this number of threads in this process from now on, in torch and in NumPy."""
    torch.set_num_threads(n_threads)
    threadpool_limits(n_threads, user_api="blas")


def keep_freed_memory() -> None:
    """Make glibc keep the memory of freed tensors for the next step, from now on in this process.

    Otherwise every large activation is returned to the kernel and mapped again, page by page, at
    every step, which takes a fifth of the time of a training on the CPU. With another C library
    this does nothing.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(M_MMAP_MAX, 0)
    libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def name(device: str) -> str:
    """Return the name of the device's hardware, for records."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    n_threads = torch.get_num_threads()
    return f"{precisions.processor()}, {n_threads} thread{'' if n_threads == 1 else 's'}"


def resolve(device: str, precision: str, threads: int | None = None) -> Compute:
    """Return how to compute on a device.

    Args:
        device: as of `pick`.
        precision: "float32", "bfloat16" or "auto" for what suits the hardware. The layout is
            that of the choice for "auto", for which a processor may be measured.
        threads: CPU threads of a trial; None for the default.
    """
    threads = threads or cores.default_threads()
    if precision == "float32":
        return Compute(device, "float32", False, threads)
    choice = precisions.choice_here(device)
    if precision == "bfloat16":
        return Compute(device, "bfloat16", choice.channels_last, threads)
    return Compute(device, choice.precision, choice.channels_last, threads)
