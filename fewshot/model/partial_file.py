"""Finished parts of long work, stored beside its output until all exist, so that it can resume.

Each part is one line with a checksum in front. A part is flushed when it is done and looked up by
its key alone. Whatever ends the process, at most the part in progress is lost, and an output is
only made of parts that belong to it.
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
    """A file of parts: `key in parts`, `parts[key] = content` (any JSON), `parts[key]`.

    Use it in a `with` statement. Memory holds only where each part lies in the file.

    Raises:
        UserError: another process writes the same output, or nothing can be written.
    """

    def __init__(self, output: Path) -> None:
        io.make_folder(output.parent)
        self.path = output.with_name(output.name + SUFFIX)
        self.lock = FileLock(output.with_name(f".{output.name}.lock"))
        self.offsets: dict[str, int] = {}

    def __enter__(self) -> Parts:
        try:
            self.lock.acquire(timeout=0)
            self.file = self.path.open("a+b")
            self._read_offsets()
        except Timeout:
            raise UserError(
                f"another process is writing {self.path}: wait for it, or name another output."
            ) from None
        except (OSError, NotImplementedError) as error:  # the latter: no locks
            self.lock.release()
            raise self._unwritable(error) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with suppress(OSError):  # a line that could not be written raised its error already
            self.file.close()
        self.lock.release()

    def _read_offsets(self) -> None:
        """Find the lines that are whole, and cut off what a killed process left of its last one."""
        self.file.seek(0)
        end = 0
        for line in self.file:
            parsed = _parse(line)
            if parsed is None:
                break
            self.offsets[parsed[0]] = end
            end += len(line)
        self.file.truncate(end)

    def __contains__(self, key: str) -> bool:
        return key in self.offsets

    def __getitem__(self, key: str) -> Any:
        self.file.seek(self.offsets[key])
        parsed = _parse(self.file.readline())
        assert parsed is not None, f"{self.path} was changed while it was read"
        return parsed[1]

    def __setitem__(self, key: str, content: Any) -> None:
        text = json.dumps([key, content]).encode()
        try:
            offset = self.file.seek(0, 2)
            self.file.write(b"%08x %s\n" % (zlib.crc32(text), text))
            self.file.flush()
        except OSError as error:
            raise self._unwritable(error) from error
        self.offsets[key] = offset

    def remove(self) -> None:
        """Remove the file, because the output is written."""
        self.path.unlink()
        Path(self.lock.lock_file).unlink(missing_ok=True)

    def _unwritable(self, error: Exception) -> UserError:
        return UserError(
            f"{self.path} could not be written ({io.reason_of(error)}): free some space, or name "
            "another output."
        )


def _parse(line: bytes) -> tuple[str, Any] | None:
    """Return the key and content of a line, or None if it is incomplete or damaged."""
    if not line.endswith(b"\n") or line[:9] != b"%08x " % zlib.crc32(line[9:-1]):
        return None
    key, content = json.loads(line[9:])
    return key, content
