"""Show progress and messages on stderr, and end an interrupted command in one line."""

from __future__ import annotations

import atexit
import codecs
import io
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from episodes.datasets.names import readable, readable_line
from fewshot import progress

# What is printed where an encoding lacks a character: plus-minus, times, dashes, dots and so on.
PLAINER = {
    "\xb1": "+-",
    "\xd7": "x",
    "\u2013": "-",
    "\u2014": "-",
    "\u2026": "...",
    "\u2192": "->",
    "\u2264": "<=",
    "\u2265": ">=",
}
REPEAT_SECONDS = 0.05  # until a lost Ctrl-C is repeated
INTERVAL_SECONDS = 5.0  # between two lines of progress where stderr is no terminal


def replace_closed_streams() -> None:
    """Open what stands for standard input, output and errors where a shell closed one (`2>&-`).

    The next file that the command opened would otherwise become, say, its standard error, and
    messages would be written into it.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            stream = open(number, mode, encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)


def never_fail_to_print() -> None:
    """Make stdout and stderr replace what the encoding of the terminal or file does not have.

    A finished run would otherwise end in a traceback over a character of a class name.
    """
    codecs.register_error("fewshot", _replaced)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="fewshot")


def _replaced(error: UnicodeError) -> tuple[bytes, int]:
    """Return what is printed instead of characters that cannot be encoded, and where to go on."""
    assert isinstance(error, UnicodeEncodeError)
    letters = readable(error.object[error.start : error.end])
    printed = [_printable(letter, error.encoding) for letter in letters]
    return b"".join(printed), error.end


def _printable(letter: str, encoding: str) -> bytes:
    try:
        return letter.encode(encoding)
    except UnicodeEncodeError:
        return PLAINER.get(letter, "?").encode(encoding)


class _StderrHandler(logging.Handler):
    """Print messages to whatever stderr is at that moment, so that a status line stays intact."""

    def emit(self, record: logging.LogRecord) -> None:
        print(readable_line(self.format(record)), file=sys.stderr, flush=True)


def install_log_handler() -> None:
    """Print the messages of the logger `fewshot` to stderr, once even if called twice."""
    logger = logging.getLogger("fewshot")
    if not any(isinstance(handler, _StderrHandler) for handler in logger.handlers):
        logger.addHandler(_StderrHandler())
        logger.setLevel(logging.INFO)


def take_termination_as_ctrl_c() -> None:
    """Make SIGTERM end a command as Ctrl-C does, so that it stops what it started.

    Schedulers of clusters send it before they end a job. Python alone would end at once, and leave
    processes and temporary files. SIGHUP, which a closed terminal sends, does the same, unless
    `nohup` has turned it off.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    hang_up = getattr(signal, "SIGHUP", None)  # Windows has none
    if hang_up is not None and signal.getsignal(hang_up) is signal.SIG_DFL:
        signal.signal(hang_up, lambda *_: signal.raise_signal(signal.SIGTERM))


def ignore_signals_at_exit() -> None:
    """Make the end of Python, which takes a moment with torch, ignore SIGINT and SIGTERM.

    The command is over by then, and its exit code is to say how it ended.
    """
    atexit.unregister(_ignore_signals)  # to be registered once, and as the last, which runs first
    atexit.register(_ignore_signals)


def _ignore_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def never_lose_an_interruption() -> None:
    """Repeat a Ctrl-C that Python ignores because it arrived while an object was removed.

    A server or a training would otherwise go on as if nothing had happened.
    """
    before = sys.unraisablehook

    def hook(ignored: sys.UnraisableHookArgs) -> None:
        if ignored.exc_type is not None and issubclass(ignored.exc_type, KeyboardInterrupt):
            repeat = threading.Timer(REPEAT_SECONDS, os.kill, [os.getpid(), signal.SIGINT])
            repeat.daemon = True
            repeat.start()
        else:
            before(ignored)

    sys.unraisablehook = hook


def is_interruption(error: BaseException) -> bool:
    """Return whether an error is a Ctrl-C, or one that Python 3.11 made of it in a class's body."""
    return isinstance(error, KeyboardInterrupt) or isinstance(error.__cause__, KeyboardInterrupt)


def is_follower() -> bool:
    """Return whether torchrun started this process as one of several, and not as rank 0."""
    return os.environ.get("RANK", "0") != "0"


@contextmanager
def work(quiet: bool, resumes: bool = True) -> Iterator[None]:
    """Show the progress of the block on stderr; Ctrl-C ends it in one line, with exit code 130.

    On a terminal the progress is one line that changes; elsewhere it is a line every few seconds.

    Args:
        quiet: show no progress.
        resumes: whether the same command goes on where it was interrupted.
    """
    try:
        with _shown(quiet or is_follower()):
            yield
    except (KeyboardInterrupt, RuntimeError) as error:
        if not is_interruption(error):
            raise
        if not is_follower():
            remedy = "the same command resumes" if resumes else "nothing was written"
            print(f"fewshot: interrupted; {remedy}.", file=sys.stderr)
        raise typer.Exit(130) from None


@contextmanager
def _shown(quiet: bool) -> Iterator[None]:
    if quiet:
        with progress.shown_by(None):
            yield
    elif sys.stderr.isatty():
        with _status_line():
            yield
    else:
        with progress.shown_by(_Lines()):
            yield


@contextmanager
def _status_line() -> Iterator[None]:
    from rich.console import Console

    status = Console(stderr=True).status("")

    def show(text: str) -> None:
        status.start()  # not before the first text, because decoding images has its own bar
        status.update(readable_line(text))

    try:
        with progress.shown_by(show):
            yield
    finally:
        status.stop()


class _Lines:
    """Print a text, unless the last one was printed less than `INTERVAL_SECONDS` ago."""

    def __init__(self) -> None:
        self.printed_at = float("-inf")

    def __call__(self, text: str) -> None:
        now = time.monotonic()
        if now - self.printed_at > INTERVAL_SECONDS:
            print(readable_line(text), file=sys.stderr, flush=True)
            self.printed_at = now
