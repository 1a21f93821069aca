"""Independent, named streams of random numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def _mixed(seed: int, purpose: tuple[object, ...]) -> int:
    text = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def generator(seed: int, *purpose: object, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator that depends on the seed and the purpose alone, so no draw disturbs another.

    generator(0, "batches", 17) gives the same numbers whatever was drawn before: a stream that asks for
    one per step needs no saved state to be resumed.
    """
    return torch.Generator(device=device).manual_seed(_mixed(seed, purpose))


@contextmanager
def seeded(seed: int, *purpose: object) -> Iterator[None]:
    """Inside, torch's global generators (initialisation, dropout) follow the seed; after, they are as before."""
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(_mixed(seed, purpose))
        yield
