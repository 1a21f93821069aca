"""The state of a file, by which what was computed from it is known to be out of date."""

from __future__ import annotations

import os
from typing import NamedTuple


class Stamp(NamedTuple):
    """What changes when a file changes: its size, its times and its inode.

    The size and the time of modification are not enough: unpacking an archive or copying with
    `cp -p` puts other images of the same size and time into the place of a file, as does a clock
    that was set back. Only the system sets the time of the last change. A million stamps take
    less than half of the memory of a million `os.stat_result`.
    """

    size: int
    modified: int
    changed: int
    inode: int
    device: int

    @property
    def identity(self) -> tuple[int, int] | None:
        """What two names of one file share; None where the system has no inodes."""
        return (self.device, self.inode) if self.inode else None

    def __str__(self) -> str:
        return f"{self.size} {self.modified} {self.changed} {self.inode}"


def stamp(status: os.stat_result) -> Stamp:
    """Return the stamp of a file."""
    return Stamp(
        status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev
    )
