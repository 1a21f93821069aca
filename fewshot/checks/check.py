"""Check a data set for faults before anything is learned from it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from episodes.datasets import decoded_parts
from fewshot import config, progress
from fewshot.checks import (
    appearance,
    balance,
    label_errors,
    near_copies,
    outliers,
    reading,
    shortcuts,
)
from fewshot.checks.findings import Finding
from fewshot.checks.inspected import Inspected
from fewshot.checks.kinds import KINDS
from fewshot.checks.report import Report, sorted_findings
from fewshot.errors import UserError

APPEARANCE = ("broken", "low information", "blurry", "dark", "light", "grey", "odd aspect", "tiny")
WITHIN = ("exact copy", "near copy", "same image in two classes")
ACROSS = ("copy in the test set",)


class Search(NamedTuple):
    """A search for faults.

    Attributes:
        words: what is searched for, for the line of progress.
        kinds: the kinds of faults that it may find.
        find: the data and the test set, or None -> the faults.
        of_classes: whether it needs two classes.
    """

    words: str
    kinds: tuple[str, ...]
    find: Callable[[Inspected, Inspected | None], list[Finding]]
    of_classes: bool = False


def _in_both(
    find: Callable[[Inspected], list[Finding]],
) -> Callable[[Inspected, Inspected | None], list[Finding]]:
    """Return a search in the data that also searches the test set for itself."""

    def search(data: Inspected, test: Inspected | None) -> list[Finding]:
        return find(data) + ([] if test is None else [_of_test_set(one) for one in find(test)])

    return search


def _in_data(
    find: Callable[[Inspected], list[Finding]],
) -> Callable[[Inspected, Inspected | None], list[Finding]]:
    """Return a search in the data alone."""
    return lambda data, test: find(data)


def _copies(data: Inspected, test: Inspected | None) -> list[Finding]:
    """Return copies within the data, among data and test set, and within the test set."""
    within_test = [] if test is None else near_copies.find(test)
    return near_copies.find(data, test) + list(map(_of_test_set, within_test))


SEARCHES = (
    Search("how images look", APPEARANCE, _in_both(appearance.find)),
    Search("copies", WITHIN + ACROSS, _copies),
    Search("labels", (label_errors.KIND,), _in_both(label_errors.find), of_classes=True),
    Search("images of no class", (outliers.KIND,), _in_both(outliers.find), of_classes=True),
    Search("balance", (balance.FEW, balance.UNEQUAL), _in_data(balance.find), of_classes=True),
    Search("shortcuts", (shortcuts.KIND,), _in_data(shortcuts.find), of_classes=True),
)


def check(
    data: str,
    against: str | None = None,
    *,
    only: Sequence[str] | None = None,
    device: str | None = None,
) -> Report:
    """Check a data set: its files, copies, labels, and what else may spoil results.

    Args:
        data: a folder of images, with or without a folder for each class; a table; or the name of
            a data set. Its training part is checked.
        against: the test images that the data must not contain; None for the test part of the data
            if there is one.
        only: kinds of faults to search for; None for all.
        device: cpu, cuda and so on; None for a GPU if there is one.

    Raises:
        UserError: the data is missing or broken, or there is no such kind.
    """
    started = time.perf_counter()
    asked = _kinds(only)
    side = decoded_parts.side_of(data)
    with_features = not asked.issubset(APPEARANCE)
    parts = reading.read(data, device=device, with_features=with_features, side=side)
    own, test = parts[0], parts[1] if len(parts) == 2 else None
    if against is not None:
        test = reading.read(against, device=device, with_features=with_features, side=side)[-1]
    findings: list[Finding] = []
    for search in SEARCHES:
        is_possible = len(own.classes) > 1 or not search.of_classes
        if is_possible and asked.intersection(search.kinds):
            progress.update(f"checking {search.words}")
            findings += search.find(own, test)
    chosen = [finding for finding in findings if finding.kind in asked]
    return Report(own, test, sorted_findings(chosen), time.perf_counter() - started)


def _of_test_set(finding: Finding) -> Finding:
    """Return a finding of the test set alone as one of the comparison."""
    return finding._replace(
        places=tuple(place._replace(part="against") for place in finding.places)
    )


def _kinds(only: Sequence[str] | None) -> frozenset[str]:
    if only is None:
        return frozenset(KINDS)
    for kind in only:
        if kind not in KINDS:
            raise UserError(
                f"there is no kind of fault {kind!r}; {config.nearest(kind, list(KINDS))}"
            )
    return frozenset(only)
