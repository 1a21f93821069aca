"""The errors that are meant for the user: a sentence naming what is wrong and the remedy."""


class UserError(Exception):
    """Bad input or a missing resource; its text is shown as it is and the process exits with code 2."""


class NotHere(UserError):
    """What a run needs is not on this machine and cannot be fetched now: a data set, or published weights."""
