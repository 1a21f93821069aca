"""Files that appear whole or not at all, and the removal of what killed processes left of them.

A file is written under another name, its draft, in the folder in which it will be, and renamed when
it is complete. The process that writes a draft holds a lock on it. So whoever next writes into the
folder recognises the drafts of processes that were killed, and removes them.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, cast

PREFIX, SUFFIX = ".fewshot-", ".part"
SECONDS_BETWEEN_SEARCHES = 1.0  # in the same folder, so that writing many files takes linear time
_searched: dict[tuple[Path, str], float] = {}


@contextmanager
def draft(path: Path) -> Iterator[BinaryIO]:
    """Open a new file, which replaces the one at a path when the block ends.

    An error in the block removes the new file and leaves the old one as it was.

    Args:
        path: the file to write or to replace.

    Raises:
        OSError: the file cannot be written.
    """
    remove_abandoned(path.parent)
    file = _new_file(path.parent)
    try:
        with file:
            yield file
            file.flush()
            os.replace(file.name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(file.name)
        raise


@contextmanager
def draft_folder(parent: Path, prefix: str = PREFIX) -> Iterator[Path]:
    """Make a folder that only this user can read; remove it at the end, unless it was renamed.

    Args:
        parent: the existing folder in which it is made.
        prefix: how the names of all folders of its kind begin.

    Raises:
        OSError: it cannot be made.
    """
    remove_abandoned(parent, prefix)
    folder, handle = _new_folder(parent, prefix)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


def remove_abandoned(folder: Path, prefix: str = PREFIX) -> None:
    """Remove the drafts of killed processes from a folder, as far as that is possible."""
    now = time.monotonic()
    if now - _searched.get((folder, prefix), -SECONDS_BETWEEN_SEARCHES) < SECONDS_BETWEEN_SEARCHES:
        return
    _searched[folder, prefix] = now
    for path in folder.glob(f"{prefix}*{SUFFIX}"):
        with suppress(OSError):  # it is in use, was just removed, or belongs to another user
            is_folder = path.is_dir()
            access = os.O_RDONLY if is_folder else os.O_RDWR  # which NFS needs for a lock
            handle = os.open(path, access | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if is_folder:
                    shutil.rmtree(path)
                else:
                    path.unlink()
            finally:
                os.close(handle)


def is_draft(path: Path) -> bool:
    """Return whether a name is that of a draft."""
    return path.name.startswith(PREFIX) and path.suffix == SUFFIX


def _new_file(folder: Path) -> BinaryIO:
    while True:
        with suppress(FileExistsError):  # of another process
            file = cast(BinaryIO, (folder / _name(PREFIX)).open("xb"))
            if _lock(file.fileno(), file.name):
                return file
            file.close()


def _new_folder(parent: Path, prefix: str) -> tuple[Path, int]:
    while True:
        with suppress(FileExistsError):
            folder = parent / _name(prefix)
            folder.mkdir(mode=0o700)
            handle = os.open(folder, os.O_RDONLY)
            if _lock(handle, folder):
                return folder, handle
            os.close(handle)


def _name(prefix: str) -> str:
    """Return a short random name; the few that exist already are refused by the file system."""
    return f"{prefix}{secrets.token_hex(4)}{SUFFIX}"


def _lock(handle: int, path: str | Path) -> bool:
    """Lock a new draft; return whether it is still there: it was nobody's before it was locked.

    Where the file system has no locks, no draft is ever removed.
    """
    with suppress(OSError):
        fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False
