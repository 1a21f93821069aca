"""One training of the search with a frozen body (study hyperparameters, H5, network H2 at small scale), three ways.

"first": the cache is empty, so features of all images are computed; "again": as the other 89 trainings of this network
find it; "images": no features stand in for images, so every epoch sends all images through the body. All are
`experiment.run` on the same images and network, one after the other, with the same steps, and must end alike: what
counts is the ratio of their seconds. Processor seconds are told beside those of the clock, for a machine that is busy.

    python benchmarks/frozen_search.py [--epochs 2] [--fraction 1.0] [--data cifar10]
        [--out benchmarks/results/frozen_search.json]
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

ROW = Path(__file__).parent.parent / "configs" / "studies" / "hyperparameters" / "H5.yaml"
TRAININGS = 90  # of one network: 18 values, five repeats


def settings(epochs: float, fraction: float, data: str) -> dict[str, Any]:
    """Of the search's first cell of H2, without early stopping."""
    from fewshot import config
    from fewshot.studies import grids, schema

    (row,) = schema.read([ROW])
    (cell,) = [
        each
        for each in grids.cells(row, "small")
        if each.values == {"network": "H2", "train.lr": 0.01}
    ]
    changed = {
        "train.epochs": epochs,
        "train.early_stopping": None,
        "fraction": fraction,
        "data": data,
    }
    return config.overlay(cell.settings, changed)


def seconds(values: dict[str, Any], out: Path) -> tuple[dict[str, float], float]:
    """Of one training, by the clock and of the processor, and its accuracy."""
    from fewshot.runs import experiment

    clock, processor = time.perf_counter(), time.process_time()
    record = experiment.run(values, [0], out=out)
    spent = {"clock": time.perf_counter() - clock, "processor": time.process_time() - processor}
    return spent, record.scores["accuracy"].mean


def measure(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    from fewshot.features import frozen

    os.environ["FEWSHOT_CACHE_GB"] = "4"
    seconds(
        {**values, "fraction": 0.1}, folder / "warm-up"
    )  # imports, decoding, the machine's precision
    for path in (folder / "cache" / "features").iterdir():
        path.unlink()
    first, accuracy = seconds(values, folder / "first")
    again, same = seconds(values, folder / "again")
    frozen.fit_for = lambda *_: False  # type: ignore[assignment]
    images, other = seconds(values, folder / "images")
    return {
        "seconds": {"first": first, "again": again, "images": images},
        "accuracies": [accuracy, same, other],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=float, default=2.0)
    parser.add_argument("--fraction", type=float, default=1.0)
    parser.add_argument("--data", default="cifar10")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results" / "frozen_search.json"
    )
    options = parser.parse_args()
    from fewshot.runs import provenance
    from fewshot.training import devices

    with tempfile.TemporaryDirectory() as folder:
        os.environ["FEWSHOT_CACHE"] = str(Path(folder) / "cache")
        found = measure(settings(options.epochs, options.fraction, options.data), Path(folder))
    spent = found["seconds"]
    ratios = {
        kind: {
            "one training": spent["images"][kind] / spent["again"][kind],
            f"{TRAININGS} trainings": TRAININGS
            * spent["images"][kind]
            / (spent["first"][kind] + (TRAININGS - 1) * spent["again"][kind]),
        }
        for kind in ("clock", "processor")
    }
    result = {
        "what": f"a training of {options.epochs:g} epochs on {options.fraction:g} of {options.data}, the body frozen",
        "machine": devices.name(devices.pick(None)),
        "versions": provenance.versions(),
        **found,
        "ratios": ratios,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps({key: result[key] for key in ("seconds", "accuracies", "ratios")}, indent=1))


if __name__ == "__main__":
    main()
