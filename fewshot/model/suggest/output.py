"""Write suggestions into a folder: a table, a sheet of the images, and links to them."""

from __future__ import annotations

import contextlib
import csv
import io as text_io
import os
import re
import shutil
from collections.abc import Sequence
from io import BytesIO
from itertools import chain, count
from pathlib import Path

import numpy as np
from PIL import Image

from episodes.datasets import drafts
from episodes.datasets.decoding.image_formats import format_of
from episodes.datasets.names import readable
from episodes.datasets.source import Payload
from fewshot import io
from fewshot.errors import UserError
from fewshot.model.sorted_copies import plain_name
from fewshot.model.suggest import sheet
from fewshot.model.suggest.suggestions import Suggestions

TABLE, SHEET, IMAGES = "suggestions.csv", "suggestions.png", "images"
COLUMNS = ("rank", "image", "label", "method", "gain", "stands_for", "reason")
ANOTHER = "name another folder with --out"
SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}")


def free_folder(folder: Path) -> Path:
    """Return the folder, or the first of NAME-2, NAME-3 and so on that does not exist."""
    others = (folder.with_name(f"{folder.name}-{number}") for number in count(2))
    return next(place for place in chain([folder], others) if not os.path.lexists(place))


def check(folder: Path, pool: Sequence[str | Path]) -> None:
    """Raise UserError if suggestions cannot be written to a folder.

    Args:
        folder: the folder to make.
        pool: the files and folders of the pool; a folder among its images would be part of it.
    """
    if os.path.lexists(folder) and not (folder.is_dir() and not any(folder.iterdir())):
        what = "holds files already" if folder.is_dir() else "is not a folder"
        raise UserError(f"--out {folder} {what}: {ANOTHER}.")
    place = os.path.realpath(folder)
    for one in map(Path, pool):
        if one.is_dir() and place.startswith(os.path.join(os.path.realpath(one), "")):
            raise UserError(
                f"{folder} lies in the pool {one}, so that its images would be suggested again: "
                f"{ANOTHER}."
            )


def write(suggestions: Suggestions, folder: Path) -> None:
    """Write the folder; it is made as a whole or not at all.

    It holds `suggestions.csv`, whose column `label` is empty so that it can be filled in;
    `suggestions.png`, a sheet of the images with their ranks; and `images/`, with a link to each
    image, or a copy where links are not possible or the image has no file.

    Raises:
        UserError: the folder cannot be written.
    """
    payloads = suggestions.payloads(range(len(suggestions)))
    io.make_folder(folder.parent, ANOTHER)
    try:
        with drafts.draft_folder(folder.parent) as draft:
            (draft / IMAGES).mkdir()
            names = _write_images(payloads, suggestions.images, draft / IMAGES)
            paths = [f"{IMAGES}/{name}" for name in names]
            if suggestions.files is not None:
                paths = [os.path.realpath(path) for path in suggestions.files]
            io.write_text(draft / TABLE, table(suggestions, paths))
            io.write_bytes(draft / SHEET, sheet.png(payloads, suggestions.images))
            draft.chmod(0o777 & ~_umask())
            os.replace(draft, folder)
    except OSError as error:
        raise _not_written(folder, error) from None


def table(suggestions: Suggestions, paths: Sequence[str]) -> str:
    """Return the suggestions as CSV.

    Args:
        suggestions: the images.
        paths: the path of each, as the table names it.
    """
    stream = text_io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row, path in zip(suggestions, paths, strict=True):
        gain = f"{row.gain:.6g}"
        writer.writerow([row.rank, path, "", row.method, gain, row.stands_for, row.reason])
    return readable(stream.getvalue())


def _write_images(payloads: Sequence[Payload], names: Sequence[str], folder: Path) -> list[str]:
    """Link or write images under numbered names, and return these names."""
    digits = max(2, len(str(len(payloads))))
    written = []
    for rank, (payload, name) in enumerate(zip(payloads, names, strict=True), 1):
        stem = plain_name(os.path.splitext(name.rsplit("/", 1)[-1])[0]).lstrip("_")
        place = folder / f"{rank:0{digits}}-{stem or 'image'}{_suffix(payload)}"
        if not isinstance(payload, Path):
            place.write_bytes(_encoded(payload))
        else:
            _link(payload, place)
        written.append(place.name)
    return written


def _suffix(payload: Payload) -> str:
    if isinstance(payload, Path):
        return payload.suffix if SUFFIX.fullmatch(payload.suffix) else ""
    if isinstance(payload, bytes):
        name = format_of(payload[:64])
        return f".{name.lower()}" if name else ""
    return ".png"


def _encoded(payload: bytes | np.ndarray) -> bytes:
    """Return an image that has no file as the content of one."""
    if isinstance(payload, bytes):
        return payload
    buffer = BytesIO()
    Image.fromarray(payload).save(buffer, "PNG")
    return buffer.getvalue()


def _link(image: Path, place: Path) -> None:
    """Make a link to an image, or a copy where the system makes no links."""
    with contextlib.suppress(OSError, NotImplementedError):
        place.symlink_to(os.path.realpath(image))
        return
    shutil.copyfile(image, place)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _not_written(folder: Path, error: OSError) -> UserError:
    return UserError(
        f"{folder} could not be written ({error.strerror}): free some space, or {ANOTHER}."
    )
