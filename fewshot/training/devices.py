"""The device a run uses, and the precision and memory layout that pay there: measured once a machine and kept."""

from __future__ import annotations

import ctypes
import hashlib
import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from filelock import FileLock
from torch import nn

from episodes.datasets import cache_root
from fewshot.errors import UserError
from fewshot.io import make_folder, read_json, write_json

Precision = Literal["float32", "bfloat16"]
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's malloc.h
FAR_BEHIND = 1.5  # times the seconds of the fastest: no more of it is measured
LEAST_GAIN = 1.1  # a layout or precision has to be this much faster than plain float32 to be chosen


class Compute(NamedTuple):
    """How a run computes; kept in its config.yaml, so that a resumed run computes the same way."""

    device: str
    precision: Precision
    channels_last: bool
    threads: int
    processes: int = 1  # that share one training


def pick(wanted: str | None) -> str:
    """`cuda` where there is one, else `cpu`; a UserError where the device asked for is not there."""
    if wanted is None or wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(wanted)
    except RuntimeError:
        raise UserError(f"unknown device '{wanted}': use cpu, cuda, or cuda:0 and so on.") from None
    if device.type not in ("cpu", "cuda"):
        raise UserError(f"device '{wanted}' is not supported: use cpu, cuda, or cuda:0 and so on.")
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            there = f"{count} CUDA devices are" if count else "no CUDA device is"
            raise UserError(f"device '{wanted}' was asked for, but {there} here: use --device cpu.")
    return wanted


def keep_freed_memory() -> None:
    """Let glibc keep the memory of freed tensors for the next step, in this process, from now on.

    Otherwise every large activation goes back to the kernel and is mapped anew, page by page, at each step: a
    fifth of the time of a training on the CPU. Elsewhere this does nothing.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(M_MMAP_MAX, 0)
    libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def name(device: str) -> str:
    """The device in words, for records."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return f"{_processor()}, {torch.get_num_threads()} threads"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")),
        platform.machine(),
    )


def resolve(device: str, precision: str) -> Compute:
    """Precision and layout for the device: as asked for, or as measured here once and kept in the cache folder."""
    threads = torch.get_num_threads()
    if precision == "float32":
        return Compute(device, "float32", False, threads)
    kept = _measured(device)
    if precision == "bfloat16":
        return Compute(device, "bfloat16", kept["channels_last"], threads)
    return Compute(device, kept["precision"], kept["channels_last"], threads)


def _measured(device: str) -> dict[str, Any]:
    """What pays here, by the seconds of a small network's steps, which are measured once and kept."""
    key = f"{name(device)} torch {torch.__version__} {platform.machine()}"
    folder = cache_root() / "machines"
    path = folder / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"
    if not path.exists():
        make_folder(folder)
        with FileLock(
            path.with_suffix(".lock")
        ):  # two that begin at once disturb each other and might not agree
            if not path.exists():
                seconds = _step_seconds(device)
                write_json(path, {"machine": key, "step_seconds": seconds})
    return _paying(read_json(path)["step_seconds"])


def _paying(seconds: Mapping[str, float]) -> dict[str, Any]:
    """Plain float32 where nothing is clearly faster; in bfloat16 channels_last where it is not clearly slower.

    Wide networks gain more by that layout than the small one that is measured: speed-cnn's steps were a fifth faster in
    it on four threads, where the small network's are 5% slower (looked at, not recorded).
    """
    best = min(seconds, key=lambda each: seconds[each])
    if seconds["float32"] < LEAST_GAIN * seconds[best]:
        return {"precision": "float32", "channels_last": False}
    if best.startswith("bfloat16"):
        last = seconds["bfloat16 channels_last"] < LEAST_GAIN * seconds["bfloat16"]
        return {"precision": "bfloat16", "channels_last": last}
    return {"precision": "float32", "channels_last": True}


def _step_seconds(device: str, rounds: int = 6) -> dict[str, float]:
    """The fastest training step of a small convolutional network, 64 images of 32x32, in each precision and layout.

    They take turns, so that what else the machine does slows all alike; what is far behind takes no more of them.
    """
    found: dict[str, list[float]] = {}
    steps = {
        f"{precision}{' channels_last' if last else ''}": _step(device, precision, last)
        for precision in ("float32", "bfloat16")
        for last in (False, True)
    }
    for turn in range(rounds):
        best = min((min(each) for each in found.values()), default=float("inf"))
        for name, step in steps.items():
            if turn < 2 or min(found[name]) < FAR_BEHIND * best:  # the first step also prepares
                found.setdefault(name, []).append(step())
    return {name: min(each) for name, each in found.items()}


def _step(device: str, precision: str, channels_last: bool) -> Callable[[], float]:
    """A training step to take, which returns its seconds."""
    blocks = [
        nn.Sequential(nn.Conv2d(64, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU())
        for _ in range(2)
    ]
    net = nn.Sequential(
        nn.Conv2d(3, 64, 3, padding=1), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten()
    ).to(device)
    images = torch.zeros(64, 3, 32, 32, device=device)
    if channels_last:
        net = net.to(memory_format=torch.channels_last)
        images = images.to(memory_format=torch.channels_last)

    def step() -> float:
        began = time.perf_counter()
        with torch.autocast(
            torch.device(device).type, dtype=torch.bfloat16, enabled=precision == "bfloat16"
        ):
            out = net(images)
        out.float().square().mean().backward()
        if device.startswith("cuda"):
            torch.cuda.synchronize(device)
        return time.perf_counter() - began

    return step
