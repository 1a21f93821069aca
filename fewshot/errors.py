"""Errors that the command line explains in one sentence, without a traceback."""

from __future__ import annotations

from episodes.errors import NotHere as NotHere
from episodes.errors import UserError as UserError


class Diverged(Exception):
    """Report that the loss or a weight stopped being finite; the text says where."""


class Interrupted(KeyboardInterrupt):
    """Report Ctrl-C or a termination signal; the state is saved and the same command resumes."""
