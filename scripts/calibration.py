"""Write the tables and the figure of reports/calibration.md from reports/records/calibration.

python -m scripts.calibration           # write them
python -m scripts.calibration --check   # exit with an error if a table is stale

`python -m scripts.calibration_runs` measures the records.
"""

from __future__ import annotations

import sys

import numpy as np

from fewshot import io
from fewshot.evaluation.paired_tests import paired_difference
from fewshot.report import formatting
from fewshot.report.plots import calibration, style
from fewshot.report.plots.calibration import Bins
from fewshot.runs.run_record import RunRecord
from scripts import pages
from scripts.calibration_runs import FOLDER, METHODS, NUMBERS, UNEQUAL
from scripts.pages import RECORDS, ROOT

PAGE = ROOT / "reports" / "calibration.md"
FIGURE = ROOT / "reports" / "figures" / "calibration-probe"
SHOTS = (1, 4, 16)
WORDS = {
    "2-to-40": f"{', '.join(map(str, NUMBERS[:-1]))} and {NUMBERS[-1]} labels",
    "32-and-8": "32 labels of one class, 8 of each other",
}


def bins(method: str, subset: str, state: str) -> Bins:
    """Return the bins of all trials together, `before` or `after` the temperature."""
    content = io.read_json(RECORDS / FOLDER / f"{method}-{subset}.bins.json")
    return calibration.together([Bins(*map(np.asarray, trial)) for trial in content[state]])


def temperatures() -> str:
    """Return the scores of every learner before and after the temperature, by labels per class."""
    rows = []
    for method in METHODS:
        for shots in SHOTS:
            record = pages.record(FOLDER, f"{method}-{shots}")
            if record is None:
                continue
            row = [formatting.method_name(record), shots, _mean(record, "accuracy", False)]
            row.append("-" if record.temperature is None else f"{record.temperature.mean:.2f}")
            for name in ("ece", "loss", "brier"):
                row += [_mean(record, name, False), _mean(record, name, True)]
            seconds = record.cost.calibration_seconds or 0.0
            rows.append([*row, f"{seconds:.1f}", len(record.seeds), "; ".join(record.calibration)])
    columns = ["learner", "labels per class", "accuracy", "temperature"]
    for name in ("ECE", "loss", "Brier score"):
        columns += [f"{name} before", "after"]
    columns += ["seconds of calibration", "n", "temperature chosen"]
    return formatting.markdown_table(columns, rows)


def _mean(record: RunRecord, name: str, calibrated: bool) -> str:
    if not calibrated:
        return f"{record.scores[name].mean:.3f}"
    return "-" if record.calibrated is None else f"{record.calibrated[name].mean:.3f}"


def priors() -> str:
    """Return the accuracy of every learner with unequal numbers of labels, under both priors."""
    rows = []
    for subset in UNEQUAL:
        for method in METHODS:
            names = (f"{method}-{subset}", f"{method}-{subset}-training")
            balanced, training = (pages.record(FOLDER, name) for name in names)
            if balanced is None or training is None:
                continue
            difference = paired_difference(balanced.by_seed(), training.by_seed())
            rows.append(
                [
                    WORDS[subset],
                    formatting.method_name(balanced),
                    formatting.interval(training.scores["accuracy"]),
                    formatting.interval(balanced.scores["accuracy"]),
                    str(difference),
                    _mean(balanced, "ece", False),
                    _mean(balanced, "ece", True),
                    difference.n,
                ]
            )
    columns = ["labels", "learner", "prior: training", "prior: balanced", "difference"]
    ece = ["ECE of balanced, before the temperature", "after it"]
    return formatting.markdown_table([*columns, *ece, "n"], rows)


def figure() -> None:
    """Draw the reliability diagrams of the probe, before and after, by labels per class."""
    rows = [
        [(f"{shots} per class, {state}", bins("probe", str(shots), state)) for shots in SHOTS]
        for state in ("before", "after")
    ]
    style.save(calibration.grid(rows), FIGURE)


def tables() -> dict[str, str]:
    return {"temperatures": temperatures(), "priors": priors()}


if __name__ == "__main__":
    pages.update([PAGE], tables, "scripts.calibration")
    if "--check" not in sys.argv:
        figure()
