"""Oracles: the XDG rule for cache folders, and the environment variables set by hand."""

from pathlib import Path

import pytest

from episodes.datasets import locations


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FEWSHOT_CACHE", "FEWSHOT_DATA", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/someone")


def test_without_variables_everything_is_in_the_home_folder() -> None:
    assert locations.user_cache() == Path("/home/someone/.cache/fewshot")
    assert locations.cache_root() == Path("/home/someone/.cache/fewshot")
    assert locations.data_root() == Path("/home/someone/.cache/fewshot/data")


def test_the_xdg_variable_moves_both_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/scratch")
    assert locations.cache_root() == Path("/scratch/fewshot")
    assert locations.data_root() == Path("/scratch/fewshot/data")


def test_our_variables_take_precedence_and_may_start_with_a_tilde(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/scratch")
    monkeypatch.setenv("FEWSHOT_CACHE", "~/images")
    monkeypatch.setenv("FEWSHOT_DATA", "~/data")
    assert locations.cache_root() == Path("/home/someone/images")
    assert locations.data_root() == Path("/home/someone/data")
