"""Oracle: Python's rules of exceptions; code that handles UserError also handles its kinds."""

import pytest

from episodes.errors import NoClasses, NotHere, UserError


def test_a_missing_resource_is_a_user_error():
    with pytest.raises(UserError, match="no such file"):
        raise NotHere("no such file")
    assert issubclass(NoClasses, UserError)


def test_user_errors_are_not_mistaken_for_programming_errors():
    assert not issubclass(UserError, ValueError | RuntimeError | OSError)
