"""Compare our batched AutoAugment with torchvision's, which transforms one image after the other.

torchvision samples one transform for a whole batch, so only a loop over the images gives each
image a transform of its own. Batches of random 32x32 images, one thread, in turns.

    python -m benchmarks.auto_augment_vs_torchvision [--rounds 9]
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable
from typing import Any

from benchmarks import common

SIZES = (128, 1024)


def measure(size: int, rounds: int) -> dict[str, Any]:
    """Return the median seconds for a batch of both implementations, and their ratio."""
    import torch
    from torchvision.transforms import v2

    from episodes.augment import auto_augment

    generator = torch.Generator().manual_seed(0)
    theirs = v2.AutoAugment(v2.AutoAugmentPolicy("cifar10"))
    images = torch.rand(size, 3, 32, 32, generator=generator)
    pixels = (images * 255).to(torch.uint8)
    implementations: dict[str, Callable[[], Any]] = {
        "ours": lambda: auto_augment(images, generator),
        "torchvision": lambda: torch.stack([theirs(image) for image in pixels]),
    }
    for augment in implementations.values():
        augment()  # the first call also imports and prepares
    turns = [
        {name: common.seconds(augment) for name, augment in implementations.items()}
        for _ in range(rounds)
    ]
    return {
        "seconds": {name: statistics.median(turn[name] for turn in turns) for name in turns[0]},
        "torchvision_over_ours": statistics.median(
            turn["torchvision"] / turn["ours"] for turn in turns
        ),
    }


def main() -> None:
    """Measure every batch size and write the result."""
    name = "auto_augment_vs_torchvision"
    options = common.parser(__doc__, name, rounds=9).parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    result = {
        "what": "AutoAugment's policy for CIFAR-10 on a batch of 32x32 images on the CPU",
        "n": options.rounds,
        "batches": {size: measure(size, options.rounds) for size in SIZES},
        **common.machine(),
    }
    common.write(options.out, result, ("batches",))


if __name__ == "__main__":
    main()
