"""Commands in forks of this process, and what breaks under them: one file operation, or the disk.

A fork has imported everything already, so that a command takes the time of its work alone.
"""

from __future__ import annotations

import ctypes
import errno
import importlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from fewshot import io
from fewshot.cli import main as cli
from fewshot.model import file_format

torch.set_num_threads(1)  # a fork of a process whose threads have computed would wait for them
LONGEST_SECONDS = 300  # of one command, on a machine that is busy with other things
CLONE_NEWNS = 0x20000
# Operations that change the disk, by the names of Python's audit events.
CHANGES = ("os.mkdir", "os.rename", "os.link", "os.symlink", "os.remove", "os.rmdir", "os.truncate")
TIMES = ("seconds", "started", "finished", "created", "date", "per_second", "peak_memory", "cost")
CODES = {"full": errno.ENOSPC, "broken": errno.EIO, "read-only": errno.EROFS}


class Ended(NamedTuple):
    """How a command ended, and the operations that it would have done or did."""

    code: int
    stdout: str
    stderr: str
    operations: list[str]

    def complaint(self) -> str | None:
        """Say what is wrong with the way in which a command with a fault ended; None if nothing."""
        if self.code == 0:
            return None
        lines = [line for line in self.stderr.splitlines() if line.startswith("fewshot: ")]
        if "Traceback" in self.stderr:
            return "traceback: " + self.stderr.strip().splitlines()[-1]
        if self.code != 2:
            return f"exit code {self.code}: {self.stderr.strip()[-300:]}"
        if len(lines) != 1:
            return f"{len(lines)} lines of error: {self.stderr.strip()[-300:]}"
        named = re.search(r"\b(out|cache|tmp|photos|runs|work|model)\b", lines[0])
        return None if named else f"no path: {lines[0]}"


class Fault(NamedTuple):
    """An operation that fails.

    Attributes:
        folder: only operations below it count.
        number: of the operation that fails, from 0; negative for none.
        code: the error, of `CODES`, or "vanishes": `gone` is removed, and all goes on.
        lasting: whether all operations after it fail as well, except removals on a full disk.
    """

    folder: Path
    number: int = -1
    code: str = "full"
    lasting: bool = False
    gone: Path | None = None


def command(
    arguments: list[str],
    cwd: Path,
    fault: Fault | None = None,
    environment: Mapping[str, str] | None = None,
    before: Callable[[], None] | None = None,
) -> Ended:
    """Run a command of the command line in a fork, and return how it ended.

    Args:
        arguments: what follows `fewshot`.
        cwd: its working folder.
        fault: what fails; None for nothing.
        environment: variables to add.
        before: called in the fork before the command.
    """
    return start(arguments, cwd, fault, environment, before).end()


class Started(NamedTuple):
    """A command that runs in a fork.

    Attributes:
        child: the process.
        streams: files in memory: what it prints to stdout and stderr, and its operations.
    """

    child: int
    streams: list[int]

    def end(self) -> Ended:
        """Wait for its end, and return how it ended."""
        code = _wait(self.child)
        stdout, stderr, log = (_content(stream) for stream in self.streams)
        return _ended(code, stdout, stderr, log)


def start(
    arguments: list[str],
    cwd: Path,
    fault: Fault | None = None,
    environment: Mapping[str, str] | None = None,
    before: Callable[[], None] | None = None,
) -> Started:
    """Start a command as `command` does, without waiting for its end."""
    streams = [os.memfd_create(name) for name in ("out", "err", "log")]
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        _become(arguments, cwd, fault, environment or {}, before, streams)
    return Started(child, streams)


def _ended(code: int, stdout: str, stderr: str, log: str) -> Ended:
    _import(line.partition(" ")[2] for line in log.splitlines() if line.startswith("import "))
    operations = [line for line in log.splitlines() if not line.startswith("import ")]
    return Ended(code, stdout, stderr, operations)


def _import(names: Iterable[str]) -> None:
    """Import what a command needed, so that the next fork has it."""
    for name in names:
        with suppress(Exception):
            importlib.import_module(name)


def _become(
    arguments: list[str],
    cwd: Path,
    fault: Fault | None,
    environment: Mapping[str, str],
    before: Callable[[], None] | None,
    streams: list[int],
) -> None:
    """Turn a fork into the command, and end it."""
    code, known = 70, set(sys.modules)
    try:
        os.setsid()
        empty = os.open(os.devnull, os.O_RDONLY)
        for stream, number in zip((empty, *streams[:2]), range(3), strict=True):
            os.dup2(stream, number)
        sys.stdin, sys.stdout, sys.stderr = (
            os.fdopen(number, mode, closefd=False)
            for number, mode in zip(range(3), ("r", "w", "w"), strict=True)
        )
        os.environ.update(environment)
        tempfile.tempdir = None
        os.chdir(cwd)
        if before is not None:
            before()
        if fault is not None:
            sys.addaudithook(_injector(fault, streams[2]))
        sys.argv = ["fewshot", *arguments]
        cli.main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
        code = 1
    finally:
        _flush()
        names = sorted(set(sys.modules) - known - {"__main__"})
        os.write(streams[2], "".join(f"import {name}\n" for name in names).encode())
        os._exit(code)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            os._exit(74)


def _injector(fault: Fault, log: int) -> Callable[[str, tuple[Any, ...]], None]:
    """Return an audit hook that counts operations below a folder and lets one fail."""
    folder, n_done, inside = os.path.abspath(fault.folder) + os.sep, 0, False

    def hook(event: str, details: tuple[Any, ...]) -> None:
        nonlocal n_done, inside
        if inside or not (event == "open" or event in CHANGES):
            return
        inside = True
        try:
            paths = details[:2] if event in ("os.rename", "os.link", "os.symlink") else details[:1]
            if event == "open" and not details[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                return
            names = [os.fsdecode(path) for path in paths if isinstance(path, str | bytes | Path)]
            last = os.path.abspath(names[-1]) if names else ""
            if not last.startswith(folder):
                return
            os.write(log, f"{event} {os.path.relpath(last, folder)!r}\n".encode())
            number, n_done = n_done, n_done + 1
            removes = event in ("os.remove", "os.rmdir") and fault.code == "full"
            if removes or number < fault.number or fault.number < 0:
                return
            if fault.gone is not None:
                if number == fault.number:
                    shutil.rmtree(fault.gone, ignore_errors=True)
                return
            if number == fault.number or fault.lasting:
                code = CODES[fault.code]
                raise OSError(code, os.strerror(code), last)
        finally:
            inside = False

    return hook


def _wait(child: int) -> int:
    """Return the exit code of a child; kill it and what it started when it takes too long."""
    end = time.monotonic() + LONGEST_SECONDS
    while time.monotonic() < end:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return -signal.SIGALRM


def _content(stream: int) -> str:
    size = os.fstat(stream).st_size
    text = os.pread(stream, size, 0).decode(errors="replace")
    os.close(stream)
    return text


def results(folder: Path) -> dict[str, Any]:
    """Return the files below a folder with what must be equal in two runs: all but times.

    Caches, locks, curves of other programs and notes about the state of files are left out.
    """
    left_out = {"cache", "tmp", "matplotlib", "tensorboard", ".requests"}
    contents = {}
    for path in sorted(folder.rglob("*")):
        inner = path.relative_to(folder)
        if path.is_file() and not path.name.endswith("lock") and not left_out & set(inner.parts):
            contents[str(inner)] = _comparable(path)
    return contents


def _comparable(path: Path) -> Any:
    if path.suffix == ".json":
        return _without_times(json.loads(path.read_bytes()))
    if path.suffix == ".jsonl":
        return [_without_times(json.loads(line)) for line in path.read_text().splitlines()]
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            return {name: arrays[name].tolist() for name in arrays.files}
    if path.suffix == ".safetensors":
        return {name: tensor.tolist() for name, tensor in io.read_safetensors(path).items()}
    if path.suffix == ".fewshot":
        return file_format.load(path, "cpu").settings.model_dump(mode="json")
    if path.suffix in (".pdf", ".svg", ".onnx", ".html", ".md"):
        return path.stat().st_size > 0
    return path.read_bytes()


def _without_times(content: Any) -> Any:
    if isinstance(content, dict):
        return {
            key: _without_times(value)
            for key, value in content.items()
            if not any(word in key for word in TIMES)
        }
    if isinstance(content, list):
        return [_without_times(value) for value in content]
    return content


def unfinished(folder: Path) -> list[str]:
    """Return the files and folders below a folder that were being written."""
    names = [str(path.relative_to(folder)) for path in folder.rglob("*")]
    return [
        name
        for name in names
        if re.search(r"\.(part|building|partial|\d+)$", name) and "tfevents" not in name
    ]


def can_mount() -> bool:
    """Return whether this process can have a private mount of its own."""
    return os.geteuid() == 0 and bool(in_own_mounts(lambda: True, quiet=True))


def in_own_mounts(work: Callable[[], Any], quiet: bool = False) -> Any:
    """Call a function in a fork whose mounts nobody else sees, and return its result.

    Its mounts are gone when it returns, however it ends.

    Args:
        work: returns JSON.
        quiet: return None if the system refuses, in place of an AssertionError.
    """
    answer = os.memfd_create("answer")
    child = os.fork()
    if child == 0:
        code = 1
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.unshare(CLONE_NEWNS) == 0:
                subprocess.run(["mount", "--make-rprivate", "/"], check=True)
                os.write(answer, json.dumps(work()).encode())
                code = 0
        except BaseException:
            if not quiet:
                traceback.print_exc()
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    text = _content(answer)
    if status and quiet:
        return None
    assert status == 0, "the fork with its own mounts failed"
    return json.loads(text)


def give_up_capabilities() -> None:
    """Make the permissions of files hold for this process, also if it is root's.

    Source: the manual page capset(2).
    """
    version_3, this_process = 0x20080522, 0
    header = (ctypes.c_uint32 * 2)(version_3, this_process)
    none = (ctypes.c_uint32 * 6)()  # effective, permitted and inheritable, twice 32 of them
    if ctypes.CDLL(None, use_errno=True).capset(header, none):
        raise OSError(ctypes.get_errno(), "capset")


def mount(place: Path, options: str, kind: str = "tmpfs") -> None:
    """Mount a file system in the memory, or change the options of one."""
    place.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", kind, "-o", options, kind, str(place)], check=True)


def unmount(place: Path) -> None:
    """Unmount a file system, even if a process still uses it."""
    subprocess.run(["umount", "-l", str(place)], check=True)
