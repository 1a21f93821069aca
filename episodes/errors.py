"""The one error that is meant for the user: a sentence naming what is wrong and the remedy."""


class UserError(Exception):
    """Bad input or a missing resource; its text is shown as it is and the process exits with code 2."""
