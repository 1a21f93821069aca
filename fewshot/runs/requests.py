"""Requests that are finished, so that the same request is answered from its record.

`<run>/.requests/<key>.json` says that a request led to this run, and the state of everything that
decided it: data, weight files, presets and the code. As long as none of it has changed, the record
of the run is the answer, without data, learners or torch.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from episodes.datasets.locations import data_root
from episodes.datasets.stamps import stamp
from fewshot import config, io
from fewshot.errors import UserError
from fewshot.runs import records
from fewshot.runs.run_record import RunRecord

FOLDER = ".requests"
GROUPS = "groups.yaml"  # superclasses, beside the file of a data set
CIFAR10_FOLDER = "cifar-10-batches-py"  # under which the name cifar10 is also looked up
# Files that may name images beside them, in tables and Arrow files, or of which several are a set.
_TABLES = re.compile(
    r"\.(csv|tsv|txt|json|jsonl|ndjson|parquet|parq|pq|arrow|feather|ipc)$|idx\d[-_.](ubyte|int)",
    re.IGNORECASE,
)
DECIDING_PACKAGES = ("torch", "torchvision", "timm")
READERS = ("pillow", "pillow-heif", "pillow-avif-plugin")  # which decide what images can be read


def answer(
    values: Mapping[str, Any],
    seeds: Sequence[int],
    out: Path,
    device: str | None = None,
    threads: int | None = None,
) -> RunRecord | None:
    """Return the record of a finished request; None if anything is missing or has changed.

    Args:
        values: settings on top of the method's preset.
        seeds: the trials that the record must have.
        out: folder of run folders.
        device: the device that was asked for.
        threads: the number of threads that was asked for.
    """
    if _is_redefined(values.get("method")):
        return None
    for note_file in out.glob(f"*/{FOLDER}/{_key(values, device, threads)}.json"):
        record, only_one = _record(note_file)
        if record is not None and (only_one or set(seeds) <= set(record.seeds)):
            return record
    return None


def _record(note_file: Path) -> tuple[RunRecord | None, bool]:
    """Return the record of a note's run, and whether it has one trial for all seeds.

    The record is None if it or what decided it has changed since.
    """
    with suppress(UserError, OSError, KeyError, TypeError):  # a damaged note is no answer
        note = io.read_json(note_file)
        folder = note_file.parents[1]
        if note["state"] != _state(folder, note["data"], note["files"]):
            return None, False
        record = records.read(folder / "record.json")
        finished = {records.seed_of(file.parent) for file in folder.glob("*/trial.json")} - {None}
        only_one = note["only_one"]
        return record if only_one or finished == set(record.seeds) else None, only_one
    return None, False


def remember(
    values: Mapping[str, Any],
    device: str | None,
    threads: int | None,
    run: Path,
    data: Iterable[str],
    files: Iterable[Path],
    only_one: bool = False,
) -> None:
    """Note that a request led to a run.

    Args:
        values: settings on top of the method's preset.
        device: the device that was asked for.
        threads: the number of threads that was asked for.
        run: folder of the run.
        data: names or paths of all its data sets.
        files: its weight files.
        only_one: whether its trials cannot differ, so that one stands for all seeds.
    """
    if _is_redefined(values.get("method")):
        return
    data, names = list(data), sorted(map(str, files))
    note = {
        "data": data,
        "files": names,
        "only_one": only_one,
        "state": _state(run, data, names),
    }
    io.make_folder(run / FOLDER)
    io.write_json(run / FOLDER / f"{_key(values, device, threads)}.json", note)


def _key(values: Mapping[str, Any], device: str | None, threads: int | None) -> str:
    request = json.dumps([dict(values), device, threads], sort_keys=True, default=str)
    return hashlib.sha256(request.encode()).hexdigest()[:24]


def _is_redefined(method: Any) -> bool:
    """Return whether the method is a class of the user's, whose code this module does not check."""
    learners = sys.modules.get("fewshot.learners")
    known = getattr(learners, "LEARNERS", {})
    return (
        isinstance(method, str)
        and method in known
        and not known[method].__module__.startswith("fewshot.")
    )


def _state(run: Path, data: Sequence[str], files: Sequence[str]) -> str:
    """Hash the state of everything that decides which run a request leads to."""
    packages = Path(__file__).parents[1], Path(sys.modules["episodes"].__file__ or "").parent
    digest = hashlib.sha256(" ".join(map(_version, (*DECIDING_PACKAGES, *READERS))).encode())
    for folder in (*packages, config.presets_folder() / "methods"):
        _add_folder(digest, folder, (".py", ".yaml"))
    for name in data:
        for place in _places(name):
            _add_folder(digest, place) if os.path.isdir(place) else _add_file(digest, place)
            if os.path.isfile(place):
                _add_file(digest, place.parent / GROUPS)
            if _TABLES.search(place.name) and os.path.isfile(place):
                _add_folder(digest, place.parent)  # which may hold the images that it names
    for file in (*map(Path, files), run / "config.yaml"):
        _add_file(digest, file)
    return digest.hexdigest()[:32]


def _places(data: str) -> list[Path]:
    """Return where a data set of this name may lie; there are no files of `digits`."""
    places = [Path(os.path.expanduser(data)), data_root() / data]
    if data == "cifar10":
        places.append(data_root() / CIFAR10_FOLDER)
    catalogue, _, name = data.partition(":")  # as in torchvision:EMNIST:letters or hf:user/name
    if beginning := re.split(r"[^\w.-]", name)[0]:
        downloaded = sorted((data_root() / catalogue).glob("*"))
        places += [place for place in downloaded if place.name.startswith(beginning)]
    return list(dict.fromkeys(place.absolute() for place in places))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def _add_folder(digest: Any, folder: Path, suffixes: tuple[str, ...] = ("",)) -> None:
    visited: set[tuple[int, int]] = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        stat = os.stat(place)
        if (stat.st_dev, stat.st_ino) in visited:  # links can form a circle
            folders.clear()
            continue
        visited.add((stat.st_dev, stat.st_ino))
        folders.sort()
        for name in sorted(names):
            if name.endswith(suffixes):
                _add_file(digest, Path(place) / name)


def _add_file(digest: Any, file: Path) -> None:
    try:
        stat = os.stat(file)
    except OSError:
        digest.update(f"{file} is missing\n".encode(errors="surrogateescape"))
        return
    text = f"{file}\0{stamp(stat)}\n"
    digest.update(text.encode(errors="surrogateescape"))
