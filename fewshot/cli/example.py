"""The command `fewshot example`: a first comparison in a minute."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from fewshot.cli import common, display

METHODS = {"probe": "few", "protonet": "demo", "finetune": "demo", "scratch": "demo"}  # and preset
SHOTS = 16
THREADS = 1  # such small networks gain little from a second thread


def example(
    out: Annotated[Path, typer.Option(help="Folder for runs and figure.")] = Path("example"),
    trials: Annotated[int, typer.Option(min=1, help="Trials of each method.")] = 3,
    quiet: common.Quiet = False,
) -> None:
    """Compare four methods on 16 labelled digits per class.

    It takes less than a minute on two cores and needs no internet connection. It prints a table and
    writes a figure.
    """
    from fewshot import progress
    from fewshot.report import comparison, formatting
    from fewshot.report.plots import accuracy_by_method
    from fewshot.runs import experiment

    results = []
    with display.work(quiet):
        for method, preset in METHODS.items():
            values = {"method": method, "preset": preset, "shots": SHOTS, "data": "digits"}
            values["calibration"] = "none"  # for trained methods it would take another training
            with progress.within(method):
                results.append(experiment.run(values, range(trials), out=out, threads=THREADS))
    rows = [
        accuracy_by_method.Result(
            formatting.short_name(record),
            record.scores["accuracy"].values,
            record.scores["accuracy"].mean,
            record.scores["accuracy"].over_trials(),
        )
        for record in results
    ]
    title = f"digits, {SHOTS} labels per class, {trials} trials"
    written = accuracy_by_method.draw(rows, title, out / "accuracy")
    print(comparison.markdown(results, brief=True))
    print(f"figure: {written[-1]}", file=sys.stderr)
    print(
        "Next: fewshot run --data FOLDER says how accurate a probe is on your own images (a\n"
        "      folder for each class); fewshot list shows all methods, backbones and data sets.",
        file=sys.stderr,
    )
