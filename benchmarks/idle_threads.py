"""Measure what sleeping OpenMP threads cost alone and gain beside another busy process.

The command line sets OMP_WAIT_POLICY=PASSIVE, so that idle threads sleep instead of spinning. This
measures the images per second of a Conv-4 training step under both policies, alone and beside
another process that trains the same network.

    python -m benchmarks.idle_threads [--rounds 3]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time

from benchmarks import common

BATCH = 160
POLICIES = {"spinning": {}, "sleeping": {"OMP_WAIT_POLICY": "PASSIVE"}}  # the first is the default
MEASURED_SECONDS, OTHER_SECONDS, START_SECONDS = 5, 14, 4


def images_per_second(seconds: float) -> float:
    """Return the speed of training steps in this process, measured for so many seconds."""
    import torch

    from fewshot import backbones
    from fewshot.config import BackboneSettings
    from fewshot.training import devices

    devices.keep_freed_memory()
    compute = devices.resolve("cpu", "auto")
    network = backbones.build(BackboneSettings(name="conv4", options={"norm": "group"}))
    network.set_compute(compute.precision, compute.channels_last)
    images = torch.rand(BATCH, 3, 32, 32)
    network(images).square().mean().backward()
    began, steps = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        network(images).square().mean().backward()
        steps += 1
    return steps * BATCH / (time.perf_counter() - began)


def start(policy: str, seconds: float) -> subprocess.Popen[str]:
    """Start a process that trains under a policy and prints its images per second."""
    environment = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}
    command = [sys.executable, "-m", "benchmarks.idle_threads", "--measure", str(seconds)]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env=environment | POLICIES[policy],
        cwd=common.ROOT,
    )


def speed(policy: str, beside_another: bool) -> float:
    """Return the images per second under a policy, alone or beside a process of the same policy."""
    others = [start(policy, OTHER_SECONDS)] if beside_another else []
    if others:
        time.sleep(START_SECONDS)  # until the other process has started to train
    images = float(start(policy, MEASURED_SECONDS).communicate()[0])
    for other in others:
        other.kill()
        other.communicate()
    return images


def main() -> None:
    """Measure both policies, alone and beside another process, and write the medians."""
    parser = common.parser(__doc__, "idle_threads", rounds=3)
    parser.add_argument("--measure", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(images_per_second(options.measure))
        return
    places = {"alone": False, "beside another": True}
    speeds: dict[str, list[float]] = {
        f"{policy} {place}": [] for place in places for policy in POLICIES
    }
    for _ in range(options.rounds):
        for place, beside_another in places.items():
            for policy in POLICIES:
                speeds[f"{policy} {place}"].append(speed(policy, beside_another))
    median = {name: statistics.median(values) for name, values in speeds.items()}
    ratios = {place: median[f"sleeping {place}"] / median[f"spinning {place}"] for place in places}
    result = {
        "what": "images a second of a Conv-4 training step; medians of n",
        "n": options.rounds,
        "images_per_second": median,
        "ratios": ratios,
        "all": speeds,
        **common.machine(),
    }
    common.write(options.out, result, ("images_per_second", "ratios"))


if __name__ == "__main__":
    main()
