"""Show or remove what is cached between runs: decoded images, features, meta-trained weights."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

from episodes.datasets import drafts
from episodes.datasets.locations import cache_root
from episodes.errors import DAMAGED_JSON
from fewshot.features import cache

META_TRAINING = "meta-training"  # folder of the weights of runs/meta_training.py
META_CARD = "training.json"  # how they were made


class Item(NamedTuple):
    """One folder of decoded images or of a meta-training, or one file of features.

    Attributes:
        name: what it belongs to.
        holds: its content in words.
        size: bytes.
        used: when it was last used, in seconds since 1970.
    """

    name: str
    holds: str
    size: int
    used: float


def show() -> str:
    """Return a table of all entries with their content, size and last use, and the totals."""
    kinds = {
        "images": list(_images()),
        "features": list(_features()),
        "meta-trained weights": list(_meta_trainings()),
    }
    table = []
    for kind, items in kinds.items():
        latest = sorted(items, key=lambda item: -item.used)
        table.append((kind, "", "size", "last used"))
        table += [
            (f"  {item.name}", item.holds, _mb(item.size), _when(item.used)) for item in latest
        ]
    first, second, third = (max(len(row[column]) for row in table) for column in range(3))
    lines = [
        f"{name:<{first}}  {holds:<{second}}  {size:>{third}}  {used}"
        for name, holds, size, used in table
    ]
    totals = [f"{_mb(sum(item.size for item in items))} of {kind}" for kind, items in kinds.items()]
    lines.append(f"{', '.join(totals[:-1])} and {totals[-1]} in {cache_root()}")
    limit = cache.limit() / 1e9
    lines.append(f"features may take {limit:g} GB (FEWSHOT_CACHE_GB); --clear removes everything")
    return "\n".join(lines)


def clear() -> str:
    """Remove everything cached, and return a sentence with the number of bytes freed.

    Running processes are not disturbed: files that they have open stay open, and what they need
    again they compute again. Entries that are being written at this moment stay.
    """
    freed, n_left = 0, 0
    drafts.remove_abandoned(cache.folder())
    for path, stat in cache.files():
        if path.suffix == cache.SUFFIX:  # also one in use, which was read as a whole
            with contextlib.suppress(OSError):  # one that we may not remove is counted as left
                path.unlink(missing_ok=True)
        gone = cache.remove(path)
        freed += stat.st_size * (gone or not path.exists())
        n_left += not gone and path.exists()
    root = cache_root()
    for folder in [*_folders(root / "images"), *_folders(root / META_TRAINING)]:
        size = _size(folder)
        try:
            with FileLock(folder.with_suffix(cache.LOCK), timeout=0):
                shutil.rmtree(folder, ignore_errors=True)
                folder.with_suffix(cache.LOCK).unlink(missing_ok=True)
        except (Timeout, OSError, NotImplementedError):
            n_left += 1
        freed += 0 if folder.exists() else size
    for index in (root / "index").glob("*.json"):
        with contextlib.suppress(OSError):
            index.unlink(missing_ok=True)
    remark = f"; {n_left} in use or not removable" if n_left else ""
    return f"freed {_mb(freed)} in {root}{remark}"


def _images() -> Iterator[Item]:
    for folder in _folders(cache_root() / "images"):
        try:
            meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
            n, _, height, width = meta["shape"]
            classes = meta["classes"]
            listed = f"{len(classes)} classes: {', '.join(classes[:3])}, ..."
            name = meta.get("name") or listed
            holds = f"{n:,} images of {width}x{height}"
        except (OSError, *DAMAGED_JSON, KeyError, TypeError):
            name, holds = folder.name, "unfinished or damaged"
        with contextlib.suppress(FileNotFoundError):
            yield Item(name, holds, _size(folder), folder.stat().st_mtime)


def _features() -> Iterator[Item]:
    for path, stat in cache.files():
        about = cache.header(path) if path.suffix == cache.SUFFIX else {}
        try:
            name = f"{about['data']}, {about['backbone']} ({about['computed']})"
            images = about["images"]
            of = "" if images == cache.FILES else f" of {int(images):,}"
            holds = f"{int(about['rows']):,}{of} rows of {about['d']}"
        except (KeyError, ValueError):
            name, holds = path.name, "unfinished or damaged"
        yield Item(name, holds, stat.st_size, stat.st_mtime)


def _meta_trainings() -> Iterator[Item]:
    for folder in _folders(cache_root() / META_TRAINING):
        try:
            card = json.loads((folder / META_CARD).read_text(encoding="utf-8"))
            name = f"{card['base']}, {card['method']} on {card['backbone']}"
            holds = f"{card['steps']:,} steps in {card['seconds']:.0f} s on {card['device']}"
        except (OSError, *DAMAGED_JSON, KeyError, TypeError):
            name, holds = folder.name, "unfinished or damaged"
        with contextlib.suppress(FileNotFoundError):
            yield Item(name, holds, _size(folder), folder.stat().st_mtime)


def _folders(place: Path) -> list[Path]:
    return sorted(path for path in place.iterdir() if path.is_dir()) if place.is_dir() else []


def _size(folder: Path) -> int:
    sizes = []
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):  # a running process has just moved or removed it
                sizes.append(os.stat(os.path.join(place, name)).st_size)
    return sum(sizes)


def _mb(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


def _when(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M")
    except (ValueError, OverflowError, OSError):  # the file system takes years beyond 9999
        return "unknown"
