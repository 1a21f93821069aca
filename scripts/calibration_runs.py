"""Measure the rows of reports/calibration.md: every learner before and after its calibration.

python -m scripts.calibration_runs METHOD ... [--device cuda] [--out DIR] [--records DIR]

The labelled subsets are 1, 4 and 16 labels per class of CIFAR-10, and two with unequal numbers of
labels, there also under the prior of the labels. The records are written to
reports/records/calibration, and beside each the sums behind its reliability diagrams
(<name>.bins.json).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fewshot import io
from fewshot.report.inspection import run_files
from fewshot.report.plots import calibration
from fewshot.runs import experiment
from scripts.pages import RECORDS

FOLDER = "calibration"  # of the page's records, in reports/records
METHODS = ("probe", "protonet", "siamese", "maml", "finetune", "experts", "scratch")
TRIALS = 10
CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
NUMBERS = (2, 3, 4, 5, 8, 11, 15, 20, 29, 40)
UNEQUAL: dict[str, dict[str, Any]] = {
    "2-to-40": {"shots": 2, "class_shots": dict(zip(CLASSES[1:], NUMBERS[1:], strict=True))},
    "32-and-8": {"shots": 8, "class_shots": {"airplane": 32}},
}
SUBSETS: dict[str, dict[str, Any]] = {
    **{str(shots): {"shots": shots} for shots in (16, 4, 1)},
    **UNEQUAL,
    **{f"{name}-training": {**values, "prior": "training"} for name, values in UNEQUAL.items()},
}


def bins(folder: Path) -> dict[str, list[list[list[float]]]]:
    """Return the bins of a run's reliability diagrams for each trial, before and after.

    Each has images, summed confidence and right images by bin.
    """
    run = run_files.read(folder)
    return {
        state: [
            [values.tolist() for values in calibration.bins(*predictions)]
            for predictions in (
                run_files.predictions(run, seed, calibrated=calibrated) for seed in run.record.seeds
            )
        ]
        for state, calibrated in (("before", False), ("after", True))
    }


def main(words: Sequence[str] | None = None) -> None:
    """Read the command line and run the trials of each learner on each subset."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("methods", nargs="+", choices=METHODS, metavar="METHOD")
    parser.add_argument("--subsets", nargs="+", choices=SUBSETS, default=list(SUBSETS))
    parser.add_argument("--out", type=Path, default=Path("runs"))
    parser.add_argument("--records", type=Path, default=RECORDS / FOLDER)
    parser.add_argument("--device")
    parser.add_argument("--trials", type=int, default=TRIALS)
    arguments = parser.parse_args(words)
    io.make_folder(arguments.records)
    for method in arguments.methods:
        for name in arguments.subsets:
            record = experiment.run(
                {"method": method, "data": "cifar10", **SUBSETS[name]},
                range(arguments.trials),
                out=arguments.out,
                device=arguments.device,
            )
            io.write_json(arguments.records / f"{method}-{name}.json", record.to_json())
            sums = bins(arguments.out / record.run_id)
            io.write_json(arguments.records / f"{method}-{name}.bins.json", sums)
            print(f"{method}, {name}: {record.scores['accuracy']}", flush=True)


if __name__ == "__main__":
    main()
