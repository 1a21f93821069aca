"""Finished parts of a long work, kept beside its output until all are there, so that a killed work continues.

Each part is one line, its checksum before it. A part is flushed when it is done and found by its key alone, so that
whatever kills the process, at most the part under way is lost, and an output is only made of parts that fit it.
"""

from __future__ import annotations

import json
import zlib
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout

from fewshot import io
from fewshot.errors import UserError

SUFFIX = ".partial"


class Parts:
    """key in parts; parts[key] = content, any JSON; parts[key]. Only where each part lies is held in memory.

    Use it in a `with`; raises UserError where another process is at the same output, or nothing can be written.
    """

    def __init__(self, output: Path) -> None:
        io.make_folder(output.parent)
        self.path = output.with_name(output.name + SUFFIX)
        self.lock = FileLock(output.with_name(f".{output.name}.lock"))
        self.places: dict[str, int] = {}

    def __enter__(self) -> Parts:
        try:
            self.lock.acquire(timeout=0)
            self.file = self.path.open("a+b")
            self._find()
        except Timeout:
            raise UserError(
                f"another process writes {self.path} now: wait for it, or name another output."
            ) from None
        except OSError as error:
            raise self._unwritable(error) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        with suppress(OSError):  # a line that could not be written, which was said
            self.file.close()
        self.lock.release()

    def _find(self) -> None:
        """The places of the lines that are whole; what a killed process left of its last line is cut off."""
        self.file.seek(0)
        end = 0
        for line in self.file:
            if (content := _content(line)) is None:
                break
            self.places[content[0]] = end
            end += len(line)
        self.file.truncate(end)

    def __contains__(self, key: str) -> bool:
        return key in self.places

    def __getitem__(self, key: str) -> Any:
        self.file.seek(self.places[key])
        content = _content(self.file.readline())
        assert content is not None, f"{self.path} was changed while it was read"
        return content[1]

    def __setitem__(self, key: str, content: Any) -> None:
        text = json.dumps([key, content]).encode()
        try:
            place = self.file.seek(0, 2)
            self.file.write(b"%08x %s\n" % (zlib.crc32(text), text))
            self.file.flush()
        except OSError as error:
            raise self._unwritable(error) from error
        self.places[key] = place

    def forget(self) -> None:
        """Remove the file: the output is there."""
        self.path.unlink()
        Path(self.lock.lock_file).unlink(missing_ok=True)

    def _unwritable(self, error: OSError) -> UserError:
        return UserError(
            f"{self.path} could not be written ({error.strerror}): free some space, or name another output."
        )


def _content(line: bytes) -> tuple[str, Any] | None:
    """Key and content of a line; None where it is torn or damaged."""
    if not line.endswith(b"\n") or line[:9] != b"%08x " % zlib.crc32(line[9:-1]):
        return None
    key, content = json.loads(line[9:])
    return key, content
