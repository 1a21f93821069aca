"""Write the tables of reports/statistics.md from the simulated coverage and false findings.

python -m benchmarks.statistics_simulation   # simulates again; takes some minutes
python -m scripts.statistics                 # writes the tables
python -m scripts.statistics --check         # exits with an error if one is stale
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from benchmarks.common import RESULTS
from fewshot.report.formatting import markdown_table
from scripts import pages
from scripts.pages import ROOT

PAGE = ROOT / "reports" / "statistics.md"
RESULT = RESULTS / "statistics_simulation.json"
INTERVALS = {
    "over trials, for these images": "±, for these images",
    "over trials, for all images": "±, for all images",
    "with test images": "with test images",
    "with test images, spread unknown": "with test images, spread unknown",
}
LEVEL = 0.05


def read() -> dict[str, Any]:
    """Return the published result of the simulation."""
    result: dict[str, Any] = json.loads(RESULT.read_text(encoding="utf-8"))
    return result


def standard_error(share: float, n: int) -> float:
    """Return the standard error of a share in n experiments, in percent."""
    return float(100 * (share * (1 - share) / n) ** 0.5)


def percent(share: float) -> str:
    return f"{100 * share:.1f}%"


def coverage(result: dict[str, Any]) -> str:
    """Return how often each interval contains the truth, and in brackets its mean width."""
    rows = []
    for case in result["coverage"]:
        cells = []
        for name in INTERVALS:
            inside, width = case["inside"].get(name), case["width"].get(name)
            cells.append("" if inside is None else f"{percent(inside)} ({100 * width:.1f})")
        rows.append([case["task"], case["trials"], *cells])
    return markdown_table(["test set", "trials", *INTERVALS.values()], rows)


def findings(result: dict[str, Any]) -> str:
    """Return false findings and power by the number of methods and of trials."""
    rows = []
    for case in result["findings"]:
        head = [case["methods"], case["trials"], case["spreads"]]
        rows.append([*head, *map(percent, case["false"]), *map(percent, case["power"][:2])])
    columns = ["methods", "trials", "spreads of the methods", "best against the others"]
    columns += ["all pairs", "Tukey", "power, best against the others", "power, all pairs"]
    return markdown_table(columns, rows)


def chosen(result: dict[str, Any]) -> str:
    """Return false findings if each row competes with the best of its settings."""
    rows = []
    for case in result["chosen"]:
        settings = ", ".join(map(str, case["settings"]))
        rows.append([settings, case["trials"], *map(percent, case["false"])])
    columns = ["settings of each row", "trials", "best settings alone", "all pairs of settings"]
    return markdown_table(columns, rows)


def span(shares: Sequence[float]) -> str:
    """Return the least and the greatest share in percent."""
    return f"{percent(min(shares))} to {percent(max(shares))}"


def reached(shares: Sequence[float], n: int) -> str:
    """Return in how many cases the coverage is at least nominal within two standard errors."""
    least = 0.95 - 2 * standard_error(0.95, n) / 100
    return f"{sum(share >= least for share in shares)} of {len(shares)} cases"


def summary(result: dict[str, Any]) -> str:
    """Return what the tables show, in sentences."""
    n = result["n"]
    several = [case["inside"] for case in result["coverage"] if case["trials"] > 1]
    for_these, for_all, new, unknown = ([case[name] for case in several] for name in INTERVALS)
    single = [
        case["inside"]["with test images"] for case in result["coverage"] if case["trials"] == 1
    ]
    others, pairs, tukey = zip(*(case["false"] for case in result["findings"]), strict=True)
    of_rows, of_settings = zip(*(case["false"] for case in result["chosen"]), strict=True)
    lines = [
        "The interval **with test images** of several trials contains the true accuracy in "
        f"{span(new)} of {n:,} experiments; 95% is promised, and the standard error of each number "
        f"is {standard_error(0.95, n):.1f}%. It is at least 95%, within two standard errors, in "
        f"{reached(new, n)}. If the spread over images is unknown: {span(unknown)}, "
        f"{reached(unknown, n)}. For a single trial, the truth is its own accuracy on all images "
        f"of the kind: {span(single)}, {reached(single, n)}.",
        "The interval over trials (±), read as one for all images of the kind, contains the truth "
        f"in {span(for_all)}. For these images, as which it is meant, it does in "
        f"{span(for_these)}, at least 95% within two standard errors in {reached(for_these, n)}.",
        "Tests of **the best against the others** alone find a difference among equal methods in "
        f"{span(others)} of the experiments; 5% is promised. **All pairs** find one in "
        f"{span(pairs)} (standard error {standard_error(LEVEL, n):.1f}%). Tukey's test, which "
        f"assumes that all methods vary equally, finds one in {span(tukey)}.",
        "If each row competes with its best setting, tests of these alone find a difference in "
        f"{span(of_rows)}; all pairs of settings in {span(of_settings)}.",
    ]
    return "\n".join(f"- {line}" for line in lines)


def tables() -> dict[str, str]:
    result = read()
    return {
        "summary": summary(result),
        "coverage": coverage(result),
        "findings": findings(result),
        "chosen": chosen(result),
    }


if __name__ == "__main__":
    pages.update([PAGE], tables, "scripts.statistics")
