"""Oracles: Python's own rules of exceptions, and the classes of episodes.errors."""

import pytest

import episodes.errors
from fewshot import errors


def test_user_errors_are_those_of_episodes_so_one_handler_serves_both():
    assert errors.UserError is episodes.errors.UserError
    assert errors.NotHere is episodes.errors.NotHere
    assert issubclass(errors.NotHere, errors.UserError)


def test_an_error_of_several_lines_becomes_one_that_is_cut():
    error = RuntimeError("first line\n    second\tline ")
    assert errors.one_line(error) == "first line second line"
    assert errors.one_line(error, longest=5) == "first"


def test_a_diverged_training_is_not_the_users_mistake():
    assert not issubclass(errors.Diverged, errors.UserError)


def test_an_interruption_passes_handlers_of_ordinary_exceptions():
    def run() -> str:
        try:
            raise errors.Interrupted
        except Exception:
            return "handled"

    with pytest.raises(KeyboardInterrupt):
        run()
