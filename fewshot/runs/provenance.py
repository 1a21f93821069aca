"""Where a result comes from: the commit of the code, versions of packages, memory used."""

from __future__ import annotations

import platform
import resource
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fewshot.config.origins import Origin
from fewshot.runs.trial_record import Provenance

if TYPE_CHECKING:
    from fewshot.training.devices import Compute

PACKAGES = ("fewshot", "torch", "torchvision", "timm", "numpy", "scikit-learn")


class Source(NamedTuple):
    """The commit of the checkout and whether it was changed; None for an installed package."""

    commit: str | None
    dirty: bool | None


@lru_cache(maxsize=1)
def source() -> Source:
    """Return the state of the checkout from which the package runs."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return Source(None, None)

    def git(*words: str) -> str:
        command = ["git", "-C", str(root), *words]
        return subprocess.run(
            command, capture_output=True, text=True, encoding="utf-8", check=True
        ).stdout.strip()

    try:
        return Source(git("rev-parse", "HEAD"), bool(git("status", "--porcelain", "-uno")))
    except (OSError, subprocess.CalledProcessError):
        return Source(None, None)


@lru_cache(maxsize=1)
def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that decide results."""
    return {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}}


def _version(package: str) -> str:
    """Return the version of a package, which is unknown for a checkout that is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def of_result(
    started: datetime,
    device: str,
    compute: Compute | None = None,
    weights: Sequence[Origin] = (),
) -> Provenance:
    """Return the provenance of a result that is finished now.

    Args:
        started: when its computation began.
        device: name of the processor or GPU.
        compute: device, precision, layout and threads; None for a vote.
        weights: where the weights of the networks come from; none for a vote.
    """
    commit, dirty = source()
    return Provenance(
        commit=commit,
        dirty=dirty,
        versions=versions(),
        device=device,
        compute=None if compute is None else compute._asdict(),
        started=started.isoformat(timespec="seconds"),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        weights=tuple(one for one in weights if one.source),
    )


def peak_memory_mb(device: str) -> float:
    """Return the most memory this process has used, in MB: of the GPU if it computes there."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
