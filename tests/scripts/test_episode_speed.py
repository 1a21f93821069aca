"""The table of tasks per second against the numbers of the result file, read here by hand."""

from __future__ import annotations

import json

import pytest

from scripts import episode_speed


def test_every_measurement_has_a_row_with_its_ratio() -> None:
    result = json.loads(episode_speed.RESULT.read_text())
    lines = episode_speed.table().splitlines()
    n_rows = 2 * len(result["prototypes"]) + len(result["maml"]) + 2 * len(result["anil"])
    assert (
        len([line for line in lines if line.startswith(("| proto", "| MAML", "| ANIL"))]) == n_rows
    )
    (line,) = [line for line in lines if "1-shot" in line and "conv4" in line and "sampl" in line]
    cells = [cell.strip() for cell in line[1:-1].split("|")]
    measured = result["prototypes"]["conv4, 1 shot"]["sampled"]
    rates = measured["tasks_per_second"]
    expected = [
        rates["easyfsl"]["clock"],
        rates["fewshot"]["clock"],
        measured["ratio"]["easyfsl"]["clock"],
        measured["ratio"]["easyfsl"]["processor"],
    ]
    shown = [float(cell.replace(",", "")) for cell in cells[2:]]
    assert shown == pytest.approx(expected, rel=0.01)
