"""Names of files and folders as text that can be shown and stored anywhere.

On Linux a name is bytes. Python represents bytes that are not in the encoding of the machine by
lone surrogates (PEP 383), which no file in UTF-8 and no font can hold.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path

REPLACEMENT = "\ufffd"  # what stands for bytes that are not UTF-8
_ESCAPED = re.compile("[\udc80-\udcff]+")  # bytes, each as a surrogate
_SURROGATE = re.compile("[\ud800-\udfff]")

LONGEST = 255  # bytes of a name that file systems take
LONGEST_SUFFIX = 20  # letters; what is longer is part of the name

# What would move the cursor, break the line or turn the direction of the text.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def numbered(path: Path) -> Iterator[Path]:
    """Yield a path, and then it with a number before its suffix, as in `cat (2).jpg`."""
    yield path
    suffix = path.suffix if len(path.suffix) <= LONGEST_SUFFIX else ""
    for number in count(2):
        ending, stem = f" ({number}){suffix}", path.name.removesuffix(suffix)
        while len(os.fsencode(stem + ending)) > LONGEST:
            stem = stem[:-1]
        yield path.with_name(stem + ending)


def readable(text: str) -> str:
    """Return a text without lone surrogates; bytes that are no text become replacement characters.

    A name in UTF-8 comes out right on a machine of another encoding as well.
    """
    if text.isascii():
        return text
    text = _ESCAPED.sub(lambda run: _bytes_of(run[0]).decode(errors="replace"), text)
    return _SURROGATE.sub(REPLACEMENT, text)


def readable_line(text: str) -> str:
    """Return a readable text on one line, with replacement characters for control characters."""
    return _CONTROL.sub(REPLACEMENT, readable(text))


def distinct(names: Iterable[str]) -> tuple[str, ...]:
    """Return readable names; those that would become equal show their bytes, such as `caf\\xe9`."""
    names = tuple(names)
    shown = [readable_line(name) for name in names]
    return tuple(
        _with_bytes(name) if name != text and shown.count(text) > 1 else text
        for name, text in zip(names, shown, strict=True)
    )


def native(path: str) -> str:
    """Return a path from a file in UTF-8 in the encoding of this machine's file names."""
    try:
        return os.fsdecode(path.encode(errors="surrogateescape"))
    except UnicodeEncodeError:  # a surrogate that stands for no byte: no file has this name
        return path


def _bytes_of(escaped: str) -> bytes:
    return escaped.encode("ascii", errors="surrogateescape")


def _with_bytes(name: str) -> str:
    name = _ESCAPED.sub(lambda run: "".join(f"\\x{byte:02x}" for byte in _bytes_of(run[0])), name)
    name = _CONTROL.sub(lambda letter: f"\\x{ord(letter[0]):02x}", name)
    return _SURROGATE.sub(REPLACEMENT, name)
