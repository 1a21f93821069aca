"""From the words of `fewshot episodes` to requests; imports nothing heavy."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fewshot import config
from fewshot.errors import UserError
from fewshot.runs.episodic.requests import combinations

USAGE = "as in fewshot episodes --method nearest-mean --shots 1,5."

# Sections of a file that belong to its method, and have no meaning for another.
OF_A_METHOD = ("preset", "backbone", "learner", "head", "train", "augment", "append")


def requests(
    file: Path | None,
    sets: Sequence[str],
    *,
    method: str | None,
    ways: str | None,
    shots: str | None,
    balance: str | None,
    tasks: Mapping[str, Any],
    train: bool,
    **flags: Any,
) -> list[dict[str, Any]]:
    """Return the settings of every run: the file, flags on top, `--set` on top of both.

    Args:
        file: YAML file of settings, or a run's config.yaml.
        sets: words such as `head.features=UN`.
        method: names of methods, separated by commas.
        ways, shots, balance: values of these settings, separated by commas; None if not given.
        tasks: other settings of the tasks; None if not given.
        train: whether to meta-train.
        **flags: settings by name; None if not given. `weights` is the backbone's.

    Raises:
        UserError: no method is named, or a number is wrong.
    """
    settings = config.read(file) if file is not None else {}
    settings.pop("compute", None)  # how the machine of a finished run computed
    given = {name: value for name, value in flags.items() if value is not None}
    names = (("backbone", "name"), ("weights", "weights"))
    backbone = {key: given.pop(flag) for flag, key in names if flag in given}
    if backbone:
        given["backbone"] = backbone
    of_tasks = {name: value for name, value in tasks.items() if value is not None}
    if of_tasks:
        given["tasks"] = of_tasks
    if train and not isinstance(settings.get("train"), Mapping):
        given["train"] = True
    of_file = settings.pop("method", None)
    methods = _words(method, "--method") or _words(of_file, "method")
    if methods not in ([], [of_file]):  # what belongs to the file's method alone
        settings = {key: value for key, value in settings.items() if key not in OF_A_METHOD}
    settings = config.overlay(config.overlay(settings, given), config.overrides(sets))
    if not methods:
        raise UserError(f"no method was named: use --method, {USAGE}")
    return combinations(
        settings,
        methods=methods,
        ways=_numbers(ways, "--ways"),
        shots=_numbers(shots, "--shots"),
        balances=_words(balance, "--balance"),
    )


def check_features(features: Path | None, base_features: Path | None) -> None:
    """Raise UserError for features of base classes without features of the tasks."""
    if base_features is not None and features is None:
        raise UserError(
            "--base-features belongs to --features: name the features of the tasks, too."
        )


def _words(text: Any, flag: str) -> list[str]:
    """Return the words of `a,b` without repeats; None is none."""
    words = [] if text is None else [word.strip() for word in str(text).split(",")]
    if not all(words):
        raise UserError(f"{flag} {text}: expected names separated by commas, {USAGE}")
    return list(dict.fromkeys(words))


def _numbers(text: str | None, flag: str) -> list[int]:
    """Return the numbers of `5,20` without repeats; None is none."""
    words = _words(text, flag)
    if not all(re.fullmatch(r"\d{1,9}", word) and int(word) > 0 for word in words):
        raise UserError(f"{flag} {text}: expected whole numbers of at least 1, {USAGE}")
    return [int(word) for word in words]
