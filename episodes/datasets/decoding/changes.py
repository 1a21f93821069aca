"""Notice that image files change or cannot be read while they are decoded, before that is cached.

What is cached belongs to a state of the files. A file that vanishes for a moment, as those of a
network drive do, would otherwise be missing from then on.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from episodes.datasets.decoding.image_formats import CANNOT_OPEN
from episodes.datasets.names import readable_line
from episodes.datasets.source import Part
from episodes.datasets.stamps import stamp
from episodes.errors import UserError

# These errors say something about the file, which has to change before they go away.
OF_THE_FILE = (errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR)


def state_of(part: Part) -> str:
    """Return a hash of the sizes and times of the files of a part; the same for all without files.

    Args:
        part: images, which are files if the first of them is one.
    """
    digest = hashlib.sha256()
    for payload in chain.from_iterable(part.chunks()):
        if not isinstance(payload, Path):
            break
        try:
            digest.update(f"{stamp(os.stat(payload))}\n".encode())
        except OSError as error:
            digest.update(f"{error.errno}\n".encode())
    return digest.hexdigest()


def check(part: Part, before: str, skipped: Sequence[tuple[str, str]]) -> None:
    """Check that decoded files are those that were hashed.

    Args:
        part: images that were decoded.
        before: the state of their files before they were hashed.
        skipped: the name of each image that was not decoded, and the reason.

    Raises:
        UserError: they have changed, or an error that may go away kept one from being read.
    """
    if state_of(part) != before:
        first = readable_line(str(next(chain.from_iterable(part.chunks()), "")))
        raise UserError(
            f"the images, of which {first} is the first, changed while they were read: repeat the "
            "command when nothing moves or writes them any more."
        )
    not_opened = {name for name, reason in skipped if reason.startswith(CANNOT_OPEN)}
    if not not_opened:
        return
    for position, payload in enumerate(chain.from_iterable(part.chunks())):
        if isinstance(payload, Path) and part.name_of(position) in not_opened:
            _check_error(payload)


def _check_error(path: Path) -> None:
    """Raise UserError unless an error that the file itself causes keeps it from being read."""
    reason = "its drive did not answer for a moment"
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        if error.errno in OF_THE_FILE:
            return
        reason = error.strerror or str(error)
    raise UserError(
        f"{readable_line(str(path))} cannot be read ({reason}): repeat the command when its drive "
        "works, or remove the file."
    )
