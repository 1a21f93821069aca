"""Puts the tables that README.md shows into it, from committed records; `--check` only says whether they are there.

python tools/readme.py [--check]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pages

from fewshot import records
from fewshot.report import table

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"


def compared(name: str, brief: bool = False) -> str:
    """The comparison table of the records under reports/records/<name>."""
    found = records.find([ROOT / "reports" / "records" / name])
    return table.markdown([record for _, record in found], brief)


# Study kshot: test accuracy, the best of its row. Its k is not stated; 16, which row K13 names, is assumed.
REPORTED = {
    "finetune": ("K8, ConvNeXt-Tiny, ImageNet weights", 0.63),
    "probe": ("K7, ResNet18, ImageNet weights, two layers unfrozen", 0.44),
    "protonet": ("K9, prototypical network", 0.46),
    "siamese": ("K10, siamese network", 0.51),
    "maml": ("K11, MAML", 0.14),
}


def learners() -> str:
    """Every learner at 16 shots, beside what the report of study kshot states."""
    found = [record for _, record in records.find([ROOT / "reports" / "records" / "learners"])]
    rows = [
        "| learner | accuracy ± 95% | n | seconds a draw | reported system | reported | difference |",
        "|:--|--:|--:|--:|:--|--:|--:|",
    ]
    at_16 = [record for record in found if record["shots"] == 16]
    for record in sorted(at_16, key=lambda each: -each["scores"]["accuracy"]["mean"]):
        accuracy, cost = record["scores"]["accuracy"], record["cost"]
        row = [
            record["method"] + ("" if record["weights"] == "pretrained" else ", random weights"),
            f"{accuracy['mean']:.4f} ± {accuracy['ci95']:.4f}",
            str(len(accuracy["values"])),
            f"{cost['train_seconds'] + cost['adapt_seconds']:.1f}",
        ]
        system, reported = REPORTED.get(record["method"], ("", None))
        row += [system, *(["", ""] if reported is None else [f"{reported:.2f}", f"{accuracy['mean'] - reported:+.2f}"])]
        rows.append(f"| {' | '.join(row)} |")
    return "\n".join(rows)


def speed() -> str:
    """What benchmarks/plain_loop.py measured."""
    found = json.loads((ROOT / "benchmarks" / "results" / "plain_loop.json").read_text())
    step, start, ratios = found["images_per_second"], found["first_batch_seconds"], found["ratios"]
    load = start["import torch"]
    rows = [
        ("training step, images/s", step["plain"], step["ours"], ratios["training step, to the plain loop"]),
        ("process start to first batch, s", start["plain"], start["ours"], ratios["first batch, to the plain loop"]),
        (
            f"the same beyond `import torch` ({load:.2f} s), s",
            start["plain"] - load,
            start["ours"] - load,
            ratios["first batch beyond import torch"],
        ),
    ]
    lines = [
        f"| enhanced-cnn, batch 128, medians of {found['n']} | plain loop | fewshot | ratio |",
        "|:--|--:|--:|--:|",
    ]
    lines += [f"| {what} | {plain:.3g} | {ours:.3g} | {ratio:.3g} |" for what, plain, ours, ratio in rows]
    return "\n".join([*lines, "", f"({found['machine']})"])


def features() -> str:
    """What benchmarks/cached_features.py measured."""
    found = json.loads((ROOT / "benchmarks" / "results" / "cached_features.json").read_text())
    shots = ", ".join(map(str, found["shots"]))
    lines = [
        f"| {found['what']} ({shots}), {found['backbone']['name']} | seconds | ratio |",
        "|:--|--:|--:|",
        f"| no cache ({found['without_a_cache']}) | {_seconds(found['seconds']['without a cache'])} | |",
    ]
    for name, ratio in found["ratios"].items():
        lines.append(f"| {name} | {_seconds(found['seconds'][name])} | {ratio:.3g} |")
    speed = found["images_per_second"]
    told = f"Features: {speed:,.0f} images/s, one view, median of {found['n_speed']} ({found['machine']})."
    return "\n".join([*lines, "", told])


def _seconds(found: float) -> str:
    return f"{found:,.0f}" if found >= 100 else f"{found:.3g}"


def written() -> str:
    """README.md as it should be."""
    tables = {
        "demo": compared("demo", brief=True),
        "pretrained": compared("pretrained"),
        "learners": learners(),
        "main": compared("main"),
        "speed": speed(),
        "features": features(),
    }
    return pages.filled(README.read_text(), tables)


if __name__ == "__main__":
    wanted = written()
    if "--check" in sys.argv:
        sys.exit(0 if README.read_text() == wanted else "README.md is stale: run python tools/readme.py")
    README.write_text(wanted)
