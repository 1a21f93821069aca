"""Compare a training of the search with a frozen body, with and without cached features.

It is one training of study hyperparameters, row H5, network H2 at small scale. "first": the cache
is empty, so the features of all images are computed. "again": the features are cached, as for the
other 89 trainings of this network. "images": every epoch sends all images through the body. All
three are `experiment.run` with the same images, network and steps, and must end with about the
same accuracy. Processor seconds stand beside those of the clock, because other processes disturb
them less.

    python -m benchmarks.frozen_body_search [--epochs 2] [--fraction 1.0] [--data cifar10]
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import common

ROW = common.ROOT / "configs" / "studies" / "hyperparameters" / "H5.yaml"
TRAININGS = 90  # of one network: 18 values, five repeats


def settings(epochs: float, fraction: float, data: str) -> dict[str, Any]:
    """Return the settings of the search's first cell of H2, without early stopping."""
    from fewshot import config
    from fewshot.studies import grids, schema

    (row,) = schema.read([ROW])
    first_values = {"network": "H2", "train.lr": 0.01}
    (cell,) = [cell for cell in grids.cells(row, "small") if cell.values == first_values]
    changed = {
        "train.epochs": epochs,
        "train.early_stopping": None,
        "fraction": fraction,
        "data": data,
    }
    return config.overlay(cell.settings, changed)


def train(values: dict[str, Any], out: Path) -> tuple[dict[str, float], float]:
    """Return the seconds of one training, by the clock and of the processor, and its accuracy."""
    from fewshot.runs import experiment

    accuracies: list[float] = []

    def work() -> None:
        accuracies.append(experiment.run(values, [0], out=out).scores["accuracy"].mean)

    spent = common.clock_and_processor_seconds(work)
    return {"clock": spent["seconds"], "processor": spent["processor_seconds"]}, accuracies[0]


def measure(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Train three times and return the seconds and accuracies of all."""
    from fewshot.features import frozen

    os.environ["FEWSHOT_CACHE_GB"] = "4"
    # imports, decodes the images, and measures the machine's precision
    train({**values, "fraction": 0.1}, folder / "warm-up")
    for path in (folder / "cache" / "features").iterdir():
        path.unlink()
    first, accuracy = train(values, folder / "first")
    again, accuracy_again = train(values, folder / "again")
    frozen.can_replace_images = lambda *_: False
    images, accuracy_on_images = train(values, folder / "images")
    return {
        "seconds": {"first": first, "again": again, "images": images},
        "accuracies": [accuracy, accuracy_again, accuracy_on_images],
    }


def ratios(seconds: dict[str, dict[str, float]], kind: str) -> dict[str, float]:
    """Return how many times longer training on images takes: one training, and the search."""
    images, first, again = (seconds[name][kind] for name in ("images", "first", "again"))
    search = first + (TRAININGS - 1) * again
    return {
        "one training": images / again,
        f"{TRAININGS} trainings": TRAININGS * images / search,
    }


def main() -> None:
    """Measure and write the result."""
    parser = common.parser(__doc__, "frozen_body_search")
    parser.add_argument("--epochs", type=float, default=2.0)
    parser.add_argument("--fraction", type=float, default=1.0)
    parser.add_argument("--data", default="cifar10")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["FEWSHOT_CACHE"] = str(Path(folder) / "cache")
        values = settings(options.epochs, options.fraction, options.data)
        measured = measure(values, Path(folder))
    share = f"{options.fraction:g} of {options.data}"
    result = {
        "what": f"a training of {options.epochs:g} epochs on {share}, the body frozen",
        **measured,
        "ratios": {kind: ratios(measured["seconds"], kind) for kind in ("clock", "processor")},
        **common.machine(),
    }
    common.write(options.out, result, ("seconds", "accuracies", "ratios"))


if __name__ == "__main__":
    main()
