"""Independent streams of random numbers, each named by its purpose."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def _hashed_seed(seed: int, purpose: tuple[object, ...]) -> int:
    """Return a 63-bit seed that depends on the seed and on every part of the purpose."""
    text = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def generator(seed: int, *purpose: object, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a generator that depends on the seed and the purpose alone.

    `generator(0, "batches", 17)` gives the same numbers whatever was generated before. Code that
    asks for one generator per step therefore needs no saved state to resume.

    Args:
        seed: seed of the run.
        purpose: words and numbers that name the use, such as "augment", step.
        device: device on which the generator produces its numbers.
    """
    return torch.Generator(device=device).manual_seed(_hashed_seed(seed, purpose))


@contextmanager
def seeded(seed: int, *purpose: object) -> Iterator[None]:
    """Seed torch's global generators inside a `with` block, and restore their state afterwards.

    Initialisation and dropout use the global generators. The seed depends on `seed` and `purpose`
    alone, as in `generator`.
    """
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(_hashed_seed(seed, purpose))
        yield
