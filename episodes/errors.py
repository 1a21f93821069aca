"""Errors that are meant for the user."""


class UserError(Exception):
    """Report bad input or a missing resource.

    The message is one sentence that names the problem and the remedy. The command line prints it
    without a traceback and exits with code 2.
    """


class NotHere(UserError):
    """Report a data set or a weight file that is not on this machine and cannot be fetched now."""
