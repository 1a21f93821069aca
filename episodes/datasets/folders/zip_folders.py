"""Class folders in a ZIP file, which is read as it is and never extracted."""

from __future__ import annotations

import lzma
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from episodes.datasets.folders.class_folders import content
from episodes.datasets.folders.class_layout import layout
from episodes.datasets.folders.folder_tree import File, tree_of
from episodes.datasets.source import CHUNK, Payload, Source, few
from episodes.datasets.stamps import stamp
from episodes.errors import UserError

LARGEST_FILE = 1 << 28  # bytes of one file; larger ones are left out
LARGEST_CHUNK = 1 << 26  # bytes after which no further file is read at a time
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_TABLES = (".csv", ".tsv", ".json", ".jsonl")


def source(path: Path, name: str) -> Source | None:
    """Locate class folders in a ZIP file; a folder around them is opened.

    Returns:
        None if the path is not that of a ZIP file.

    Raises:
        UserError: the file is damaged or encrypted, or has no class folders.
    """
    if path.suffix.lower() != ".zip" or not path.is_file():
        return None
    of_archive = stamp(path.stat())
    members, notes = _members(path)
    tree, left_out = tree_of(File(own, of_archive) for own in members)
    try:
        own = layout(tree, str(path), is_archive=True)
    except UserError as error:
        tables = [file for file in members if file.lower().endswith(_TABLES)]
        if not tables or "no class folders" not in str(error):
            raise
        raise UserError(
            f"{path} has images without class folders, and labels inside a ZIP file "
            f"({few(tables)}) are not read: unpack it, and give the folder."
        ) from error
    if own is None:
        raise UserError(f"{path} holds no class folders with images: pack one folder per class.")

    def read(files: list[File]) -> Iterator[list[Payload]]:
        with _opened(path) as archive:
            chunk: list[Payload] = []
            n_bytes = 0
            for file in files:
                chunk.append(_bytes(archive, members[file.path]))
                n_bytes += members[file.path].file_size
                if len(chunk) == CHUNK or n_bytes > LARGEST_CHUNK:
                    yield chunk
                    chunk, n_bytes = [], 0
            if chunk:
                yield chunk

    return Source(
        name,
        "files",
        ((path.name, of_archive),),
        (*notes, *left_out.notes(), *own.notes),
        lambda: content(own, read),
        has_test=own.test is not None,
    )


def _members(path: Path) -> tuple[dict[str, zipfile.ZipInfo], list[str]]:
    """Return the files of a ZIP file by their path with `/`, and notes on what is not used.

    Raises:
        UserError: the file cannot be read, or names a file outside itself.
    """
    members: dict[str, zipfile.ZipInfo] = {}
    links, large, twice = [], [], []
    with _opened(path) as archive:
        for member in archive.infolist():
            name = member.filename.replace("\\", "/")
            if member.is_dir() or name.endswith("/"):
                continue
            if name.startswith("/") or ":" in name.split("/")[0] or ".." in name.split("/"):
                raise UserError(
                    f"{path} contains a path that leads outside the archive, {name!r}: unpack it "
                    "with care, and give the folder."
                )
            _check_readable(path, member)
            name = re.sub(r"/(\./|/)*", "/", name).removeprefix("./")
            if stat.S_ISLNK(member.external_attr >> 16):
                links.append(name)
            elif member.file_size > LARGEST_FILE:
                large.append(name)
            else:
                twice += [name] if name in members else []
                members[name] = member
    reasons = {
        "left out links": links,
        f"left out files of more than {LARGEST_FILE >> 20} MiB": large,
        "of several files of one name, the last is read": twice,
    }
    notes = [f"{reason}: {few(names)}" for reason, names in reasons.items() if names]
    return members, notes


def _check_readable(path: Path, member: zipfile.ZipInfo) -> None:
    if member.flag_bits & 1:
        raise UserError(f"{path} is encrypted: unpack it with its password, and give the folder.")
    if member.compress_type not in _METHODS:
        raise UserError(
            f"{path} is compressed by a method that cannot be read (number "
            f"{member.compress_type}): unpack it, and give the folder."
        )


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError) as error:
        raise UserError(
            f"{path} cannot be read as a ZIP file ({error}): it may be incomplete, copy it again."
        ) from error


def _bytes(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """Return the content of a file; empty if it is damaged. It is no longer than it says."""
    try:
        with archive.open(member) as file:
            return file.read(LARGEST_FILE)
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, ValueError):
        return b""
    except OSError as error:
        if error.errno is None:  # of bz2, and not of the file system
            return b""
        raise
