"""Measure how well images of unknown classes are refused, and how often sets hold the true class.

python -m scripts.unknown run      # compute features and measure what has no record yet
python -m scripts.unknown          # write the tables of reports/unknown.md
python -m scripts.unknown --check  # exit with an error if one is stale

Trial t chooses 6 known classes of the ten at random, and labelled images from a pool of POOL images
of each class. Records are in reports/records/unknown, one for each data set and network.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypedDict

import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from episodes import datasets
from episodes.types import ImageSet
from fewshot import backbones, io
from fewshot.backbones.default_network import LARGE, SMALL
from fewshot.config import BackboneSettings
from fewshot.evaluation.statistics import summary
from fewshot.features import frozen
from fewshot.model import closed_form, conformal, reject
from fewshot.model.classifier import LabelledFeatures, Recipe
from fewshot.report.formatting import markdown_table, plus_minus
from scripts import pages
from scripts.pages import RECORDS, ROOT

FOLDER = RECORDS / "unknown"
PAGE = ROOT / "reports" / "unknown.md"
N_TEST, POOL, TRIALS, KNOWN = 2_000, 80, 10, 6
SHOTS = (1, 2, 4, 16)
SHARE = 0.05
COVERAGES = (0.8, 0.9, 0.95)
SETS_SHOTS = (4, 16)
# Exact sets are fitted again for each image and class, so that they are computed for fewer.
N_EXACT, EXACT_COVERAGE = 100, 0.9
LITE2 = BackboneSettings(
    name=LARGE.name, weights="pretrained", input_size=192, views="flip", root=True
)
PAIR = SMALL.model_copy(update={"beside": (LITE2,)})
PARTS = {
    "cifar10-mini-resnet": ("cifar10", SMALL),
    "cifar10-mini-resnet-lite2": ("cifar10", PAIR),
    "imagenette160-lite2": ("imagenette160", LARGE),
}


class Refusal(TypedDict):
    """Refusal of unknown classes in one trial."""

    shots: int
    trial: int
    known: list[int]
    auroc: float
    auroc_of_probability: float
    refused_known: float
    refused_unknown: float


class Covered(TypedDict):
    """Prediction sets of one trial, with all ten classes known."""

    shots: int
    trial: int
    coverage: float
    exact: bool
    covered: float
    size: float
    single: float


class Record(TypedDict):
    """What was measured of one data set and network."""

    data: str
    backbone: dict[str, object]
    test_images: int
    refusals: list[Refusal]
    sets: list[Covered]


class Pool(NamedTuple):
    """Features of the images to choose labelled ones from, and of those to test on."""

    settings: BackboneSettings
    features: Tensor
    labels: Tensor
    test_features: Tensor
    test_labels: Tensor


def pool(data: str, settings: BackboneSettings) -> Pool:
    """Compute the features of a data set."""
    images = datasets.load(data, input_size=backbones.input_side(settings))
    network = backbones.build(settings).eval()
    generator = torch.Generator().manual_seed(0)
    assert images.test is not None
    rows = of_classes(images.train.labels, POOL, generator)
    test_rows = torch.randperm(len(images.test), generator=generator)[:N_TEST]

    def features(part: ImageSet, indices: Tensor) -> Tensor:
        cached = frozen.cached(network, part, indices, "cpu").features
        return cached.features.as_subclass(Tensor)

    return Pool(
        settings,
        features(images.train, rows),
        images.train.labels[rows],
        features(images.test, test_rows),
        images.test.labels[test_rows],
    )


def of_classes(labels: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """Return the indices of n random images of each class, class by class."""
    rows = []
    for label in range(int(labels.max()) + 1):
        members = (labels == label).nonzero()[:, 0]
        rows.append(members[torch.randperm(len(members), generator=generator)[:n]])
    return torch.cat(rows)


def refusals(part: Pool) -> Iterable[Refusal]:
    """Yield what each trial refuses, with KNOWN of the classes known."""
    n_way = int(part.labels.max()) + 1
    for trial in range(TRIALS):
        generator = torch.Generator().manual_seed(trial)
        known = torch.randperm(n_way, generator=generator)[:KNOWN].sort().values
        position = torch.full((n_way,), -1)
        position[known] = torch.arange(KNOWN)
        rows = of_classes(part.labels, max(SHOTS), generator).view(n_way, -1)[known]
        is_known = position[part.test_labels] >= 0
        for shots in SHOTS:
            chosen = rows[:, :shots].flatten()
            yield _refusal(part, chosen, position[part.labels[chosen]], is_known, known, trial)


def _refusal(
    part: Pool, rows: Tensor, labels: Tensor, is_known: Tensor, known: Tensor, trial: int
) -> Refusal:
    features = part.features[rows]
    centre = reject.centre(part.settings, features, labels)
    support = LabelledFeatures(features, labels, ())
    classes = [str(label) for label in range(len(known))]
    fitted = closed_form.fit(support, classes, Recipe("logistic"), SHARE, centre)
    scores = reject.known_scores(fitted.rejection, part.test_features)
    logits = fitted.head(part.test_features) / fitted.temperature
    refused = scores < fitted.rejection.threshold
    return Refusal(
        shots=len(rows) // len(known),
        trial=trial,
        known=known.tolist(),
        auroc=float(roc_auc_score(is_known, scores)),
        auroc_of_probability=float(roc_auc_score(is_known, logits.softmax(1).amax(1))),
        refused_known=float(refused[is_known].float().mean()),
        refused_unknown=float(refused[~is_known].float().mean()),
    )


def coverages(part: Pool) -> Iterable[Covered]:
    """Yield how often sets have the true class in each trial, with all classes known."""
    n_way = int(part.labels.max()) + 1
    for trial in range(TRIALS):
        generator = torch.Generator().manual_seed(trial)
        rows = of_classes(part.labels, max(SETS_SHOTS), generator).view(n_way, -1)
        for shots in SETS_SHOTS:
            chosen = rows[:, :shots].flatten()
            support = LabelledFeatures(part.features[chosen], part.labels[chosen], ())
            yield from _covered(part, support, shots, trial)


def _covered(part: Pool, support: LabelledFeatures, shots: int, trial: int) -> Iterable[Covered]:
    recipe = Recipe("logistic")
    classes = [str(label) for label in range(int(support.labels.max()) + 1)]
    centre = reject.centre(part.settings, support.features, support.labels)
    fitted = closed_form.fit(support, classes, recipe, SHARE, centre)
    log_probabilities = (fitted.head(part.test_features) / fitted.temperature).log_softmax(1)
    test, labels = part.test_features[:N_EXACT], part.test_labels
    for coverage in COVERAGES:
        sets = conformal.sets(fitted.fold_scores, log_probabilities.exp(), coverage)
        yield _counted(sets, labels, shots, trial, coverage, exact=False)
        if coverage == EXACT_COVERAGE:
            best = log_probabilities[:N_EXACT].argmax(1)
            exact = conformal.full_sets(support, classes, recipe, test, best, coverage)
            yield _counted(exact, labels[:N_EXACT], shots, trial, coverage, exact=True)


def _counted(
    sets: Tensor, labels: Tensor, shots: int, trial: int, coverage: float, *, exact: bool
) -> Covered:
    sizes = sets.sum(1)
    return Covered(
        shots=shots,
        trial=trial,
        coverage=coverage,
        exact=exact,
        covered=float(sets.gather(1, labels[:, None]).float().mean()),
        size=float(sizes.float().mean()),
        single=float((sizes == 1).float().mean()),
    )


def measure() -> None:
    """Measure every part that has no record."""
    torch.set_num_threads(1)
    for name, (data, settings) in PARTS.items():
        path = FOLDER / f"{name}.json"
        if path.exists():
            continue
        part = pool(data, settings)
        io.make_folder(FOLDER)
        record = {
            "data": data,
            "backbone": settings.model_dump(exclude_defaults=True),
            "test_images": len(part.test_labels),
            "refusals": list(refusals(part)),
            "sets": list(coverages(part)),
        }
        io.write_json(path, record)
        print(path, flush=True)


def records() -> dict[str, Record]:
    """Return the published records."""
    paths = {name: FOLDER / f"{name}.json" for name in PARTS}
    return {name: io.read_json(path) for name, path in paths.items() if path.exists()}


def _mean(values: Sequence[float], form: str = ".3f") -> str:
    score = summary(values)
    return f"{score.mean:{form}}{plus_minus(score.ci95, form)}"


def table_of_refusals() -> str:
    """Return how well scores separate known classes from unknown ones, and what is refused."""
    lines = []
    for name, record in records().items():
        for shots in SHOTS:
            trials = [one for one in record["refusals"] if one["shots"] == shots]
            lines.append(
                [
                    name.partition("-")[0],
                    name.partition("-")[2],
                    shots,
                    _mean([one["auroc_of_probability"] for one in trials]),
                    _mean([one["auroc"] for one in trials]),
                    _mean([one["refused_known"] for one in trials]),
                    _mean([one["refused_unknown"] for one in trials]),
                ]
            )
    columns = ["data", "network", "labels", "AUROC, largest probability", "AUROC, known score"]
    return markdown_table([*columns, "refused, known", "refused, unknown"], lines)


def table_of_sets() -> str:
    """Return how often sets have the true class, and how large they are."""
    lines = []
    for name, record in records().items():
        groups: dict[tuple[bool, int, float], list[Covered]] = {}
        for one in record["sets"]:
            groups.setdefault((one["exact"], one["shots"], one["coverage"]), []).append(one)
        for (exact, shots, coverage), trials in sorted(groups.items()):
            lines.append(
                [
                    name.partition("-")[0],
                    name.partition("-")[2],
                    "exact" if exact else "from folds",
                    shots,
                    len(trials),
                    f"{coverage:g}",
                    _mean([one["covered"] for one in trials]),
                    _mean([one["size"] for one in trials], ".2f"),
                    _mean([one["single"] for one in trials], ".2f"),
                ]
            )
    columns = ["data", "network", "sets", "labels", "trials", "asked", "covered"]
    return markdown_table([*columns, "classes in a set", "sets of one class"], lines)


def tables() -> dict[str, str]:
    """Return the tables of the page."""
    return {"refusals": table_of_refusals(), "sets": table_of_sets()}


if __name__ == "__main__":
    if sys.argv[1:] == ["run"]:
        measure()
    else:
        pages.update([PAGE], tables, "scripts.unknown")
