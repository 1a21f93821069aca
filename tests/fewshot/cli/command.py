"""Run the command line in the process of the test."""

from __future__ import annotations

import sys

import pytest

from fewshot.cli import main

RUN = "run --data digits --shots 4 --seeds 1 --set precision=float32"


def fewshot(arguments: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run a command and return its exit code."""
    monkeypatch.setattr(sys, "argv", ["fewshot", *arguments.split()])
    with pytest.raises(SystemExit) as exit_info:
        main.main()
    return int(exit_info.value.code or 0)
