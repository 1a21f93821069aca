"""Commands that run studies and report on finished runs: `sweep`, `report` and `inspect`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from fewshot.cli import common
from fewshot.cli.display import work

Scale = Annotated[
    str,
    typer.Option(
        help="smoke: seconds per row, to check that it runs; small: hours for everything; full: "
        "the report's own size."
    ),
]


def sweep(
    studies: Annotated[
        list[Path],
        typer.Argument(
            help="YAML files of study rows, folders of them, or names of packaged ones: kshot/K9."
        ),
    ],
    scale: Scale = "small",
    only: Annotated[
        str | None, typer.Option(help="Rows by name, such as K9,K10.", show_default="all")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would run, and for how long.")
    ] = False,
    show_status: Annotated[
        bool,
        typer.Option(
            "--status",
            help="Like --dry-run; also write the list of stale results that reports show.",
        ),
    ] = False,
    workers: Annotated[
        int, typer.Option(min=1, help="Runs at the same time; more than one needs Ray.")
    ] = 1,
    ray_address: Annotated[
        str | None, typer.Option(help="Address of a running Ray cluster that shares --out.")
    ] = None,
    shard: Annotated[
        str,
        typer.Option(help="i/n: only the i-th of every n runs, without votes and benchmarks."),
    ] = "1/1",
    device: common.Device = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder that holds the run folders; scale smoke has its own, so that no report "
            "shows its runs.",
            show_default="runs; smoke-runs at scale smoke",
        ),
    ] = None,
    results: Annotated[
        Path | None,
        typer.Option(help="Folder for the result of each setting.", show_default="OUT/studies"),
    ] = None,
    log: common.Log = None,
    quiet: common.Quiet = False,
) -> None:
    """Run the settings of studies that have no result yet; a failed run does not stop the others.

    A result is stale, and its setting runs again, if its preset, the shipped weights, the data or
    what the code computes has changed since. The exit code is 1 if a run failed. The same command
    resumes an interrupted sweep.

    Examples:

        fewshot sweep kshot --scale smoke
        fewshot sweep kshot/K9 my-studies/X1.yaml --dry-run
    """
    from fewshot.cli import arguments
    from fewshot.studies import staleness, status
    from fewshot.studies.results import ResultStore, row_statuses

    rows = arguments.rows(studies, only)
    part = arguments.shard(shard)
    scale = arguments.scale(scale)
    runs = out or arguments.runs_folder(scale)
    store = ResultStore(scale, runs, results or runs / "studies")
    checked = staleness.check(rows, store)
    if show_status:
        staleness.write_lists(rows, store, checked)
    statuses = row_statuses(rows, store, checked.stale)
    if dry_run or show_status:
        staleness.report(checked, store)
        print(status.text(statuses, scale))
        return
    from fewshot.training import curves

    board = status.Board(statuses, quiet)
    with work(quiet=True), board.live(), curves.sent_to(log):
        from fewshot.studies import sweep

        sweep.run(
            rows,
            store,
            device=device,
            workers=workers,
            address=ray_address,
            shard=part,
            on_cell=board.update,
        )
    checked = staleness.check(rows, store)
    staleness.write_lists(rows, store, checked)
    statuses = row_statuses(rows, store, checked.stale)
    print(status.text(statuses, scale))
    sys.exit(1 if any(row.failed for row in statuses) else 0)


def report(
    records: Annotated[
        list[Path],
        typer.Argument(help="Records, run folders, or folders of them; or YAML files of studies."),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the tables, figures and pages.", show_default="print the table instead"
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Only check whether the written report is up to date, and name stale results.",
        ),
    ] = False,
    scale: Annotated[
        str,
        typer.Option(
            help="Scale of the studies: smoke, small, full, or highest, for each setting the "
            "higher one of small and full that has a result."
        ),
    ] = "highest",
    results: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the results of studies, as fewshot sweep wrote them.",
            show_default="runs/studies; smoke-runs/studies at scale smoke",
        ),
    ] = None,
) -> None:
    """Compare runs in a table, or show the results of studies beside the reported numbers.

    Results of fewshot episodes have a page of their own. With --out there are also LaTeX tables,
    and figures as SVG, PDF and PNG; reports on studies and episodes have an HTML page too.

    Examples:

        fewshot report runs
        fewshot report runs --out tables
        fewshot report kshot --results runs/studies --out reports
    """
    from fewshot.cli import arguments
    from fewshot.report.studies import report as studies

    if studies.are_studies(records):
        scale = arguments.report_scale(scale)
        folder = results or arguments.runs_folder(scale) / "studies"
        code = _report_studies(records, out, check, scale, folder)
        sys.exit(code | (_unlisted_stale(records, scale, folder) if check else 0))
    sys.exit(_report_records(records, out, check))


def _unlisted_stale(places: list[Path], scale: str, results: Path) -> int:
    """Name stale results; return 1 if one is not listed for the pages, otherwise 0."""
    from fewshot.cli import arguments
    from fewshot.studies import schema, staleness
    from fewshot.studies.results import ResultStore

    rows, code = arguments.rows(places, None), 0
    for name in schema.MEASURED if scale == schema.HIGHEST else (scale,):
        store = ResultStore(name, results, results)
        code |= staleness.report(staleness.check(rows, store), store)
    return code


def _report_studies(
    places: list[Path], out: Path | None, check: bool, scale: str, results: Path
) -> int:
    """Report the rows of each regime, in separate pages; return the exit code."""
    from fewshot.report.episodic import rows
    from fewshot.report.studies import report as studies
    from fewshot.studies import schema

    regimes = {row.episodic for row in schema.read(places)}
    code = 0
    if False in regimes:
        code |= studies.from_files(places, out, check, scale, results)
    if True in regimes:
        code |= rows.report(places, out, check, scale, results)
    return code


def _report_records(places: list[Path], out: Path | None, check: bool) -> int:
    """Report the records of each regime, in separate pages; return the exit code."""
    from fewshot.report import comparison
    from fewshot.report.episodic import report as episodic
    from fewshot.runs import records

    by_regime = records.places_by_regime(places)
    code = 0
    if low_data := by_regime.get(records.LOW_DATA):
        code |= comparison.report(low_data, out, check)
    if tasks := by_regime.get(records.EPISODIC):
        code |= episodic.report(tasks, out, check)
    return code


def inspect(
    run: Annotated[Path, typer.Argument(help="Folder of a run, or a record.")],
    trial: common.Trial = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the figures.", show_default="RUN_ID-inspect")
    ] = None,
) -> None:
    """Draw figures of one run.

    They show the confusion matrix, the classes, overfitting, calibration, mistakes, and the nearest
    labelled images of the mistakes.

    Example:

        fewshot inspect runs/0123456789ab --trial 3
    """
    from fewshot.report.inspection import report

    files, missing = report.inspect(run, trial, out)
    for file in files:
        print(file)
    for sentence in missing:
        print(f"not shown: {sentence}", file=sys.stderr)
