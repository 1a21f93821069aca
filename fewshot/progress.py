"""Report what long work is doing: a status line that the caller displays.

Deep code calls `update` and does not know who listens. A command or a notebook displays the lines
with `shown_by`. Warnings and other messages that should stay visible go through
`logging.getLogger("fewshot")`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Show = Callable[[str], None]
SHOW_EVERY = 0.5  # seconds between two status lines on stderr

_show: ContextVar[Show | None] = ContextVar("show", default=None)
_prefix: ContextVar[str] = ContextVar("prefix", default="")


def update(text: str) -> None:
    """Replace the status line; without a listener, do nothing.

    Args:
        text: what is happening now, such as "step 20/400, loss 0.31".
    """
    show = _show.get()
    if show is not None:
        show(_prefix.get() + text)


def duration(seconds: float) -> str:
    """Return a duration in words, from "less than a second" to "3 h 20 min"."""
    if seconds < 1:
        return "less than a second"
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def is_shown() -> bool:
    """Return whether somebody displays the status line."""
    return _show.get() is not None


@contextmanager
def shown_by(show: Show | None) -> Iterator[None]:
    """Pass every status line inside the block to `show`; None silences the block."""
    token = _show.set(show)
    try:
        yield
    finally:
        _show.reset(token)


@contextmanager
def within(label: str) -> Iterator[None]:
    """Put a label such as "trial 2/5" and a colon before every status line inside the block."""
    token = _prefix.set(f"{_prefix.get()}{label}: ")
    try:
        yield
    finally:
        _prefix.reset(token)


@contextmanager
def on_stderr(quiet: bool) -> Iterator[None]:
    """Show the status line on stderr, where it is replaced as work goes on; not if `quiet`."""
    if quiet:
        yield
        return
    shown_at, width = 0.0, 0

    def show(text: str) -> None:
        nonlocal shown_at, width
        if time.monotonic() - shown_at < SHOW_EVERY:
            return
        shown_at = time.monotonic()
        sys.stderr.write("\r" + text.ljust(width))
        sys.stderr.flush()
        width = len(text)

    with shown_by(show):
        try:
            yield
        finally:
            if width:
                sys.stderr.write("\r" + " " * width + "\r")
                sys.stderr.flush()
