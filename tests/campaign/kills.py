"""Kill commands at random moments, run them again to the end, and compare what they wrote."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import yaml
from filelock import FileLock, Timeout
from safetensors.numpy import load_file

from tests.campaign.conftest import Outcomes

ROOT = Path(__file__).parents[2]
LONGEST = 600.0  # seconds of a command that nothing disturbs
POLL = 0.01
SEARCH = 0.2  # seconds between two searches of all processes, which take processor time
INTERRUPTED = 130
# Keys of records whose values differ from run to run
VARYING = {
    "started", "finished", "commit", "dirty", "train_seconds", "adapt_seconds", "feature_seconds",
    "calibration_seconds", "meta_train_seconds", "images_per_second", "peak_memory_mb", "seconds",
    "evaluation_seconds",
}  # fmt: skip


class Process:
    """A command that the launcher started: a session of its own, whose processes can be killed.

    Args:
        launcher: what started it.
        pid: its process id, and its session's.
        files: the folder of its stdout, stderr and count of writes.
    """

    def __init__(self, launcher: Launcher, pid: int, files: Path) -> None:
        self.launcher, self.pid, self.files = launcher, pid, files
        self.returncode: int | None = None
        self.started: list[int] = []
        self.searched_at = float("-inf")

    def poll(self) -> int | None:
        """Return the exit code, or None while it runs; minus the signal that ended it."""
        if self.returncode is None and self.launcher.has_line():
            self.returncode = int(self.launcher.line())
        return self.returncode

    def wait(self, seconds: float = LONGEST) -> int:
        """Wait for its end and return the exit code.

        Raises:
            TimeoutError: it did not end; it and all that it started are killed.
        """
        deadline = time.monotonic() + seconds
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                self.launcher.kill_all()
                raise TimeoutError(f"it ran for more than {seconds:.0f} s: {self.stderr[-300:]}")
            time.sleep(POLL)
        return code

    def send(self, number: int, pids: Sequence[int] | None = None) -> None:
        """Send a signal to these processes, by default to the command's process group."""
        with suppress(ProcessLookupError):
            if pids is None:
                os.killpg(self.pid, number)
            for pid in pids or ():
                os.kill(pid, number)

    @property
    def cpu_seconds(self) -> float:
        """Processor time of the command and of all that it started, as far as it lives."""
        if time.monotonic() - self.searched_at > SEARCH:
            self.started, self.searched_at = self.launcher.started(), time.monotonic()
        return sum(map(cpu_seconds, {self.pid, *self.started}))

    @property
    def stdout(self) -> str:
        return (self.files / "stdout").read_text(errors="replace")

    @property
    def stderr(self) -> str:
        return (self.files / "stderr").read_text(errors="replace")

    @property
    def writes(self) -> int:
        """How often it has opened a file to write, renamed or removed one, or made a folder."""
        return int((self.files / "writes").read_text() or 0)


class Launcher:
    """Start commands, one after the other, by forking a process that has loaded the libraries."""

    def __enter__(self) -> Self:
        words = [sys.executable, "-m", "tests.campaign.launcher"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            words, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.read = b""
        assert self.process.stdout is not None
        os.set_blocking(self.process.stdout.fileno(), False)
        assert self._waited_line() == "ready"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill_all()
        self.process.kill()
        self.process.communicate()

    def start(
        self,
        words: Sequence[str],
        folder: Path,
        *,
        is_fewshot: bool = True,
        environment: Mapping[str, str] | None = None,
        ends_before_write: int | None = None,
    ) -> Process:
        """Start a command; the one before must have ended.

        Args:
            words: the arguments of `fewshot`, or a whole command line.
            folder: its working directory; its cache is in it.
            is_fewshot: whether the words are arguments of `fewshot`.
            environment: more variables.
            ends_before_write: kill the process with SIGKILL just before this write to a file.
        """
        files = folder / ".command"
        shutil.rmtree(files, ignore_errors=True)
        files.mkdir()
        streams = {"stdout": str(files / "stdout"), "stderr": str(files / "stderr")}
        for name in ("writes", "stdout", "stderr"):
            (files / name).touch()
        request = {
            "words": list(words),
            "folder": str(folder),
            "is_fewshot": is_fewshot,
            "environment": {"FEWSHOT_CACHE": str(folder / "cache"), **(environment or {})},
            "stdin": os.devnull,
            **streams,
            "writes_file": str(files / "writes"),
            "ends_before_write": ends_before_write,
        }
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()
        return Process(self, int(self._waited_line()), files)

    def started(self) -> list[int]:
        """Return all processes that commands started and that live, orphans included."""
        living = [self.process.pid]
        for ancestor in living:  # it grows while it is read
            living += [pid for pid in _children(ancestor) if _stat(pid)[:1] not in ([], ["Z"])]
        return living[1:]

    def kill_all(self) -> None:
        """Kill everything that commands started."""
        for pid in self.started():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def has_line(self) -> bool:
        assert self.process.stdout is not None
        self.read += self.process.stdout.read() or b""
        return b"\n" in self.read

    def line(self) -> str:
        line, _, self.read = self.read.partition(b"\n")
        return line.decode()

    def _waited_line(self) -> str:
        deadline = time.monotonic() + LONGEST
        while not self.has_line():
            assert time.monotonic() < deadline, "the launcher does not answer"
            time.sleep(POLL)
        return self.line()


def _children(pid: int) -> list[int]:
    """Return the processes that a process started, or whose parents it replaces; [] if it ended."""
    children: list[int] = []
    with suppress(OSError):  # it ends, or one of its threads does
        for task in Path(f"/proc/{pid}/task").iterdir():
            children += map(int, (task / "children").read_text().split())
    return children


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the state on; empty if the process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def cpu_seconds(pid: int) -> float:
    """Return the processor time of a process; 0 if it has ended."""
    stat = _stat(pid)
    return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK") if stat else 0.0


def name_of(pid: int) -> str:
    """Return the command line of a process; empty if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except OSError:
        return ""


def contents(folder: Path) -> dict[str, Any]:
    """Return path -> content of all results in a folder, without what differs from run to run.

    Leave out the cache, locks, what is asked for again from a record, and what the harness writes.

    Raises:
        Exception: whatever the reader of a file raises if it is half-written.
    """
    read: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        is_result = not name.startswith((".command", "cache")) and ".requests" not in path.parts
        if is_result and path.is_file() and path.suffix != ".lock":
            read[name] = content(path)
    return read


def content(path: Path) -> Any:
    """Return what a file holds, without times, as something that `==` compares."""
    match path.suffix:
        case ".json":
            return without_times(json.loads(path.read_text()))
        case ".jsonl":
            return [without_times(json.loads(line)) for line in path.read_text().splitlines()]
        case ".yaml":
            return yaml.safe_load(path.read_text())
        case ".npz":
            with np.load(path) as arrays:
                return {name: _as_bytes(arrays[name]) for name in arrays.files}
        case ".safetensors":
            return {name: _as_bytes(array) for name, array in load_file(path).items()}
    return path.read_bytes()


def _as_bytes(array: np.ndarray) -> tuple[str, tuple[int, ...], bytes]:
    return str(array.dtype), array.shape, array.tobytes()


def without_times(values: Any) -> Any:
    """Return a JSON value without the keys in `VARYING`, at any depth."""
    if isinstance(values, dict):
        return {key: without_times(one) for key, one in values.items() if key not in VARYING}
    return [without_times(one) for one in values] if isinstance(values, list) else values


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Return the files that only one of two folders has, or that are not equal."""
    names = sorted(one.keys() | other.keys())
    return [name for name in names if name not in one or one[name] != other.get(name)]


def remains(folder: Path) -> list[str]:
    """Return what a finished command should not have left: parts of files, and locks it holds."""
    left = [str(path.relative_to(folder)) for path in folder.rglob("*.part")]
    for path in folder.rglob("*.lock"):
        try:
            with FileLock(path, timeout=0):
                pass
        except Timeout:
            left.append(str(path.relative_to(folder)))
    return left


@dataclass(frozen=True)
class Undisturbed:
    """What a command does if nothing disturbs it."""

    result: Mapping[str, Any]
    seconds: float
    cpu_seconds: float
    writes: int


@dataclass
class Victim:
    """A command to kill.

    Args:
        name: what the counts call it.
        words: the arguments of `fewshot`, with paths relative to the attempt's folder; or a whole
            command line.
        prepare: what the attempt's folder needs before the command starts.
        result: what must be equal in the end, from the attempt's folder.
        is_fewshot: whether the words are arguments of `fewshot`.
        environment: more variables.
        exit_codes: with which it may end when it is disturbed, besides that of the signal.
        trouble: what it must not print.
        lingering: seconds after its end in which what it started may go on.
        says_done: what it says, with exit code 2, if a command that was killed had done its work.
    """

    name: str
    words: Sequence[str]
    prepare: Callable[[Path], None] = lambda folder: None
    result: Callable[[Path], Mapping[str, Any]] = contents
    is_fewshot: bool = True
    environment: Mapping[str, str] = field(default_factory=dict)
    exit_codes: tuple[int, ...] = ()
    trouble: str = "Traceback"
    lingering: float = 30.0
    says_done: str | None = None

    def start(self, launcher: Launcher, folder: Path, before_write: int | None = None) -> Process:
        return launcher.start(
            self.words,
            folder,
            is_fewshot=self.is_fewshot,
            environment=self.environment,
            ends_before_write=before_write,
        )

    def undisturbed(self, launcher: Launcher, folder: Path) -> Undisturbed:
        """Run the command once; it must succeed and leave nothing behind."""
        folder.mkdir()
        self.prepare(folder)
        began, process, used = time.monotonic(), self.start(launcher, folder), 0.0
        while process.poll() is None:
            used = max(used, process.cpu_seconds)
            time.sleep(POLL)
            assert time.monotonic() - began < LONGEST, self.name
        assert process.returncode == 0, process.stderr
        assert not remains(folder), remains(folder)
        seconds = time.monotonic() - began
        return Undisturbed(self.result(folder), seconds, used, process.writes)


@dataclass(frozen=True)
class Strike:
    """A signal at a random moment of a command's work.

    Args:
        number: the signal.
        targets: returns the processes that may get it, one of which does; None for all of the
            command's process group.
        times: how often it is sent.
        codes: how the command may end, besides with success.
    """

    number: int
    targets: Callable[[Process], list[int]] | None = None
    times: int = 1
    codes: tuple[int, ...] = ()

    def __call__(self, process: Process, whole: Undisturbed, luck: random.Random) -> bool:
        """Send it; return whether the command still ran then."""
        after_random_work(process, whole, luck)
        sent = 0
        while sent < self.times and process.poll() is None:
            pids = None if self.targets is None else self.targets(process)
            if pids != []:
                process.send(self.number, None if pids is None else [luck.choice(pids)])
                sent += 1
            time.sleep(POLL)
        return sent > 0

    def is_expected(self, process: Process) -> bool:
        """Return whether the command ended as a command does that gets this signal."""
        if process.returncode in (0, *self.codes):
            return True
        expected = -signal.SIGKILL if self.number == signal.SIGKILL else INTERRUPTED
        return process.returncode == expected


def whole_group(number: int, times: int = 1) -> Strike:
    """Return a strike that sends a signal to the command's process group."""
    return Strike(number, times=times)


def only_command(number: int) -> Strike:
    """Return a strike that sends a signal to the command alone, not to what it started."""
    return Strike(number, lambda process: [process.pid])


def one_named(number: int, *names: str, codes: tuple[int, ...] = ()) -> Strike:
    """Return a strike that sends a signal to one process that the command started.

    Args:
        number: the signal.
        names: parts of command lines, such as "ray::run_cell".
        codes: how the command may end, besides with success.
    """

    def named(process: Process) -> list[int]:
        started = process.launcher.started()
        return [pid for pid in started if any(name in name_of(pid) for name in names)]

    return Strike(number, named, codes=codes)


def after_random_work(process: Process, whole: Undisturbed, luck: random.Random) -> None:
    """Wait until the command has done a random share of its work, or has ended.

    The share is of processor time, so that the moment does not depend on other programs.
    """
    moment = luck.uniform(0, whole.cpu_seconds)
    while process.poll() is None and process.cpu_seconds < moment:
        time.sleep(POLL / 2)


@dataclass
class Campaign:
    """Attempts on one victim, each in a folder of its own.

    Args:
        victim: the command.
        launcher: what starts it.
        part: what counts the attempts.
        folder: where the attempts' folders are.
    """

    victim: Victim
    launcher: Launcher
    part: Outcomes
    folder: Path
    numbers: Iterator[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        self.whole = self.victim.undisturbed(self.launcher, self.folder / "undisturbed")

    def attempt(self, strikes: Sequence[Strike], luck: random.Random) -> None:
        """Disturb the command once for each strike, run it to the end and compare."""
        folder = self._new_folder()
        hits = []
        for strike in strikes:
            process = self.victim.start(self.launcher, folder)
            hits.append(strike(process, self.whole, luck))
            error = self._ended(process)
            is_expected = (
                strike.is_expected(process) or process.returncode in self.victim.exit_codes
            )
            if error is None and not is_expected:
                error = _end_of(process)
            if error is not None:
                return self.part.fail(f"{folder.name}: {error}")
        self._finish(folder, any(hits))
        return None

    def before_write(self, number: int) -> None:
        """Kill the command just before it writes to a file for the given time, and go on."""
        folder = self._new_folder()
        process = self.victim.start(self.launcher, folder, number)
        if error := self._ended(process):
            return self.part.fail(f"{folder.name}: {error}")
        self._finish(folder, process.returncode == -signal.SIGKILL)
        return None

    def _new_folder(self) -> Path:
        folder = self.folder / f"{self.victim.name.replace(' ', '-')}-{next(self.numbers)}"
        folder.mkdir()
        self.victim.prepare(folder)
        return folder

    def _ended(self, process: Process) -> str | None:
        """Wait for the end of a disturbed command; return what is wrong with the way it ended."""
        try:
            process.wait()
        except TimeoutError as error:
            return str(error)
        if self.victim.trouble in process.stderr:
            return f"it printed {self.victim.trouble}: {process.stderr[-900:]}"
        deadline = time.monotonic() + self.victim.lingering
        while names := [name_of(pid) for pid in self.launcher.started()]:
            if time.monotonic() > deadline:
                self.launcher.kill_all()
                return f"these processes went on: {'; '.join(names)[:300]}"
            time.sleep(SEARCH)
        return None

    def _finish(self, folder: Path, was_hit: bool) -> None:
        process = self.victim.start(self.launcher, folder)
        error = self._ended(process)
        says_done = self.victim.says_done
        is_done = process.returncode == 2 and says_done is not None and says_done in process.stderr
        if error is None and process.returncode != 0 and not is_done:
            error = f"it does not resume: {_end_of(process)}"
        if error is None and (left := remains(folder)):
            error = f"it left {', '.join(left)}"
        if error is None:
            unequal = differences(self.whole.result, self.victim.result(folder))
            error = f"not as undisturbed: {', '.join(unequal)}" if unequal else None
        if error is not None:
            return self.part.fail(f"{folder.name}: {error}")
        shutil.rmtree(folder)
        self.part.count("resumed, results identical" if was_hit else "ended before the signal")
        return None


def _end_of(process: Process) -> str:
    return f"it ended with exit code {process.returncode}: {process.stderr[-300:]}"
