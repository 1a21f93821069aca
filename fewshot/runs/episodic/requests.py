"""One request for each combination of method, ways, shots and balance. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from fewshot import config


def combinations(
    values: Mapping[str, Any],
    *,
    methods: Sequence[str],
    ways: Sequence[int] = (),
    shots: Sequence[int] = (),
    balances: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """Return the settings of every run of a call, method by method.

    Args:
        values: what all runs share, as nested mappings.
        methods: names of the methods.
        ways, shots, balances: values of these settings of the tasks; none leaves a setting as it
            is in `values`.
    """
    axes: dict[str, Sequence[Any]] = {
        "method": methods,
        "tasks.ways": ways,
        "tasks.shots": shots,
        "tasks.balance": balances,
    }
    given = {key: some for key, some in axes.items() if some}
    return [
        config.overlay(values, dict(zip(given, chosen, strict=True)))
        for chosen in product(*given.values())
    ]
