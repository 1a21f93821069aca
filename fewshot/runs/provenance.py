"""Where a result comes from: the code's commit, versions of what it stands on, memory it took."""

from __future__ import annotations

import platform
import resource
import subprocess
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGES = ("fewshot", "torch", "torchvision", "timm", "numpy", "scikit-learn")


@lru_cache(maxsize=1)
def source() -> dict[str, Any]:
    """The commit of the checkout the package runs from, and whether it was changed; null for an installed wheel."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return {"commit": None, "dirty": None}

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", root, *words], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        return {
            "commit": git("rev-parse", "HEAD"),
            "dirty": bool(git("status", "--porcelain", "-uno")),
        }
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "dirty": None}


@lru_cache(maxsize=1)
def versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def peak_memory_mb(device: str) -> float:
    """The most memory this process has held, in MB: on the GPU where that computes, resident otherwise."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
