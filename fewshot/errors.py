"""Errors that the command line explains in one sentence, without a traceback."""

from __future__ import annotations

from episodes.errors import NotHere as NotHere
from episodes.errors import UserError as UserError


def one_line(error: Exception, longest: int = 200) -> str:
    """Return the text of an error in one line, cut to so many characters."""
    return " ".join(str(error).split())[:longest]


class NotWritten(UserError):
    """Report that a file or folder cannot be made, so that no other result can be either."""


class Diverged(Exception):
    """Report that the loss or a weight stopped being finite; the text says where."""


class ProcessLost(Exception):
    """Report that a process of the work is gone; the same command resumes."""


class RaisedByMainProcess(UserError):
    """Report in the other processes of a training what rank 0 has raised, and reports itself."""


class Interrupted(KeyboardInterrupt):
    """Report Ctrl-C or a termination signal; the state is saved and the same command resumes."""
