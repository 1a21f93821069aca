"""The state of a file, by which what was computed from it is known to be out of date."""

from __future__ import annotations

import os


def stamp(status: os.stat_result) -> str:
    """Return a text that changes when a file changes: its size, its times and its inode.

    The size and the time of modification are not enough: unpacking an archive or copying with
    `cp -p` puts other images of the same size and time into the place of a file, as does a clock
    that was set back. Only the system sets the time of the last change.
    """
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"
