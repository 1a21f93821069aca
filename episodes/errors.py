"""Errors that are meant for the user, and those that damaged files raise."""

import tokenize
import zipfile
import zlib

# What NumPy raises for a damaged .npy or .npz file, or one without an array.
DAMAGED_ARRAYS = (
    *(OSError, EOFError, LookupError, ValueError, TypeError, RuntimeError, SyntaxError),
    *(MemoryError, OverflowError, zipfile.BadZipFile, zlib.error, tokenize.TokenError),
)
# What Python raises for damaged JSON, also for lists inside each other without end.
DAMAGED_JSON = (ValueError, RecursionError)


class UserError(Exception):
    """Report bad input or a missing resource.

    The message is one sentence that names the problem and the remedy. The command line prints it
    without a traceback and exits with code 2.
    """


class NoClasses(UserError):
    """Report a folder that has neither class folders nor a table or arrays with labels."""


class NotHere(UserError):
    """Report a data set or a weight file that is not on this machine and cannot be fetched now."""
