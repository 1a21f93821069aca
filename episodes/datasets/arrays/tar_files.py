"""Read some files of a tar archive into memory; nothing is extracted."""

from __future__ import annotations

import gzip
import tarfile
import zlib
from pathlib import Path
from typing import IO, NamedTuple

from episodes.errors import UserError

LARGEST = 1 << 28  # bytes of one file; the largest of CIFAR has 155 MB
LARGEST_ARCHIVE = 1 << 30  # bytes of all files


class Member(NamedTuple):
    """A file of an archive: its path in it, and its bytes."""

    path: str
    content: bytes


class _Gzip(gzip.GzipFile):
    """A compressed archive, of which a few bytes can stand for more than fits into memory."""

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= LARGEST:
            raise tarfile.ReadError("a part of it is too large")
        return super().read(size)


def contents(path: Path, beginnings: tuple[str, ...]) -> list[Member]:
    """Return the files of an archive whose names begin in one of some ways.

    Raises:
        UserError: the archive is damaged or far too large.
    """
    try:
        with path.open("rb") as file:
            is_gzip = file.read(2) == b"\x1f\x8b"
        with _Gzip(path) if is_gzip else path.open("rb") as stream:
            return _contents(stream, beginnings)
    except (tarfile.TarError, EOFError, OSError, ValueError, MemoryError, zlib.error) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(":. ")
        raise UserError(
            f"{path} cannot be read ({reason}): it may be incomplete, download it again."
        ) from error


def _contents(stream: IO[bytes] | gzip.GzipFile, beginnings: tuple[str, ...]) -> list[Member]:
    members = []
    n_bytes = 0
    with tarfile.open(fileobj=stream, mode="r:") as archive:
        for item in archive:
            n_bytes += item.size
            if n_bytes > LARGEST_ARCHIVE:
                raise tarfile.ReadError(f"it holds more than {LARGEST_ARCHIVE >> 30} GiB")
            is_used = item.isfile() and Path(item.name).name.startswith(beginnings)
            if is_used and item.size <= LARGEST and (file := archive.extractfile(item)):
                members.append(Member(item.name, file.read()))
    return members
