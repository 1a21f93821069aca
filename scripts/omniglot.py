"""Train and evaluate the Omniglot one-shot challenge, and write its table into the pages.

python -m scripts.omniglot runs     # train and evaluate what has no record yet
python -m scripts.omniglot sheet    # draw a run and some deformed drawings
python -m scripts.omniglot          # write the tables
python -m scripts.omniglot --check  # exit with an error if one is stale

Each training is resumable, and its record is copied to reports/records/episodes/omniglot.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fewshot.evaluation import statistics
from fewshot.report import formatting
from fewshot.runs.episodic import record as records
from fewshot.runs.episodic.record import EpisodesRecord
from scripts import pages
from scripts.pages import RECORDS, ROOT

PAGE = ROOT / "reports" / "omniglot.md"
GUIDE = ROOT / "docs" / "episodes.md"
FOLDER = RECORDS / "episodes" / "omniglot"
METHODS = {"protonet": "prototypical network", "siamese": "siamese network"}
BASES = {"omniglot-small1": "small1", "omniglot-small2": "small2"}
SEEDS = range(5)
UNTRAINED = FOLDER / "protonet-untrained.json"  # the same network and preset, without a training
SHEET = ROOT / "docs" / "assets" / "omniglot.png"


class Training(NamedTuple):
    """A training of the challenge.

    Attributes:
        method: name of the learner.
        base: the background set.
        seed: seed of the training.
    """

    method: str
    base: str
    seed: int

    @property
    def path(self) -> Path:
        """The published record."""
        return FOLDER / f"{self.method}-{BASES[self.base]}-{self.seed}.json"

    @property
    def request(self) -> dict[str, Any]:
        """The settings of the run, as `fewshot episodes` takes them."""
        return {
            "method": self.method,
            "preset": "omniglot",
            "train": True,
            "base": self.base,
            "train_seed": self.seed,
            "data": "omniglot-runs",
            "tasks": {"sampler": "superclasses"},
        }


def trainings() -> list[Training]:
    """Return all trainings; the first seeds of all methods and sets come first."""
    return [Training(method, base, seed) for seed in SEEDS for method in METHODS for base in BASES]


def run() -> None:
    """Train and evaluate what has no record yet."""
    from fewshot import io
    from fewshot.runs.episodic import experiment

    FOLDER.mkdir(parents=True, exist_ok=True)
    untrained = trainings()[0].request
    for key in ("train", "train_seed", "base"):
        del untrained[key]
    requests = {UNTRAINED: untrained} | {one.path: one.request for one in trainings()}
    for path, request in requests.items():
        if not path.exists():
            record = experiment.run(request, out=ROOT / "runs" / "omniglot", device="cpu")
            io.write_json(path, record.to_json())
            print(f"{path.stem}: error {1 - record.accuracy.mean:.1%}", flush=True)


def published(method: str, base: str) -> list[EpisodesRecord]:
    """Return the records of one method and background set, one for each seed."""
    paths = [Training(method, base, seed).path for seed in SEEDS]
    return [records.read(path) for path in paths if path.exists()]


def errors(trained: list[EpisodesRecord]) -> np.ndarray:
    """Return the error of each seed and run, float64 [seeds, runs]."""
    return 1 - np.stack([record.accuracies for record in trained])


def table() -> str:
    """Return the error of each method and background set, with both intervals."""
    lines = []
    for method, words in METHODS.items():
        for base, name in BASES.items():
            trained = published(method, base)
            if not trained:
                lines.append([words, name, "0", "not run", "", "", ""])
                continue
            run_errors = errors(trained)
            over_seeds, over_runs = (statistics.summary(run_errors.mean(axis)) for axis in (1, 0))
            seconds = np.mean([record.cost.train_seconds for record in trained])
            half = "-" if over_seeds.ci95 is None else f"{100 * over_seeds.ci95:.1f}"
            lines.append(
                [
                    words,
                    name,
                    str(len(trained)),
                    f"{100 * over_seeds.mean:.1f}",
                    f"± {half}",
                    f"± {100 * (over_runs.ci95 or 0):.1f}",
                    f"{seconds / 60:.1f}",
                ]
            )
    columns = ["network", "background", "seeds", "error %", "over seeds", "over runs", "minutes"]
    return formatting.markdown_table(columns, lines)


def sheet() -> None:
    """Draw the first run, support above queries, and drawings with 19 deformed versions each."""
    import torch
    from PIL import Image

    from episodes import augment, datasets, streams
    from episodes.tasks.superclass_tasks import superclass_tasks
    from fewshot import config

    runs = datasets.load("omniglot-runs")
    task = superclass_tasks(runs)[0]
    pool = streams.as_float(torch.cat([part.images for part in runs]))
    rows = [pool[task.support[0]], pool[task.query[0][task.query_labels[0].argsort()]]]
    change = augment.build(config.preset("protonet", "omniglot")["augment"], n_classes=1)
    base = datasets.load("omniglot-small1").train
    for index in range(0, len(base), len(base) // 6):
        copies = streams.as_float(base.images[index : index + 1]).repeat(20, 1, 1, 1)
        labels = torch.zeros(20, dtype=torch.int64)
        changed, _ = change(copies, labels, torch.Generator().manual_seed(index))
        rows.append(torch.cat([copies[:1], changed[1:]]))
    framed = torch.nn.functional.pad(torch.stack(rows)[:, :, 0], (1, 1, 1, 1), value=0.4)
    picture = framed.permute(0, 2, 1, 3).flatten(2).flatten(0, 1)  # rows below each other
    Image.fromarray((255 * picture).byte().numpy()).save(SHEET)


def main() -> None:
    """Train, draw, or write the tables."""
    if sys.argv[1:] == ["runs"]:
        run()
    elif sys.argv[1:] == ["sheet"]:
        sheet()
    else:
        pages.update([PAGE, GUIDE], lambda: {"errors": table()}, "scripts.omniglot")


if __name__ == "__main__":
    main()
