"""Data sets of the Hugging Face Hub: `hf:user/name` or `hf:user/name:config`."""

from __future__ import annotations

from pathlib import Path

from episodes.datasets.source import Source
from episodes.errors import NotHere


def source(name: str, root: Path) -> Source:
    """Return a data set of the Hub, and download it if it is not here yet.

    Args:
        name: user/name, or user/name:config.
        root: folder of the downloaded data sets.

    Raises:
        NotHere: `datasets` is not installed, or the download failed.
    """
    raise NotHere(
        f"hf:{name} cannot be read yet: download its Parquet files and give their folder."
    )
