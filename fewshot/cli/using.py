"""Commands that use finished runs: `vote` and `forecast`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from fewshot.cli import common


def vote(
    runs: common.Records,
    rule: Annotated[
        str, typer.Option(help="soft: mean of the class probabilities; hard: majority.")
    ] = "soft",
    best: Annotated[
        str | None,
        typer.Option(
            help="Percentages of the voters to use, chosen by the best validation accuracy, such "
            "as 10,50 for one vote of the best 10% and one of the best 50%.",
            show_default="all",
        ),
    ] = None,
    pool: Annotated[
        bool, typer.Option("--pool", help="One vote over all trials, instead of one per seed.")
    ] = False,
    out: common.Out = Path("runs"),
    as_json: common.Json = False,
) -> None:
    """Combine the saved predictions of finished runs by a vote; nothing is trained.

    Example:

        fewshot vote runs/0123456789ab runs/ba9876543210 --rule soft
    """
    from fewshot.cli import arguments

    percents = arguments.percents(best)
    from fewshot.runs import voting

    votes = voting.vote(runs, rule=rule, percents=percents, pool=pool, out=out)
    if as_json:
        print(json.dumps([record.to_json() for record in votes], indent=1))
        return
    from fewshot.report import comparison

    print(comparison.markdown(votes, brief=True))
    for record in votes:
        print(f"record: {out / record.run_id / 'record.json'}", file=sys.stderr)


def forecast(
    records: common.Records,
    target: Annotated[
        float | None,
        typer.Option(
            help="Accuracy to reach, such as 0.9.", show_default="forecast accuracies only"
        ),
    ] = None,
    at: Annotated[
        str | None, typer.Option(help="Labels per class to forecast for, such as 64,128.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for figures of the curves and their forecasts.")
    ] = None,
    as_json: common.Json = False,
) -> None:
    """Forecast how many labels a target accuracy needs, with its uncertainty.

    The forecast needs runs of one method with at least three different numbers of labels.

    Example:

        fewshot forecast runs --target 0.9
    """
    from fewshot.cli import arguments

    counts = arguments.counts(at)
    from fewshot.report.forecasting import report

    text, files = report.forecast(records, target, counts, out, as_json)
    print(text)
    for file in files:
        print(file, file=sys.stderr)
