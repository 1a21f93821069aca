"""The device of a run, and the precision and memory layout that are fastest there.

Precision and layout are measured once for each machine and cached.
"""

from __future__ import annotations

import ctypes
import hashlib
import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from filelock import FileLock
from torch import nn

from episodes.datasets import cache_root
from fewshot.errors import UserError
from fewshot.io import make_folder, read_json, write_json

Precision = Literal["float32", "bfloat16"]
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's malloc.h
FAR_BEHIND = 1.5  # a candidate that is this much slower than the fastest is not measured further
LEAST_GAIN = 1.1  # plain float32 is used unless something is this much faster
# Images of 32x32 in a measured step. A GPU needs many to be busy: with few, the time of a step is
# that of launching its kernels, whatever their precision.
MEASURED_IMAGES = {"cpu": 64, "cuda": 1024}


class Compute(NamedTuple):
    """How a run computes; stored in its config.yaml, so that a resumed run computes the same way.

    Attributes:
        device: cpu, cuda, cuda:0 and so on.
        precision: the precision inside the backbone.
        channels_last: whether the backbone's weights and images have the channels in the last
            place in memory.
        threads: CPU threads of torch.
        processes: how many processes share one training.
    """

    device: str
    precision: Precision
    channels_last: bool
    threads: int
    processes: int = 1


class Choice(NamedTuple):
    """A precision and a memory layout."""

    precision: Precision
    channels_last: bool

    @property
    def name(self) -> str:
        """The name in the cached measurement."""
        return f"{self.precision} channels_last" if self.channels_last else self.precision


CHOICES = [
    Choice("float32", False),
    Choice("float32", True),
    Choice("bfloat16", False),
    Choice("bfloat16", True),
]


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
    return f"{_processor()}, {n_threads} thread{'' if n_threads == 1 else 's'}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    for line in lines:
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def resolve(device: str, precision: str) -> Compute:
    """Return how to compute on a device.

    Args:
        device: as of `pick`.
        precision: "float32", "bfloat16" or "auto" for the faster one. The last two measure this
            machine if that has not been done before; the layout is then that of the choice for
            "auto".
    """
    threads = torch.get_num_threads()
    if precision == "float32":
        return Compute(device, "float32", False, threads)
    choice = _choose(_step_seconds_here(device))
    if precision == "bfloat16":
        return Compute(device, "bfloat16", choice.channels_last, threads)
    return Compute(device, choice.precision, choice.channels_last, threads)


def _step_seconds_here(device: str) -> dict[str, float]:
    """Return the seconds of a step by `Choice.name`, from the cache or measured now."""
    machine = f"{name(device)} torch {torch.__version__} {platform.machine()}"
    folder = cache_root() / "machines"
    path = folder / f"{hashlib.sha256(machine.encode()).hexdigest()[:16]}.json"
    if not path.exists():
        make_folder(folder)
        # Two processes that measure at once would disturb each other and might disagree.
        with FileLock(path.with_suffix(".lock")):
            if not path.exists():
                write_json(path, {"machine": machine, "step_seconds": _measure(device)})
    return read_json(path)["step_seconds"]


def _choose(seconds: Mapping[str, float]) -> Choice:
    """Return plain float32 unless something is clearly faster.

    bfloat16 gets the layout channels_last unless it is clearly slower. Wide networks gain more by
    it than the small network that is measured (docs/log.md).
    """
    fastest = min(CHOICES, key=lambda choice: seconds[choice.name])
    if seconds["float32"] < LEAST_GAIN * seconds[fastest.name]:
        return Choice("float32", False)
    if fastest.precision == "float32":
        return Choice("float32", True)
    limit = LEAST_GAIN * seconds["bfloat16"]
    return Choice("bfloat16", channels_last=seconds["bfloat16 channels_last"] < limit)


def _measure(device: str, rounds: int = 6) -> dict[str, float]:
    """Return the seconds of the fastest training step of a small network for each choice.

    The choices take turns, so that other work of the machine slows all of them alike. A choice that
    is far behind takes no more turns after the second, since the first step includes preparation.
    """
    steps = {choice.name: _training_step(device, choice) for choice in CHOICES}
    best: dict[str, float] = {}
    for turn in range(rounds):
        limit = FAR_BEHIND * min(best.values(), default=float("inf"))
        for choice, step in steps.items():
            if turn < 2 or best[choice] < limit:
                seconds = step()
                best[choice] = min(seconds, best.get(choice, seconds))
    return best


def _training_step(device: str, choice: Choice) -> Callable[[], float]:
    """Return a function that takes one training step of a small network and returns its seconds."""
    device_type = torch.device(device).type
    blocks = [
        nn.Sequential(nn.Conv2d(64, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU())
        for _ in range(2)
    ]
    network: nn.Module = nn.Sequential(
        nn.Conv2d(3, 64, 3, padding=1), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten()
    ).to(device)
    images = torch.zeros(MEASURED_IMAGES[device_type], 3, 32, 32, device=device)
    if choice.channels_last:
        network = network.to(memory_format=torch.channels_last)
        images = images.to(memory_format=torch.channels_last)
    is_bfloat16 = choice.precision == "bfloat16"

    def step() -> float:
        began = time.perf_counter()
        with torch.autocast(device_type, dtype=torch.bfloat16, enabled=is_bfloat16):
            features = network(images)
        features.float().square().mean().backward()
        if device_type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - began

    return step
