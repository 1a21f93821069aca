"""Puts the tables of reports/fulldata.md into it, from committed records; `--check` only says whether they are there.

python -m scripts.fulldata [--check]
"""

from __future__ import annotations

import json
import sys
from datetime import datetime
from pathlib import Path

from fewshot.report.comparison import with_interval
from fewshot.runs import records
from fewshot.runs.records import Record
from scripts import pages

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "reports" / "fulldata.md"
E12 = {0.02: 0.3191, 0.1: 0.4894}  # study experts, regular CNN
BEST = 0.9129  # study hyperparameters, section 4.3: the best single network
NETWORKS = {
    "baseline-cnn": "K1",
    "vgg": "H1",
    "custom-cnn": "E4",
    "mlp": "A1",
}  # of the reports, by backbone: the row


def found() -> list[Record]:
    return [record for _, record in records.find([ROOT / "reports" / "records" / "fulldata"])]


def _minutes(record: Record) -> float:
    """Of a draw, from its beginning to its end: with judging, and without the start of the process."""
    ends = [datetime.fromisoformat(record["provenance"][each]) for each in ("started", "finished")]
    return (ends[1] - ends[0]).total_seconds() / 60 / len(record["seeds"])


def _name(record: Record) -> str:
    """The preset, and how the record differs from what it is now."""
    learner, name = record["config"]["learner"], str(record["preset"])
    if name == "accurate" and learner.get("members", 1) == 1:
        name += ", one network that recalls nothing"
    return name + (", whole batches at the end" if learner.get("keep_until", 1) < 1 else "")


def presets(all_images: bool = False) -> str:
    """The presets by goal, without test-time views and with six; all_images: and not on fractions."""
    rows = [
        "| preset | images | without views | with six views | n | training, min | in all, min | machine | reported |",
        "|:--|--:|--:|--:|--:|--:|--:|:--|:--|",
    ]
    of_goal = [record for record in found() if record["preset"] in ("fast", "accurate")]
    of_goal = [record for record in of_goal if not (all_images and record["fraction"])]
    for record in sorted(of_goal, key=lambda each: (-each["labels"], each["preset"] == "accurate")):
        fraction = record["fraction"]
        reported = (
            f"E12, regular CNN: {E12[fraction]:.4f}"
            if fraction
            else f"H6, best single network: {BEST:.4f}"
        )
        scores, plain = (
            record["scores"]["accuracy"],
            record["measures"].get("accuracy_without_views"),
        )
        viewed = record["config"]["backbone"]["views"] != "none"
        row = [
            _name(record),
            f"{record['labels']:,}",
            with_interval(scores) if not viewed else with_interval(plain) if plain else "not told",
            with_interval(scores) if viewed else "",
            str(len(record["seeds"])),
            f"{record['cost']['train_seconds'] / 60:.1f}",
            f"{_minutes(record):.1f}",
            record["provenance"]["device"],
            reported,
        ]
        rows.append(f"| {' | '.join(row)} |")
    return "\n".join(rows)


def recipes() -> str:
    """The reports' networks by the reports' training and by preset `modern`, on the same images."""
    rows = [
        "| row | network | images | the report's training | preset `modern` | difference | images seen, each |",
        "|:--|:--|--:|--:|--:|--:|--:|",
    ]
    by_network: dict[str, dict[bool, Record]] = {}
    for record in found():
        if record["backbone"] in NETWORKS:
            by_network.setdefault(record["backbone"], {})[record["preset"] == "modern"] = record
    for backbone, row in NETWORKS.items():
        theirs, modern = by_network[backbone][False], by_network[backbone][True]
        means = [each["scores"]["accuracy"]["mean"] for each in (theirs, modern)]
        seen = [
            each["cost"]["train_seconds"] * each["cost"]["images_per_second"]
            for each in (theirs, modern)
        ]
        cells = [row, backbone, f"{modern['labels']:,}", *(f"{each:.4f}" for each in means)]
        cells += [f"{means[1] - means[0]:+.4f}", " and ".join(f"{each:,.0f}" for each in seen)]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def beside_a_plain_loop() -> str:
    """What benchmarks/fulldata.py measured last."""
    found = json.loads((ROOT / "benchmarks" / "results" / "fulldata.json").read_text())
    plain, ours, step = found["medians"]["plain"], found["medians"]["ours"], found["step"]
    rows = [
        f"| {found['machine']}, n = {found['n']} | plain loop | `fast`, shortened | ratio |",
        "|:--|--:|--:|--:|",
    ]
    for name, key in (("seconds of training", "seconds"), ("images seen", "images")):
        rows.append(
            f"| {name} | {plain[key]:,.0f} | {ours[key]:,.0f} | {plain[key] / ours[key]:.1f} |"
        )
    rows.append(f"| accuracy then | {plain['accuracy']:.4f} | {ours['accuracy']:.4f} | |")
    peak, other = 100 * step["share_of_peak"], 100 * step["share_that_is_no_product"]
    rate, speed = step["flops_a_second"] / 1e9, step["images_per_second"]
    words = (
        f"A step of `fast`, a batch of {step['batch']:,}, does {rate:,.0f} GFLOP/s, {peak:.0f}% of what a large bf16 "
        f"product does there, or {speed:,.0f} images/s; {other:.0f}% of its time is no convolution or product."
    )
    return "\n".join([*rows, "", words])


if __name__ == "__main__":
    tables = {"presets": presets(), "recipes": recipes(), "plain loop": beside_a_plain_loop()}
    wanted = pages.filled(PAGE.read_text(), tables)
    if "--check" in sys.argv:
        sys.exit(
            0
            if PAGE.read_text() == wanted
            else f"{PAGE.name} is stale: run python -m scripts.fulldata"
        )
    PAGE.write_text(wanted)
