"""AutoAugment on a batch of random 32x32 images: ours, and torchvision's one image after the other, in turns.

torchvision draws one transform for a whole batch, so that a loop over images is what gives each its own. One thread,
images on the CPU; what counts is the ratio.

    python benchmarks/auto_augment.py [--rounds 9] [--out benchmarks/results/auto_augment.json]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

SIZES = (128, 1024)


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results" / "auto_augment.json"
    )
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    import torch
    from torchvision.transforms import v2

    from episodes.augment import auto_augment
    from fewshot.runs import provenance
    from fewshot.training import devices

    generator = torch.Generator().manual_seed(0)
    theirs = v2.AutoAugment(v2.AutoAugmentPolicy("cifar10"))
    found = {}
    for size in SIZES:
        images = torch.rand(size, 3, 32, 32, generator=generator)
        pixels = (images * 255).to(torch.uint8)
        works = {
            "ours": lambda images=images: auto_augment(images, generator),
            "torchvision": lambda pixels=pixels: torch.stack([theirs(image) for image in pixels]),
        }
        for work in works.values():
            work()  # once for what is found on the first call
        rounds = [
            {name: seconds(work) for name, work in works.items()} for _ in range(options.rounds)
        ]
        found[size] = {
            "seconds": {name: statistics.median(each[name] for each in rounds) for name in works},
            "torchvision_over_ours": statistics.median(
                each["torchvision"] / each["ours"] for each in rounds
            ),
        }
    result = {
        "what": "AutoAugment's policy for CIFAR-10 on a batch of 32x32 images on the CPU",
        "machine": devices.name("cpu"),
        "load_average": os.getloadavg(),
        "versions": provenance.versions(),
        "n": options.rounds,
        "batches": found,
    }
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
