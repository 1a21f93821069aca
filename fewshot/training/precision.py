"""The precision and the memory layout that suit a device.

The hardware decides. If a processor leaves the choice open, it is measured once, and the result is
cached.
"""

from __future__ import annotations

import hashlib
import math
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import Literal, NamedTuple

import torch
from torch import nn

from episodes.datasets import cache_root
from fewshot.errors import UserError
from fewshot.io import locked, make_folder, read_json, write_json

Precision = Literal["float32", "bfloat16"]
CPUINFO = Path("/proc/cpuinfo")
CLEARLY_FASTER = 1.25  # another choice replaces the hardware's own if it is this much faster
TURNS = 9  # measured steps of each choice
MEASURED_IMAGES = 16  # of 32x32, in a measured step


class Choice(NamedTuple):
    """A precision and a memory layout."""

    precision: Precision
    channels_last: bool

    @property
    def name(self) -> str:
        """The name in the cached measurement."""
        return f"{self.precision} channels_last" if self.channels_last else self.precision


PLAIN, PLAIN_LAST = Choice("float32", False), Choice("float32", True)
HALF, HALF_LAST = Choice("bfloat16", False), Choice("bfloat16", True)


class Capability(NamedTuple):
    """What the hardware says about precision and layout.

    Attributes:
        default: what is used unless a measurement shows that something else is clearly faster.
        others: what is measured beside it; empty if the hardware decides.
    """

    default: Choice
    others: tuple[Choice, ...] = ()


def choice_here(device: str) -> Choice:
    """Return the choice for this machine: the hardware's, or else from the cache or measured."""
    capability = _capability(device)
    if not capability.others:
        return capability.default
    machine = f"{processor()} torch {torch.__version__} {platform.machine()}"
    folder = cache_root() / "machines"
    path = folder / f"{hashlib.sha256(machine.encode()).hexdigest()[:16]}.json"
    if known := _measured_before(path):
        return known
    make_folder(folder)
    # Two processes that measure at once would disturb each other and might disagree.
    with locked(path.with_suffix(".lock")):
        if known := _measured_before(path):
            return known
        seconds = _measure(capability)
        choice = _choose(capability, seconds)
        content = {"machine": machine, "choice": choice._asdict(), "step_seconds": seconds}
        write_json(path, content)
    return choice


def _measured_before(path: Path) -> Choice | None:
    """Return the choice in a file; None without one, or if it is damaged or of another version."""
    with suppress(UserError, KeyError, TypeError):
        choice = Choice(**read_json(path)["choice"])
        if choice in (PLAIN, PLAIN_LAST, HALF, HALF_LAST):
            return choice
    return None


def _capability(device: str) -> Capability:
    """Return what the hardware of a device says about precision and layout.

    Tile instructions and tensor cores multiply bfloat16 many times faster than float32. Vector
    instructions for bfloat16 are usually, but not always, faster than float32, so they leave the
    choice open. Without any of these, bfloat16 is emulated. The layout for bfloat16 is
    channels_last, with which wide networks are faster (docs/log.md).
    """
    if device.startswith("cuda"):
        with torch.cuda.device(device):
            is_native = torch.cuda.is_bf16_supported(including_emulation=False)
        return Capability(HALF_LAST if is_native else PLAIN)
    flags = _processor_flags()
    if "amx_bf16" in flags:
        return Capability(HALF_LAST)
    if flags & {"avx512_bf16", "bf16"}:  # of x86 and of Arm
        return Capability(HALF_LAST, (HALF, PLAIN, PLAIN_LAST))
    return Capability(PLAIN, (PLAIN_LAST,))


def _choose(capability: Capability, seconds: Mapping[str, Sequence[float]]) -> Choice:
    """Return the default, or what replaces it: each choice must be clearly faster than the last.

    Args:
        capability: the default, and the other choices in their order.
        seconds: those of each measured step, by `Choice.name`.
    """
    best = capability.default
    for other in capability.others:
        before, after = seconds[best.name], seconds[other.name]
        gain = min(min(before) / min(after), median(before) / median(after))
        if gain >= CLEARLY_FASTER:
            best = other
    return best


def _measure(capability: Capability) -> dict[str, list[float]]:
    """Return the seconds of training steps of a small network, by `Choice.name`.

    One thread computes, and the seconds are those in which it had a core, so that other work of
    the machine does not count. The choices take turns. One that is slower than the default after
    its second step takes no more turns.
    """
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        choices = (capability.default, *capability.others)
        steps = {choice.name: _training_step(choice) for choice in choices}
        for step in steps.values():
            step()  # the first includes preparation
        seconds: dict[str, list[float]] = {name: [] for name in steps}
        for turn in range(TURNS):
            limit = min(seconds[capability.default.name], default=math.inf)
            for name, step in steps.items():
                if turn < 2 or min(seconds[name]) <= limit:
                    seconds[name].append(step())
    finally:
        torch.set_num_threads(n_threads)
    return seconds


def _training_step(choice: Choice) -> Callable[[], float]:
    """Return a function that takes one training step of a small network and returns its seconds."""
    blocks = [
        nn.Sequential(nn.Conv2d(64, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU())
        for _ in range(2)
    ]
    network: nn.Module = nn.Sequential(
        nn.Conv2d(3, 64, 3, padding=1), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    images = torch.zeros(MEASURED_IMAGES, 3, 32, 32)
    if choice.channels_last:
        network = network.to(memory_format=torch.channels_last)
        images = images.to(memory_format=torch.channels_last)
    is_bfloat16 = choice.precision == "bfloat16"

    def step() -> float:
        began = time.process_time()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=is_bfloat16):
            features = network(images)
        features.float().square().mean().backward()
        return time.process_time() - began

    return step


def processor() -> str:
    """Return the name of the processor."""
    return _cpuinfo().get("model name") or platform.processor() or platform.machine()


def _processor_flags() -> set[str]:
    """Return the instruction sets that the kernel lists; empty where it lists none."""
    first = _cpuinfo()
    return set((first.get("flags") or first.get("Features") or "").split())  # of x86 and of Arm


def _cpuinfo() -> dict[str, str]:
    """Return what the kernel writes about the first processor; empty without /proc."""
    try:
        first = CPUINFO.read_text(encoding="utf-8").partition("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}
