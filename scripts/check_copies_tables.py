"""Tables of the search for copies, and the contact sheets from which a sample of it is inspected.

python -m scripts.check_copies_tables DIR  # draw the sample of reported pairs

One reader wrote reports/records/check/copies_inspected.json from the contact sheets: for each pair
of the sample, in its order, `copy` (one picture, however changed), `other` or `unsure`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple, TypedDict

from PIL import Image

from fewshot import io
from fewshot.checks import reading
from fewshot.evaluation.statistics import Score
from fewshot.report.formatting import markdown_table
from scripts.check_copies import (
    CHANGES,
    FOLDER,
    PLANTED,
    Drawings,
    Known,
    Listed,
    Name,
    Planted,
    Seconds,
    positions,
)

SHEET = 20  # pairs on a contact sheet
COLUMNS, SIDE, GAP = 4, 128, 8  # of a contact sheet, the last two in pixels
COPY, OTHER, UNSURE = "copy", "other", "unsure"


class Verdict(TypedDict):
    """What one reader sees in a pair of the sample."""

    test_image: Name
    training_image: Name
    verdict: str


class Precision(NamedTuple):
    """Share of the reported test images that are in the training set, with a 95% interval."""

    share: float
    low: float
    high: float


def draw_sheets(folder: Path) -> None:
    """Draw the pairs of the sample: the training and the test image, and the latter mirrored."""
    record = known()
    train, test = reading.read("cifar10", with_features=False)
    of_train, of_test = positions(train).of_name, positions(test).of_name
    io.make_folder(folder)
    for start in range(0, len(record["sample"]), SHEET):
        rows = SHEET // COLUMNS
        sheet = Image.new("RGB", (COLUMNS * (3 * SIDE + GAP), rows * (SIDE + GAP)), "white")
        for number, (first, second) in enumerate(record["sample"][start : start + SHEET]):
            pixels = test.thumbnails[of_test[first[0], first[1]]]
            images = train.thumbnails[of_train[second[0], second[1]]], pixels, pixels.flip(2)
            x, y = number % COLUMNS * (3 * SIDE + GAP), number // COLUMNS * (SIDE + GAP)
            for one in images:
                image = Image.fromarray(one.permute(1, 2, 0).numpy())
                sheet.paste(image.resize((SIDE, SIDE), Image.Resampling.BICUBIC), (x, y))
                x += SIDE
        sheet.save(folder / f"{start // SHEET}.png")


def known() -> Known:
    """Return what is reported of CIFAR-10."""
    record: Known = io.read_json(FOLDER / "copies.json")
    return record


def verdicts() -> list[str]:
    """Return the verdicts about the sample, in its order."""
    record: list[Verdict] = io.read_json(FOLDER / "copies_inspected.json")
    sample = [(tuple(first), tuple(second)) for first, second in known()["sample"]]
    rows = [(tuple(row["test_image"]), tuple(row["training_image"])) for row in record]
    assert rows == sample, "the verdicts are about another sample"
    return [row["verdict"] for row in record]


def precision(record: Known, words: list[str]) -> Precision:
    """Return the precision: listed near copies are right, and others as often as in the sample.

    Images that are listed as very similar, and unsure ones of the sample, count as wrong.
    """
    n_right = sum(row["reported"] and row["kind"] == "near" for row in record["in_training"])
    n_beyond, n_all = record["test_images_beyond"], record["test_images"]
    share = words.count(COPY) / len(words)
    low, high = Score(share, None, None, [share]).with_test_images(len(words))
    return Precision(*((n_right + n_beyond * part) / n_all for part in (share, low, high)))


def table_of_listed() -> str:
    """Return how many of the listed pairs are reported."""
    record = known()
    rows = record["in_training"]
    near = [row for row in rows if row["kind"] == "near"]
    within = [row for row in record["within_test"] if row["kind"] == "near"]
    groups = {
        "near, all": near,
        "near, the half that chose the threshold": [r for r in near if r["chose_threshold"]],
        "near, the other half": [r for r in near if not r["chose_threshold"]],
        "very similar": [row for row in rows if row["kind"] == "very similar"],
        "within the test set, near": within,
        "within the test set, very similar": [
            row for row in record["within_test"] if row["kind"] == "very similar"
        ],
    }
    lines = [[words, *_counts(group)] for words, group in groups.items()]
    return markdown_table(["listed", "pairs", "reported", "share", "as this very pair"], lines)


def _counts(rows: list[Listed]) -> list[object]:
    reported = sum(row["reported"] for row in rows)
    as_pair = sum(row["as_this_pair"] for row in rows)
    return [len(rows), reported, f"{reported / len(rows):.3f}", as_pair]


def table_of_precision() -> str:
    """Return what is reported beyond the list, and the precision that a sample of it gives."""
    record, words = known(), verdicts()
    share = precision(record, words)
    lines = [
        ["test images that are reported", record["test_images"]],
        ["of these beyond the list", record["test_images_beyond"]],
        ["of these inspected", len(words)],
        ["copies", words.count(COPY)],
        ["no copies", words.count(OTHER)],
        ["unsure", words.count(UNSURE)],
        ["precision over all", f"{share.share:.3f} ({share.low:.3f} to {share.high:.3f})"],
        ["pairs that are reported", record["pairs"]],
        ["pairs within the test set", record["pairs_within_test"]],
        ["of these beyond the list", record["pairs_within_test_beyond"]],
    ]
    return markdown_table(["what", "number"], lines)


def table_of_planted() -> str:
    """Return how many planted copies are reported, and which pairs besides."""
    record: list[Planted] = io.read_json(FOLDER / "copies_planted.json")
    lines = []
    for row in record:
        counts = [row["reported"][change] for change in CHANGES]
        words = f"{row['data']}, {row['originals']:,} images"
        total = f"{sum(counts) / PLANTED / len(CHANGES):.3f}"
        lines.append([words, *counts, total, len(row["others"])])
    return markdown_table(["among", *CHANGES, "recall", "other pairs"], lines)


def table_of_drawings() -> str:
    """Return what is reported among digits and drawings."""
    record: list[Drawings] = io.read_json(FOLDER / "copies_drawings.json")
    lines: list[list[object]] = [list(row.values()) for row in record]
    header = ["images", "n", "pairs of equal pixels", "other pairs"]
    return markdown_table([*header, "other pairs where classes are not known"], lines)


def table_of_seconds() -> str:
    """Return the seconds of searches."""
    record: list[Seconds] = io.read_json(FOLDER / "copies_seconds.json")
    return markdown_table(
        ["search in", "seconds"], [[row["images"], f"{row['seconds']:.0f}"] for row in record]
    )


if __name__ == "__main__":
    draw_sheets(Path(sys.argv[1]))
