"""What threads that sleep while they wait (the command line sets OMP_WAIT_POLICY) cost alone and gain in company.

Images a second of a Conv-4 training step, alone and beside another process that trains the same, under both policies.

    python benchmarks/beside_another.py [--rounds 3] [--out benchmarks/results/beside_another.json]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

BATCH = 160
POLICIES = {"spinning": {}, "sleeping": {"OMP_WAIT_POLICY": "PASSIVE"}}  # the first is the default


def measure(seconds: float) -> float:
    """Images a second in this process."""
    import torch

    from fewshot import backbones
    from fewshot.config import BackboneSettings
    from fewshot.training import devices

    devices.keep_freed_memory()
    network = backbones.build(BackboneSettings(name="conv4", options={"norm": "group"}))
    network.set_compute(*devices.resolve("cpu", "auto")[1:3])
    images = torch.rand(BATCH, 3, 32, 32)
    network(images).square().mean().backward()
    began, steps = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        network(images).square().mean().backward()
        steps += 1
    return steps * BATCH / (time.perf_counter() - began)


def start(policy: str, seconds: float) -> subprocess.Popen[str]:
    environment = {
        key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"
    } | POLICIES[policy]
    command = [sys.executable, __file__, "--measure", str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def speed(policy: str, beside: bool) -> float:
    others = [start(policy, 14)] if beside else []
    if others:
        time.sleep(4)  # until the other one computes
    found = float(start(policy, 5).communicate()[0])
    for other in others:
        other.kill()
        other.communicate()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results" / "beside_another.json"
    )
    parser.add_argument("--measure", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(measure(options.measure))
        return
    found: dict[str, list[float]] = {}
    for _ in range(options.rounds):
        for beside in (False, True):
            for policy in POLICIES:
                found.setdefault(f"{policy} {'beside another' if beside else 'alone'}", []).append(
                    speed(policy, beside)
                )
    median = {name: statistics.median(values) for name, values in found.items()}
    result = {
        "what": "images a second of a Conv-4 training step; medians of n",
        "n": options.rounds,
        "images_per_second": median,
        "ratios": {
            place: median[f"sleeping {place}"] / median[f"spinning {place}"]
            for place in ("alone", "beside another")
        },
        "all": found,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps({"images_per_second": median, "ratios": result["ratios"]}, indent=1))


if __name__ == "__main__":
    main()
