"""The table of what benchmarks/one_epoch.py measured: the cost of training on a CPU."""

from __future__ import annotations

import json

from fewshot.report import formatting
from scripts.pages import ROOT

RESULT = ROOT / "benchmarks" / "results" / "one_epoch.json"


def table() -> str:
    """Return the speed of a training step of each network, and the seconds of an epoch."""
    result = json.loads(RESULT.read_text(encoding="utf-8"))
    rows = []
    for name, measured in result["networks"].items():
        names = [row for row, cost in result["rows"].items() if cost["network"] == name]
        costs = [cost for cost in result["rows"].values() if cost["network"] == name]
        seconds = [measured["epoch_seconds"], costs[0]["training_seconds"]]
        rows.append(
            [
                f"{name} ({', '.join(names)})",
                f"{measured['gflop_per_image']:.2g}",
                f"{measured['images_per_second_before']:,.0f}",
                f"{measured['images_per_second']:,.0f}",
                f"{measured['ratio']:.2f}",
                f"{measured['precision']}, {measured['share_of_peak']:.0%}",
                *(f"{number:,.3g}" if number < 100 else f"{number:,.0f}" for number in seconds),
            ]
        )
    columns = formatting.markdown_table(
        [
            f"network (rows), medians of {result['n']}",
            "GFLOP per image",
            "images/s, before",
            "now",
            "ratio",
            "share of the peak",
            "an epoch, s",
            "a training, s",
        ],
        rows,
    )
    peaks = result["peak_gflop_per_second"]
    load = result["load_average"][0]
    return (
        f"{columns}\n\n({result['machine']}, load average {load:.0f}; the peak is "
        f"{peaks['bfloat16']:,.0f} GFLOP/s in bfloat16 and {peaks['float32']:,.0f} in float32.)"
    )
