"""The table of what benchmarks/episodes.py measured: tasks per second beside other packages."""

from __future__ import annotations

import json
from typing import Any

from fewshot.report import formatting
from scripts.pages import ROOT

RESULT = ROOT / "benchmarks" / "results" / "episodes.json"
HOW = {"given": "", "sampled": ", with sampling"}


def _row(what: str, other: str, measured: dict[str, Any]) -> list[str]:
    rates = measured["tasks_per_second"]
    shown = [_rate(rates[name]["clock"]) for name in (other, "fewshot")]
    ratio = measured["ratio"][other]
    return [what, other, *shown, f"{ratio['clock']:.3g}", f"{ratio['processor']:.3g}"]


def table() -> str:
    """Return tasks per second of easyfsl, learn2learn and fewshot, and their ratios."""
    result = json.loads(RESULT.read_text(encoding="utf-8"))
    rows = []
    for key, measured in result["prototypes"].items():
        body, shots = key.split(", ")
        name = f"prototypes, 5-way {shots.replace(' ', '-')}, {measured['features']:,} features"
        rows += [
            _row(f"{name} ({body}){words}", "easyfsl", measured[how]) for how, words in HOW.items()
        ]
    for body, measured in result["anil"].items():
        rows.append(
            _row(f"ANIL on features of {body}, evaluation", "learn2learn", measured["evaluation"])
        )
        rows.append(
            _row(f"ANIL on features of {body}, training", "learn2learn", measured["training"])
        )
    for steps, measured in result["maml"].items():
        words = steps if not steps.startswith("1 ") else "1 inner step"
        rows.append(_row(f"MAML, training of conv4, {words}", "learn2learn", measured))
    head = f"tasks per second, medians of {result['n']}"
    columns = formatting.markdown_table(
        [head, "beside", "theirs", "fewshot", "ratio", "of processor time"], rows
    )
    threads = formatting.counted(result["threads"], "thread")
    return (
        f"{columns}\n\n({result['machine'].split(',')[0]}, {threads}; the ratio is the median of "
        "the ratios within a round, which differs from the ratio of the medians if a round is slow)"
    )


def _rate(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"
