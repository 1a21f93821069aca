"""Check that a node of a cluster computes and writes as the process that shares out the cells does.

Another version of torch changes the last digits of results, and a node that does not see the folder
of runs writes them where nobody finds them.
"""

from __future__ import annotations

import platform
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from filelock import FileLock

from fewshot import io
from fewshot.runs import provenance

FOLDER_ID = ".folder-id"  # a file with a random name, by which nodes recognise a shared folder


class Requirements(NamedTuple):
    """What every node must have: versions of packages, and the folder of runs with its id."""

    versions: dict[str, str]
    runs_folder: Path
    folder_id: str


def required_by(runs_folder: Path) -> Requirements:
    """Return what nodes need to compute for this process; a new folder gets an id."""
    io.make_folder(runs_folder)
    path = runs_folder / FOLDER_ID
    with FileLock(runs_folder / f"{FOLDER_ID}.lock"):
        if not path.exists():
            io.write_text(path, uuid4().hex)
    return Requirements(provenance.versions(), runs_folder, path.read_text(encoding="utf-8"))


def difference(requirements: Requirements) -> str | None:
    """Return a sentence on what this node lacks or has otherwise; None if nothing."""
    node, (versions, folder, folder_id) = platform.node(), requirements
    here = provenance.versions()
    for name, version in versions.items():
        if here.get(name) != version:
            return (
                f"node {node} has {name} {here.get(name)}, and the sweep runs with {version}: "
                "install the same versions on all nodes."
            )
    path = folder / FOLDER_ID
    if not path.exists() or path.read_text(encoding="utf-8") != folder_id:
        return f"node {node} does not see {folder}: name a folder that all nodes share (--out)."
    return None
