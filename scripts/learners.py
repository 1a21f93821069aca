"""Puts the tables of reports/learners.md into it, from committed records; `--check` only says whether they are there.

python -m scripts.learners [--check]
"""

from __future__ import annotations

import sys
from pathlib import Path

from fewshot.report import comparison as table
from fewshot.report import differences
from fewshot.runs import records
from fewshot.runs.records import Record
from scripts import pages

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "reports" / "learners.md"
# Study kshot: test accuracy, the best of its row. Its k is not stated; 16, which row K13 names, is assumed.
REPORTED = {
    "finetune": ("K8, ConvNeXt-Tiny, ImageNet weights (K7, ResNet18: 0.44)", 0.63),
    "protonet": ("K9, prototypical network", 0.46),
    "siamese": ("K10, siamese network", 0.51),
    "maml": ("K11, MAML", 0.14),
}
FRACTIONS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1)
E11 = (
    0.2095,
    0.2503,
    0.2890,
    0.3283,
    0.3388,
    0.3407,
    0.3505,
)  # study experts, few-shot architecture
E12 = (0.1123, 0.1610, 0.1833, 0.2020, 0.3191, 0.3960, 0.4894)  # study experts, regular CNN


def found() -> list[Record]:
    return [record for _, record in records.find([ROOT / "reports" / "records" / "learners"])]


def _accuracy(record: Record) -> str:
    return table.with_interval(record["scores"]["accuracy"])


def _name(record: Record) -> str:
    return table.method_of(record) + (
        "" if record["weights"] == "pretrained" else ", random weights"
    )


def at_16() -> str:
    """Every learner at 16 shots, beside what the report of study kshot states."""
    rows = [
        "| learner | accuracy ± 95% | n | seconds a draw | reported system | reported | difference |",
        "|:--|--:|--:|--:|:--|--:|--:|",
    ]
    of_16 = [record for record in found() if record["shots"] == 16]
    for record in sorted(of_16, key=lambda each: -each["scores"]["accuracy"]["mean"]):
        mean = record["scores"]["accuracy"]["mean"]
        system, reported = REPORTED.get(record["method"], ("", None))
        row = [
            _name(record),
            _accuracy(record),
            str(len(record["seeds"])),
            f"{records.seconds(record):.1f}",
            system,
            *(["", ""] if reported is None else [f"{reported:.2f}", f"{mean - reported:+.2f}"]),
        ]
        rows.append(f"| {' | '.join(row)} |")
    return "\n".join(rows)


def at_128() -> str:
    """Every learner at 128 shots, and its paired difference to the probe."""
    of_128 = [record for record in found() if record["shots"] == 128]
    probed = next(record for record in of_128 if record["method"] == "probe")
    rows = [
        "| learner | accuracy ± 95% | n | to the probe, paired | seconds a draw | machine |",
        "|:--|--:|--:|--:|--:|:--|",
    ]
    for record in sorted(of_128, key=lambda each: -each["scores"]["accuracy"]["mean"]):
        row = [
            _name(record),
            _accuracy(record),
            str(len(record["seeds"])),
            "" if record is probed else str(differences.paired(record, probed)),
            f"{records.seconds(record):.0f}",
            record["provenance"]["device"],
        ]
        rows.append(f"| {' | '.join(row)} |")
    return "\n".join(rows)


def by_fraction() -> str:
    """finetune and scratch on fractions of the training set, beside the rows of study experts."""
    rows = [
        "| fraction | a class | finetune | n | E11, reported | scratch | n | E12, reported |",
        "|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    measured = {
        (record["method"], record["fraction"]): record for record in found() if record["fraction"]
    }
    for fraction, few_shot, regular in zip(FRACTIONS, E11, E12, strict=True):
        row = [f"{fraction:g}", f"{5000 * fraction:g}"]
        for method, reported in (("finetune", few_shot), ("scratch", regular)):
            record = measured.get((method, fraction))
            n = "" if record is None else str(len(record["seeds"]))
            row += ["not run" if record is None else _accuracy(record), n, f"{reported:.4f}"]
        rows.append(f"| {' | '.join(row)} |")
    return "\n".join(rows)


if __name__ == "__main__":
    wanted = pages.filled(
        PAGE.read_text(), {"16": at_16(), "128": at_128(), "fractions": by_fraction()}
    )
    if "--check" in sys.argv:
        sys.exit(
            0
            if PAGE.read_text() == wanted
            else f"{PAGE.name} is stale: run python -m scripts.learners"
        )
    PAGE.write_text(wanted)
