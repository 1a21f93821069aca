"""Measure the checks of labels, of images of no class and of shortcuts, with planted faults.

python -m scripts.check_labels     # compute features and measure what has no record yet

Images are test images, on which no constant of the checks was chosen. Trial t chooses them, and
the faults among them, at random with seed t. The records are in reports/records/check.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TypedDict

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from episodes import datasets
from fewshot import io
from fewshot.backbones.default_network import LARGE, SMALL
from fewshot.checks import label_errors, outliers, shortcuts
from fewshot.checks.inspected import Inspected
from fewshot.config import BackboneSettings
from fewshot.evaluation import confident_learning
from fewshot.evaluation.statistics import summary
from fewshot.model import candidates
from fewshot.report.formatting import markdown_table, plus_minus
from scripts.pages import RECORDS, ROOT

FOLDER = RECORDS / "check"
PREDICTIONS = ROOT / "tests" / "fewshot" / "evaluation" / "cleanlab_cifar10" / "predictions.npz"
FAULTS = ROOT / "episodes" / "datasets" / "cifar10_faults.json"
SHARE = 0.05  # of the images that get a wrong label, or are of no class
# Labels a class -> trials.
SIZES = {
    "imagenette160": {4: 10, 8: 10, 16: 10, 45: 10},
    "cifar10": {4: 10, 8: 10, 16: 10, 50: 10, 100: 4, 500: 2},
}
NETWORKS = {"imagenette160": LARGE, "cifar10": SMALL}
KNOWN = 6  # classes; images of the others are of no class


class Flipped(TypedDict):
    """What is found of wrong labels in one trial.

    `likely` counts the errors of confident learning, `surest` those that the check reports; each
    in all, those that are wrong labels, and those among the same images with their own labels.
    """

    data: str
    shots: int
    trial: int
    wrong: int
    auroc: float
    accuracy: float
    likely: list[int]
    surest: list[int]
    seconds: float


class Foreign(TypedDict):
    """What is found of images of no class in one trial."""

    data: str
    shots: int
    trial: int
    foreign: int
    auroc: float
    reported: int
    right: int
    reported_without: int


class Property(TypedDict):
    """How well a property distinguishes the class that it distinguishes best."""

    data: str
    planted: str
    name: str
    balanced_accuracy: float
    low: float


class Confirmed(TypedDict):
    """What confident learning finds of the errors that people confirmed."""

    flagged: int
    confirmed: int
    confirmed_and_flagged: int


class Record(TypedDict):
    """All that is measured."""

    cleanlab: Confirmed
    flipped: list[Flipped]
    foreign: list[Foreign]
    properties: list[Property]


class Pool(NamedTuple):
    """Features and labels of the test images of a data set."""

    features: Tensor
    labels: Tensor


def pool(data: str, settings: BackboneSettings) -> Pool:
    """Compute the features of the test images."""
    side = settings.input_size or 32
    images = datasets.load(data, input_size=side).test
    assert images is not None
    network = candidates.build(settings, "cpu")
    return Pool(candidates.features(network, images, "cpu"), images.labels)


def of_classes(labels: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """Return the indices of n random images of each class."""
    rows = []
    for label in range(int(labels.max()) + 1):
        members = (labels == label).nonzero()[:, 0]
        rows.append(members[torch.randperm(len(members), generator=generator)[:n]])
    return torch.cat(rows)


def confirmed() -> Confirmed:
    """Return what is found in the published predictions for CIFAR-10's test images."""
    with np.load(PREDICTIONS) as published:
        labels = torch.from_numpy(published["labels"]).long()
        probabilities = torch.from_numpy(published["per_mille"].astype(float)) / 1000
    errors = set(confident_learning.likely_errors(labels, probabilities).indices.tolist())
    images = json.loads(Path(FAULTS).read_text(encoding="utf-8"))["images"]
    wrong = {index for index, _, _, kinds, _ in images if "wrong label" in kinds}
    return Confirmed(
        flagged=len(errors), confirmed=len(wrong), confirmed_and_flagged=len(errors & wrong)
    )


def flips(data: str, part: Pool) -> Iterator[Flipped]:
    """Yield what is found of a share of wrong labels."""
    n_way = int(part.labels.max()) + 1
    for shots, n_trials in SIZES[data].items():
        for trial in range(n_trials):
            generator = torch.Generator().manual_seed(trial)
            rows = of_classes(part.labels, shots, generator)
            features, true = part.features[rows], part.labels[rows]
            n_wrong = max(1, round(SHARE * len(rows)))
            wrong = torch.randperm(len(rows), generator=generator)[:n_wrong]
            is_wrong = torch.zeros(len(rows), dtype=torch.bool)
            is_wrong[wrong] = True
            others = torch.randint(1, n_way, (n_wrong,), generator=generator)
            given = true.clone()
            given[wrong] = (true[wrong] + others) % n_way
            started = time.perf_counter()
            auroc, _, noisy = _measured(features, given, is_wrong)
            seconds = time.perf_counter() - started
            _, accuracy, clean = _measured(features, true, is_wrong)
            likely, surest = (
                [int(one.sum()), int(one[wrong].sum()), int(own.sum())]
                for one, own in zip(noisy, clean, strict=True)
            )
            yield Flipped(
                data=data,
                shots=shots,
                trial=trial,
                wrong=n_wrong,
                auroc=auroc,
                accuracy=accuracy,
                likely=likely,
                surest=surest,
                seconds=seconds,
            )


def _measured(
    features: Tensor, labels: Tensor, is_wrong: Tensor
) -> tuple[float, float, tuple[Tensor, Tensor]]:
    """Return the AUROC, the accuracy, and which labels are likely and most surely errors."""
    held_out, temperature = label_errors.cross_validated(features, labels, None)
    probabilities = (held_out.logits / temperature).softmax(1)
    own = probabilities.gather(1, held_out.labels[:, None])[:, 0]
    auroc = float(roc_auc_score(is_wrong[held_out.positions], 1 - own))
    accuracy = float((probabilities.argmax(1) == held_out.labels).float().mean())
    errors = (
        confident_learning.likely_errors(held_out.labels, probabilities),
        confident_learning.surest(held_out.labels, held_out.logits, temperature),
    )
    masks = torch.zeros(2, len(labels), dtype=torch.bool)
    for mask, one in zip(masks, errors, strict=True):
        mask[held_out.positions[one.indices]] = True
    return auroc, accuracy, (masks[0], masks[1])


def foreigners(data: str, part: Pool) -> Iterator[Foreign]:
    """Yield what is found of images of other classes, which get random labels."""
    n_way = int(part.labels.max()) + 1
    for shots in SIZES[data]:
        for trial in range(10):
            generator = torch.Generator().manual_seed(trial)
            known = torch.randperm(n_way, generator=generator)[:KNOWN]
            rows = of_classes(part.labels, shots, generator).view(n_way, -1)[known].flatten()
            labels = torch.arange(KNOWN).repeat_interleave(shots)
            others = (~torch.isin(part.labels, known)).nonzero()[:, 0]
            n_foreign = max(1, round(SHARE * len(rows)))
            chosen = others[torch.randperm(len(others), generator=generator)[:n_foreign]]
            given = torch.randint(KNOWN, (n_foreign,), generator=generator)
            features = part.features[torch.cat([rows, chosen])]
            scores, positions = outliers.known_scores(features, torch.cat([labels, given]))
            is_foreign = positions >= len(rows)
            is_reported = scores < outliers.limit(scores)
            without, _ = outliers.known_scores(part.features[rows], labels)
            yield Foreign(
                data=data,
                shots=shots,
                trial=trial,
                foreign=n_foreign,
                auroc=float(roc_auc_score(~is_foreign, scores)),
                reported=int(is_reported.sum()),
                right=int((is_reported & is_foreign).sum()),
                reported_without=int((without < outliers.limit(without)).sum()),
            )


def properties(data: str) -> Iterator[Property]:
    """Yield what properties distinguish, as the images are and with planted shortcuts."""
    from fewshot.checks import reading

    part = reading.read(data, with_features=False)[-1]
    yield from _distinguished(data, "", part)
    chosen = part.labels == 0
    sizes = part.sizes.clone()
    sizes[chosen] = sizes[chosen] // 2
    yield from _distinguished(data, "half the size in one class", part._replace(sizes=sizes))
    thumbnails = part.thumbnails.clone()
    thumbnails[chosen, 0] = thumbnails[chosen, 0] // 2
    planted = part._replace(thumbnails=thumbnails)
    yield from _distinguished(data, "half the red in one class", planted)


def _distinguished(data: str, planted: str, part: Inspected) -> Iterator[Property]:
    labels = part.labels.numpy()
    for name, values in shortcuts.properties(part, np.arange(len(labels))[: shortcuts.MOST]):
        scores = list(shortcuts.balanced_accuracies(values, labels[: shortcuts.MOST]))
        _, score, low = max(scores, key=lambda one: one[2])
        yield Property(
            data=data, planted=planted, name=name, balanced_accuracy=float(score), low=float(low)
        )


def measure() -> None:
    """Measure everything, unless there is a record."""
    path = FOLDER / "labels.json"
    if path.exists():
        return
    record = Record(cleanlab=confirmed(), flipped=[], foreign=[], properties=[])
    for data, settings in NETWORKS.items():
        part = pool(data, settings)
        for flipped in flips(data, part):
            record["flipped"].append(flipped)
            print(flipped, flush=True)
        record["foreign"] += foreigners(data, part)
        record["properties"] += properties(data)
    io.make_folder(FOLDER)
    io.write_json(path, record)
    print(path, flush=True)


def read() -> Record:
    """Return the record."""
    record: Record = io.read_json(FOLDER / "labels.json")
    return record


def table_of_wrong_labels() -> str:
    """Return what is found of wrong labels, by data set and number of labels."""
    lines = []
    for data, sizes in SIZES.items():
        for shots in sizes:
            rows = [
                row for row in read()["flipped"] if (row["data"], row["shots"]) == (data, shots)
            ]
            lines.append(
                [
                    f"{data}, {shots} a class",
                    len(rows),
                    f"{np.mean([row['accuracy'] for row in rows]):.2f}",
                    _mean([row["auroc"] for row in rows]),
                    *_shares([row["surest"] for row in rows], [row["wrong"] for row in rows]),
                    *_shares([row["likely"] for row in rows], [row["wrong"] for row in rows]),
                    f"{np.mean([row['seconds'] for row in rows]):.1f}",
                ]
            )
    header = ["labels", "trials", "accuracy", "AUROC"]
    header += ["reported: right", "of the wrong ones", "false without any"]
    header += ["confident learning: right", "of the wrong ones", "false without any", "seconds"]
    return markdown_table(header, lines)


def _mean(values: list[float]) -> str:
    score = summary(values)
    return f"{score.mean:.3f}{plus_minus(score.ci95, '.3f')}"


def _shares(counts: list[list[int]], n_wrong: list[int]) -> list[str]:
    """Return precision, recall and the false alarms where all labels are right, of all trials."""
    reported, right, clean = np.sum(counts, 0).tolist()
    precision = f"{right / reported:.2f}" if reported else "-"
    return [precision, f"{right / sum(n_wrong):.2f}", f"{clean / len(counts):.1f}"]


def table_of_foreign_images() -> str:
    """Return what is found of images of no class."""
    lines = []
    for data, sizes in SIZES.items():
        for shots in sizes:
            rows = [
                row for row in read()["foreign"] if (row["data"], row["shots"]) == (data, shots)
            ]
            counts = [[row["reported"], row["right"], row["reported_without"]] for row in rows]
            lines.append(
                [
                    f"{data}, {shots} a class",
                    len(rows),
                    _mean([row["auroc"] for row in rows]),
                    *_shares(counts, [row["foreign"] for row in rows]),
                ]
            )
    header = ["images", "trials", "AUROC", "right", "of the foreign ones", "false without any"]
    return markdown_table(header, lines)


def table_of_properties() -> str:
    """Return what properties distinguish the class that they distinguish best."""
    lines = [
        [
            row["data"],
            row["planted"] or "as they are",
            row["name"],
            f"{row['balanced_accuracy']:.2f}",
            f"{row['low']:.2f}",
            "yes" if row["low"] >= shortcuts.LEAST else "no",
        ]
        for row in read()["properties"]
    ]
    header = ["images", "planted", "property", "balanced accuracy", "at least", "reported"]
    return markdown_table(header, lines)


def table_of_confirmed_errors() -> str:
    """Return what confident learning finds of the errors that people confirmed."""
    row = read()["cleanlab"]
    header = ["labels that people reject", "of these flagged", "flagged in all"]
    line = [row["confirmed"], row["confirmed_and_flagged"], row["flagged"]]
    return markdown_table(header, [line])


if __name__ == "__main__":
    measure()
