"""Results as tables for Python: one row per trial, or a comparison. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fewshot.errors import UserError
from fewshot.evaluation import paired_tests
from fewshot.report.episodic.groups import Group
from fewshot.runs import records
from fewshot.runs.episodic.record import EpisodesRecord
from fewshot.runs.run_record import RunRecord

if TYPE_CHECKING:
    from pandas import DataFrame

RUN_COLUMNS = (
    "run_id",
    "method",
    "preset",
    "backbone",
    "weights",
    "data",
    "shots",
    "fraction",
    "labels",
)


def load_records(*places: str | Path) -> DataFrame:
    """Load the results of runs as a table with one row per trial.

    Args:
        *places: record files, run folders, or folders of them; by default "runs".

    Returns:
        A DataFrame with the columns run_id, method, preset, backbone, weights, data, shots,
        fraction, labels, seed, one column per score, seconds and feature_seconds (means over the
        run's trials).

    Raises:
        UserError: if a place does not exist or holds no record.
    """
    from pandas import DataFrame

    paths = [Path(place) for place in places or ("runs",)]
    rows: list[dict[str, Any]] = []
    for _, record in records.load(paths):
        rows += _trials(record)
    return DataFrame(rows)


def _trials(record: RunRecord) -> list[dict[str, Any]]:
    """Return one row per trial of a record."""
    shared = {name: getattr(record, name) for name in RUN_COLUMNS}
    rows = []
    for position, seed in enumerate(record.seeds):
        scores = {name: score.values[position] for name, score in record.scores.items()}
        cost = {"seconds": record.cost.seconds, "feature_seconds": record.cost.feature_seconds}
        rows.append({**shared, "seed": seed, **scores, **cost})
    return rows


def compare(*results: RunRecord | EpisodesRecord) -> DataFrame:
    """Compare results of one regime on the same task or on identical tasks, the best first.

    The difference to the best is paired: it is the mean, over common seeds, of the difference
    between two trials, and in the episodic regime the mean over tasks.

    Args:
        *results: records of `run` on the same data and with the same labels, or records of
            `episodes` on identical tasks.

    Returns:
        A DataFrame with one row per record: method, system (what ran), preset, backbone, accuracy,
        ci95 (half width of the 95% interval over trials or tasks, on these images), n (trials or
        tasks), difference (to the best), difference_ci95, p (of the difference, corrected for all
        pairs of the records by Holm's method; missing for the best, and for fewer than three common
        trials), seconds (per trial without features, missing in old records that do not
        separate them; or of the evaluation of all tasks).

        For `run` also low and high, the ends of the 95% interval with the test images as a sample.
        For `episodes` also transductive, weights, and without_replacement,
        without_replacement_ci95 and without_replacement_n: the accuracy over tasks without a common
        image, half of its interval, and the number of these tasks; missing where there are none.

    Raises:
        UserError: if something is not a record, the records are of both regimes or of different
            tasks, or a run has no seed in common with the best.
    """
    others = [one for one in results if not isinstance(one, RunRecord | EpisodesRecord)]
    if others or not results:
        what = f"a {type(others[0]).__name__}" if others else "nothing"
        raise UserError(f"compare expects records, as in compare(*records), not {what}.")
    runs = [result for result in results if isinstance(result, RunRecord)]
    episodic = [result for result in results if isinstance(result, EpisodesRecord)]
    if runs and episodic:
        raise UserError(
            f"run {runs[0].run_id} ({runs[0].name}) is of the low-data regime and run "
            f"{episodic[0].run_id} ({episodic[0].name}) of the episodic one: compare the runs of "
            "each regime alone."
        )
    return _on_identical_tasks(episodic) if episodic else _on_one_task(runs)


def _on_one_task(results: Sequence[RunRecord]) -> DataFrame:
    from pandas import DataFrame

    tasks = {
        (
            result.images,
            result.shots,
            tuple(sorted(result.class_shots.items())),
            result.fraction,
        )
        for result in results
    }
    if len(tasks) != 1:
        raise UserError(
            "compare needs runs on the same data with the same number of labels; "
            f"these are {len(tasks)} different tasks."
        )
    ordered = sorted(results, key=lambda result: -result.scores["accuracy"].mean)
    best = ordered[0]
    pairs = paired_tests.AllPairs([[record.by_seed() for record in ordered]])
    rows = []
    for position, record in enumerate(ordered):
        difference = pairs.difference(position, 0)
        if difference.n == 0:
            raise UserError(
                f"runs {best.run_id} ({best.method}) and {record.run_id} ({record.method}) have no "
                f"seed in common ({_seeds(best)} and {_seeds(record)}), so their difference is not "
                "paired: run both with the same --seeds."
            )
        low, high = record.scores["accuracy"].with_test_images(record.n_test)
        rows.append(
            {
                "method": record.method,
                "system": record.name,
                "preset": record.preset,
                "backbone": record.backbone,
                "accuracy": record.scores["accuracy"].mean,
                "ci95": record.scores["accuracy"].ci95,
                "low": low,
                "high": high,
                "n": len(record.seeds),
                "difference": difference.mean,
                "difference_ci95": difference.half,
                "p": difference.p,
                "seconds": record.cost.seconds,
            }
        )
    return DataFrame(rows)


def _seeds(record: RunRecord) -> str:
    return f"seed{'' if len(record.seeds) == 1 else 's'} {', '.join(map(str, record.seeds))}"


def _on_identical_tasks(results: Sequence[EpisodesRecord]) -> DataFrame:
    from pandas import DataFrame

    group = Group(results)
    rows = []
    for position, record in enumerate(group.records):
        difference, apart = group.difference(position, 0), record.without_replacement
        rows.append(
            {
                "method": record.method,
                "system": record.name,
                "transductive": record.transductive,
                "preset": record.preset,
                "backbone": record.backbone,
                "weights": record.weights,
                "accuracy": record.accuracy.mean,
                "ci95": record.accuracy.ci95,
                "n": record.accuracy.n,
                "without_replacement": None if apart is None else apart.mean,
                "without_replacement_ci95": None if apart is None else apart.ci95,
                "without_replacement_n": None if apart is None else apart.n,
                "difference": difference.mean,
                "difference_ci95": difference.half,
                "p": difference.p,
                "seconds": record.cost.evaluation_seconds,
            }
        )
    return DataFrame(rows)
