"""Report what long work is doing: a status line that the caller displays.

Deep code calls `update` and does not know who listens. A command or a notebook displays the lines
with `shown_by`. Warnings and other messages that should stay visible go through
`logging.getLogger("fewshot")`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Show = Callable[[str], None]

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
