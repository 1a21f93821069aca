"""Puts the tables that README.md shows into it, from committed records; `--check` only says whether they are there.

python -m scripts.readme [--check]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from fewshot.report import comparison as table
from fewshot.runs import records
from scripts import fulldata, learners, pages

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"


def compared(name: str, brief: bool = False) -> str:
    """The comparison table of the records under reports/records/<name>."""
    found = records.find([ROOT / "reports" / "records" / name])
    return table.markdown([record for _, record in found], brief)


def speed() -> str:
    """What benchmarks/plain_loop.py measured."""
    found = json.loads((ROOT / "benchmarks" / "results" / "plain_loop.json").read_text())
    step, start, ratios = found["images_per_second"], found["first_batch_seconds"], found["ratios"]
    load = start["import torch"]
    rows = [
        (
            "training step, images/s",
            step["plain"],
            step["ours"],
            ratios["training step, to the plain loop"],
        ),
        (
            "process start to first batch, s",
            start["plain"],
            start["ours"],
            ratios["first batch, to the plain loop"],
        ),
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
    lines += [
        f"| {what} | {plain:.3g} | {ours:.3g} | {ratio:.3g} |" for what, plain, ours, ratio in rows
    ]
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
        "learners": learners.at_16(),
        "full": fulldata.presets(all_images=True),
        "main": compared("main"),
        "speed": speed(),
        "features": features(),
    }
    return pages.filled(README.read_text(), tables)


if __name__ == "__main__":
    wanted = written()
    if "--check" in sys.argv:
        sys.exit(
            0
            if README.read_text() == wanted
            else "README.md is stale: run python -m scripts.readme"
        )
    README.write_text(wanted)
