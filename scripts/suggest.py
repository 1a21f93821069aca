"""Measure what suggested labels gain over random ones, and write reports/suggest.md.

python -m scripts.suggest run          # measure what has no record yet
python -m scripts.suggest run PART WAY # only one of PARTS, or only some ways of selection
python -m scripts.suggest speed        # seconds of the selection
python -m scripts.suggest              # write the tables
python -m scripts.suggest --check      # exit with an error if one is stale

In each trial the pool is a random part of the training images. Labels of the selected images are
revealed in batches, and the accuracy is that of the default classifier of `fewshot fit` with one
network, on the whole test set. Everything about the methods was chosen with the part `development`,
whose pools and test images are training images of CIFAR-10 (scripts/development_split.py).
Records are in reports/records/suggest, one for each part and way of selection.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple, TypedDict

import numpy as np
import torch
from torch import Tensor

from episodes import datasets
from fewshot import backbones, io
from fewshot.backbones.default_network import LARGE, SMALL
from fewshot.config import BackboneSettings
from fewshot.evaluation import paired_tests
from fewshot.evaluation.statistics import summary
from fewshot.features import frozen
from fewshot.model.suggest import max_herding, select, simulate, space, uncertainty
from fewshot.model.suggest.picks import Method, Pool
from fewshot.model.suggest.simulate import LabelledSet
from fewshot.report.formatting import markdown_table, plus_minus
from scripts import pages
from scripts.development_split import N_TRAIN
from scripts.pages import RECORDS, ROOT

FOLDER = RECORDS / "suggest"
PAGE = ROOT / "reports" / "suggest.md"
BUDGETS = (10, 20, 40, 80, 160)
TRIALS, DEVELOPMENT_TRIALS = 10, 5
DEFAULT, RANDOM = "default", "random"
BANDWIDTHS = (0.4, 0.5, 0.6, 0.7)
RAREST = 20  # the rarest class of the unbalanced pools is so many times rarer than the commonest


class Part(NamedTuple):
    """A data set with its network.

    Attributes:
        data: name of the data set.
        settings: the network.
        share: part of the training images that is the pool of a trial.
        words: the row's name in tables.
    """

    data: str
    settings: BackboneSettings
    share: float
    words: str


PARTS = {
    "development": Part("cifar10", SMALL, 0.4, "CIFAR-10, development split"),
    "cifar10": Part("cifar10", SMALL, 0.8, "CIFAR-10"),
    "unbalanced": Part("cifar10", SMALL, 0.8, "CIFAR-10, unbalanced pools"),
    "imagenette160": Part("imagenette160", LARGE, 0.8, "imagenette160"),
    "digits": Part("digits", SMALL, 0.8, "digits"),
}


class Trial(TypedDict):
    """One pool: accuracies, and numbers of classes with a label, by budget."""

    trial: int
    accuracy: list[float]
    classes: list[int]


class Record(TypedDict):
    """All trials of one part and way of selection."""

    data: str
    backbone: dict[str, object]
    pool_images: int
    test_images: int
    budgets: list[int]
    trials: list[Trial]


class Seconds(TypedDict):
    """Seconds of one selection without labels."""

    images: int
    budget: int
    method: Method
    seconds: float


class Images(NamedTuple):
    """Images as features for the classifier, and as the methods of selection compare them.

    Attributes:
        known: features and labels.
        compared: the same features projected as `space.prepared` does, but once for all pools.
    """

    known: LabelledSet
    compared: Tensor

    def subset(self, rows: Tensor) -> Images:
        known = LabelledSet(self.known.features[rows], self.known.labels[rows])
        return Images(known, self.compared[rows])


def ways(part: str) -> list[str]:
    """Return the ways of selection that are measured."""
    if part == "development":
        bandwidths = [f"bandwidth {one:g}" for one in BANDWIDTHS]
        return [RANDOM, *bandwidths, "k-means"]
    return [DEFAULT, RANDOM, *(method for method in select.METHODS if method != RANDOM)]


def loaded(name: str) -> tuple[Images, LabelledSet]:
    """Return the images of which pools are parts, and those of which accuracy is measured."""
    part = PARTS[name]
    images = datasets.load(part.data, input_size=backbones.input_side(part.settings))
    network = backbones.build(part.settings).eval()
    assert images.test is not None
    parts = []
    for stored in (images.train, images.test):
        cached = frozen.cached(network, stored, torch.arange(len(stored)), "cpu").features
        parts.append(LabelledSet(cached.features.as_subclass(Tensor), stored.labels))
    train, test = parts
    compared = space.prepared(Pool(train.features, train.features[:0], train.labels[:0])).features
    images_of_pools = Images(train, compared)
    if name == "development":
        order = torch.from_numpy(np.random.default_rng(0).permutation(len(train.labels)))
        return images_of_pools.subset(order[:N_TRAIN]), images_of_pools.subset(
            order[N_TRAIN:]
        ).known
    return images_of_pools, test


def pool_of(name: str, train: Images, trial: int) -> Images:
    """Return the pool of a trial; in unbalanced ones, class c is rarer than class 0."""
    labels = train.known.labels
    generator = torch.Generator().manual_seed(trial)
    order = torch.randperm(len(labels), generator=generator)
    order = order[: round(PARTS[name].share * len(order))]
    if name == "unbalanced":
        n_way = int(labels.max()) + 1
        frequencies = RAREST ** (-torch.arange(n_way) / (n_way - 1))
        lot = torch.rand(len(order), generator=generator)
        order = order[lot < frequencies[labels[order]]]
    return train.subset(order)


@contextmanager
def bandwidth_of(way: str) -> Iterator[None]:
    """Let MaxHerding have the bandwidth that the way names, if it names one."""
    before = max_herding.BANDWIDTH
    if way.startswith("bandwidth "):
        max_herding.BANDWIDTH = float(way.split()[1])
    try:
        yield
    finally:
        max_herding.BANDWIDTH = before


def picked(pool: Images, way: str, n_way: int, trial: int) -> Tensor:
    """Return the labelled images in the order of labelling, int64 [BUDGETS[-1]].

    Margin has random images until there is a classifier.
    """
    chosen = torch.empty(0, dtype=torch.int64)
    for budget in BUDGETS:
        is_left = torch.ones(len(pool.compared), dtype=torch.bool)
        is_left[chosen] = False
        left = is_left.nonzero()[:, 0]
        known, compared = pool.subset(chosen).known, pool.compared
        unsure = None
        if way not in ("k-means", "typiclust", "coreset", RANDOM):
            unsure = uncertainty.of_labels(pool.known.features[left], *known, n_way)
        part = Pool(compared[left], compared[chosen], known.labels, unsure)
        with bandwidth_of(way):
            method = method_of(way, unsure is not None)
            picks = select.pick(part, budget - len(chosen), method, seed=trial)
        chosen = torch.cat([chosen, left[picks.indices]])
    return chosen


def method_of(way: str, has_classifier: bool) -> Method | None:
    """Return the method of a batch; None for the default."""
    if way == DEFAULT:
        return None
    if way.startswith("bandwidth "):
        return "max-herding"
    if way == "margin" and not has_classifier:
        return "random"
    return next(method for method in select.METHODS if method == way)


def measure(name: str, some: Sequence[str] = ()) -> None:
    """Measure ways of selection that have no record: some, or all if none is named."""
    chosen_ways = some or ways(name)
    missing = [way for way in chosen_ways if not (FOLDER / f"{name}-{way}.json").exists()]
    if not missing:
        return
    train, test = loaded(name)
    n_way = int(train.known.labels.max()) + 1
    for way in missing:
        trials, pool = [], train
        for trial in range(DEVELOPMENT_TRIALS if name == "development" else TRIALS):
            pool = pool_of(name, train, trial)
            chosen = picked(pool, way, n_way, trial)
            known = [pool.subset(chosen[:budget]).known for budget in BUDGETS]
            trials.append(
                Trial(
                    trial=trial,
                    accuracy=[simulate.accuracy_of(one, test, n_way) for one in known],
                    classes=[len(one.labels.unique()) for one in known],
                )
            )
        record = Record(
            data=PARTS[name].data,
            backbone=PARTS[name].settings.model_dump(exclude_defaults=True),
            pool_images=len(pool.compared),
            test_images=len(test.labels),
            budgets=list(BUDGETS),
            trials=trials,
        )
        io.make_folder(FOLDER)
        io.write_json(FOLDER / f"{name}-{way}.json", record)
        means = np.mean([one["accuracy"] for one in trials], 0).round(3).tolist()
        print(name, way, means, flush=True)


def measure_speed() -> None:
    """Measure the seconds of a selection from all training images of CIFAR-10."""
    train, _ = loaded("cifar10")
    features, labels = train.known
    pool = Pool(features, features[:0], labels[:0])
    results = []
    for method in select.METHODS:
        if method == "margin":
            continue  # it sorts
        started = time.perf_counter()
        select.pick(pool, BUDGETS[-1], method)
        seconds = round(time.perf_counter() - started, 2)
        results.append(
            Seconds(images=len(labels), budget=BUDGETS[-1], method=method, seconds=seconds)
        )
        print(results[-1], flush=True)
    io.make_folder(FOLDER)
    io.write_json(FOLDER / "speed.json", results)


def record(name: str, way: str) -> Record | None:
    """Return a published record; None if it was not measured."""
    path = FOLDER / f"{name}-{way}.json"
    return io.read_json(path) if path.exists() else None


def table(name: str) -> str:
    """Return accuracies by way and budget, with the paired differences from random ones."""
    lines = []
    baseline = record(name, RANDOM)
    for way in ways(name):
        content = record(name, way)
        if content is None:
            lines.append([way, *["not run"] * (len(BUDGETS) + 1)])
            continue
        cells = []
        for column in range(len(BUDGETS)):
            values = [one["accuracy"][column] for one in content["trials"]]
            score = summary(values)
            cell = f"{score.mean:.3f}{plus_minus(score.ci95, '.3f')}"
            if way != RANDOM and baseline is not None:
                others = [one["accuracy"][column] for one in baseline["trials"]]
                gaps = [ours - other for ours, other in zip(values, others, strict=True)]
                gap = paired_tests.difference(gaps)
                cell += f" ({gap.mean:+.3f}{plus_minus(gap.half, '.3f')})"
            cells.append(cell)
        n_found = np.mean([one["classes"][0] for one in content["trials"]])
        lines.append([way, *cells, f"{n_found:.1f}"])
    budgets = [f"{budget} labels" for budget in BUDGETS]
    return markdown_table(["selection", *budgets, f"classes at {BUDGETS[0]}"], lines)


def speed() -> str:
    """Return the seconds of each method."""
    path = FOLDER / "speed.json"
    rows: list[Seconds] = io.read_json(path) if path.exists() else []
    lines = [[one["method"], one["images"], one["budget"], one["seconds"]] for one in rows]
    return markdown_table(["method", "images", "picks", "seconds, one thread"], lines)


def tables() -> dict[str, str]:
    """Return the tables of the page."""
    return {**{name: table(name) for name in PARTS}, "speed": speed()}


def main() -> None:
    """Measure, or write the tables."""
    torch.set_num_threads(1)
    if sys.argv[1:2] == ["run"]:
        for name in sys.argv[2:3] or PARTS:
            measure(name, sys.argv[3:])
    elif sys.argv[1:] == ["speed"]:
        measure_speed()
    else:
        pages.update([PAGE], tables, "scripts.suggest")


if __name__ == "__main__":
    main()
