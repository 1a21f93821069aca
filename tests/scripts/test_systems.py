"""The table of few-shot systems against raw records, and the rule for reported numbers."""

from __future__ import annotations

import json
import statistics
from typing import Any

from scripts import systems
from scripts.pages import RECORDS

STATED = {
    "K9": 46,
    "K10": 51,
    "K11": 14,
}  # seeds/004, slide "other models", test accuracy in percent


def lines() -> list[list[str]]:
    rows = [line for line in systems.table().splitlines() if line.startswith("| K")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in rows]


def raw(path: str) -> dict[str, Any]:
    content = json.loads((RECORDS / path).read_text())
    return content.get("record", content)


def test_a_reported_number_stands_only_beside_a_trained_system() -> None:
    trained, untrained = set(), set()
    for row, words, *_, reported, difference in lines():
        name = row.split(",")[0]
        if "not trained" in words:
            assert (reported, difference) == ("", "")
            untrained.add(name)
        else:
            assert "trained on " in words
            assert " weights" in words
            assert reported == str(STATED[name])
            trained.add(name)
    assert trained == untrained == set(STATED)


def test_the_numbers_are_the_means_of_the_records() -> None:
    (place,) = (RECORDS / "kshot" / "small" / "K9").glob("the_slides_*-shots=16.json")
    values = raw(str(place.relative_to(RECORDS)))["scores"]["accuracy"]["values"]
    mean = 100 * statistics.fmean(values)
    (line,) = [line for line in lines() if line[0].startswith("K9") and line[1].endswith("rate")]
    assert line[4].startswith(f"{mean:.1f} ± ")
    assert line[4].endswith(f"({len(values)})")
    assert line[6] == f"{mean - 46:+.1f}"
    means = [100 * raw(f"learners/maml-{n}.json")["scores"]["accuracy"]["mean"] for n in (1, 4, 16)]
    (line,) = [line for line in lines() if line[0].startswith("K11") and "not trained" in line[1]]
    assert [cell.split(" ± ")[0] for cell in line[2:5]] == [f"{mean:.1f}" for mean in means]
