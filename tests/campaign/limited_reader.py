"""A process that reads bad files for a test: watched, with bounded memory, replaced if it dies.

The test sends a job, which is a function of this module's users and its arguments. The reply says
how it ended, and what it took.
"""

from __future__ import annotations

import contextlib
import io
import logging
import multiprocessing
import resource
import sys
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

MEMORY = 4 << 30  # bytes that a job may take beyond what the process has
CPU_SECONDS = 10.0  # of one job
WALL_SECONDS = 300.0  # after which a job is stuck, also on a slow machine
Job = Callable[..., str]


class Reply(NamedTuple):
    """How a job ended.

    Attributes:
        outcome: what it returned, or the first line of the user's error; empty after a fault.
        fault: what must not happen: a traceback, a crash or too much time; empty if nothing did.
        seconds: processor time.
        memory_mb: peak of the resident memory.
    """

    outcome: str
    fault: str = ""
    seconds: float = 0.0
    memory_mb: float = 0.0


class LimitedReader:
    """Runs jobs in another process; use it in a `with` statement.

    Attributes:
        longest: the most processor seconds of a job.
        most_memory_mb: the highest peak of the resident memory of a job.
    """

    def __init__(self) -> None:
        self.longest, self.most_memory_mb = 0.0, 0.0
        self._start()

    def __enter__(self) -> LimitedReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def run(self, job: Job, *arguments: object, seconds: float = CPU_SECONDS) -> Reply:
        """Run a job in the other process and return how it ended."""
        self.pipe.send((job, arguments))
        try:
            if not self.pipe.poll(WALL_SECONDS):
                self._end()
                self._start()
                return Reply("", f"no end after {WALL_SECONDS:.0f} s")
            reply: Reply = self.pipe.recv()
        except (EOFError, ConnectionError):
            self.process.join(10)
            code = self.process.exitcode
            self._start()
            return Reply("", f"the process died with the code {code}")
        self.longest = max(self.longest, reply.seconds)
        self.most_memory_mb = max(self.most_memory_mb, reply.memory_mb)
        if not reply.fault and reply.seconds > seconds:
            return reply._replace(fault=f"took {reply.seconds:.1f} s of processor time")
        return reply

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=_serve, args=(other,), daemon=True)
        self.process.start()
        other.close()

    def _end(self) -> None:
        self.pipe.close()
        self.process.kill()
        self.process.join(10)


def command(*arguments: str) -> str:
    """Run a command of `fewshot` in this process and return how it ended; a job.

    Raises:
        AssertionError: it ended as no command must.
    """
    from fewshot.cli.main import main

    out, err = io.StringIO(), io.StringIO()
    argv, sys.argv = sys.argv, ["fewshot", *arguments]
    logging.getLogger("fewshot").handlers.clear()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as ending:
        code = ending.code or 0
    finally:
        sys.argv = argv
    lines = err.getvalue().splitlines()
    assert "Traceback" not in err.getvalue(), err.getvalue()
    assert code in (0, 2), f"exit code {code}: {lines[-1:]}"
    if code == 2:
        assert lines, "no sentence"
        assert_one_sentence(lines[-1])
        return "exit code 2, one sentence"
    skips = any("skipped" in line or "left out" in line for line in lines)
    return "done, with a named skip" if skips else "done"


def assert_one_sentence(text: str) -> None:
    """Fail if a message to the user is not a line of text that ends."""
    assert text.strip(), "an empty message"
    assert "\n" not in text, f"several lines: {text!r}"
    assert "Traceback" not in text
    assert len(text) < 3000, f"{len(text)} characters: {text[:200]!r}"
    assert text.isprintable(), f"control characters: {text!r}"


def _serve(pipe: Connection) -> None:
    """Run jobs until the other side closes."""
    import torch

    import fewshot.api  # noqa: F401  # what jobs need, so that their memory is not measured

    torch.set_num_threads(1)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    with contextlib.suppress(EOFError):
        while True:
            job, arguments = pipe.recv()
            pipe.send(_done(job, arguments))


def _done(job: Job, arguments: tuple[object, ...]) -> Reply:
    from episodes.datasets.names import readable_line
    from fewshot.errors import UserError

    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    outcome, fault = "", ""
    start = time.process_time()
    try:
        outcome = job(*arguments)
    except UserError as error:
        outcome = "exit code 2, one sentence"
        try:
            assert_one_sentence(readable_line(str(error)))  # as the command line prints it
        except AssertionError as wrong:
            fault = str(wrong)
    except BaseException as error:
        where = traceback.format_exc(limit=-4)
        fault = f"{type(error).__name__}: {str(error)[:200]}\n{where}"
    seconds = time.process_time() - start
    status = Path("/proc/self/status").read_text().split("VmHWM:")[1]
    return Reply(outcome, fault, seconds, int(status.split()[0]) / 1024)
