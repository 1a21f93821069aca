"""Find stale results of a sweep: those whose settings would give another run today.

A result is stale if the run id of its settings, computed anew, differs from the id of the run that
it came from. The id is a hash of the preset's settings, the content of the weights, the fingerprint
of the data, and the versions of the code's results. A vote is stale if one of its voters is.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from fewshot import io
from fewshot.errors import NotHere, UserError, one_line
from fewshot.runs import records
from fewshot.runs.run_record import RunRecord
from fewshot.studies.results import Result, ResultStore, listed_stale, stale_file
from fewshot.studies.schema import Row

WITH_RUNS = ("grid", "episodes", "search")  # kinds of rows whose cells are runs
Key = tuple[str, str, str]  # study, row and cell of a result

log = logging.getLogger("fewshot")


class Checked(NamedTuple):
    """The outcome of a check: the stale results, and the unchecked ones with the reason."""

    stale: dict[Key, Result]
    unchecked: dict[Key, str]


def is_stale(result: Result) -> bool:
    """Return whether a finished result came from another run than its settings give now.

    Raises:
        NotHere: the data or the weights are not on this machine.
        UserError: the settings are no longer possible.
    """
    settings = result["settings"]
    if settings.get("regime") == records.EPISODIC:
        from fewshot.runs.episodic.resolve import Sources
        from fewshot.runs.episodic.resolve import resolve as resolve_episodes

        resolved = resolve_episodes(settings, Path(), sources=Sources())
        return resolved.run_id != result["run"]
    from fewshot.runs import resolve

    return resolve.run_id_of(settings) != result["run"]


def check(rows: Sequence[Row], store: ResultStore) -> Checked:
    """Check every finished result of these rows, except measurements that are not runs."""
    stale: dict[Key, Result] = {}
    unchecked: dict[Key, str] = {}
    for row in rows:
        for result in _finished(row, store) if row.kind in WITH_RUNS else ():
            try:
                if is_stale(result):
                    stale[_key(result)] = result
            except NotHere as error:
                unchecked[_key(result)] = f"not on this machine ({one_line(error)})"
            except UserError as error:
                unchecked[_key(result)] = one_line(error)
    stale_runs = {result["run"] for result in stale.values()}
    for row in rows:
        for result in _finished(row, store) if row.kind == "vote" else ():
            if _voters(result) & stale_runs:
                stale[_key(result)] = result
    return Checked(stale, unchecked)


def _finished(row: Row, store: ResultStore) -> list[Result]:
    """Return the results that are done with the settings that the study file has now."""
    return [one for one in store.current_results_of(row) if one["status"] == "done"]


def _key(result: Result) -> Key:
    return result["study"], result["row"], result["cell"]


def _voters(result: Result) -> set[str | None]:
    record = result["record"]
    members = RunRecord.from_json(record).members if record and "members" in record else None
    return {member.run_id for member in members or ()}


def write_lists(rows: Sequence[Row], store: ResultStore, checked: Checked) -> None:
    """Update the list of stale results of each study, which its page shows.

    Listed results that were not checked, or belong to other rows, stay in the list.
    """
    for study in {row.study for row in rows}:
        names = {row.name for row in rows if row.study == study}
        unchecked = {f"{row}/{cell}" for name, row, cell in checked.unchecked if name == study}
        before = listed_stale(store.results_folder, study, store.scale)
        after = {
            place: run
            for place, run in before.items()
            if place.partition("/")[0] not in names or place in unchecked
        }
        for (name, row_name, cell), result in checked.stale.items():
            if name == study:
                after[f"{row_name}/{cell}"] = result["run"] or ""
        file = stale_file(store.results_folder, study, store.scale)
        if not after:
            file.unlink(missing_ok=True)
        elif after != before:
            io.make_folder(file.parent)
            io.write_json(file, dict(sorted(after.items())))


def report(checked: Checked, store: ResultStore) -> int:
    """Name stale results and count those that were not checked, in messages.

    Returns:
        1 if a stale result is not in the list of its study, so that its page does not name it;
        otherwise 0.
    """
    unlisted = 0
    for (study, row, cell), result in checked.stale.items():
        listed = listed_stale(store.results_folder, study, store.scale)
        is_listed = listed.get(f"{row}/{cell}") == result["run"]
        unlisted += not is_listed
        remedy = "" if is_listed else "; the page does not say so: run fewshot sweep --status"
        log.warning(f"{study}/{row} {result['label']}: stale, its run was {result['run']}{remedy}")
    for reason, number in Counter(checked.unchecked.values()).items():
        settings = "1 setting" if number == 1 else f"{number} settings"
        log.warning(f"{settings} not checked: {reason}")
    return 1 if unlisted else 0
