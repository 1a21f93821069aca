"""The table of tasks per second against the numbers of the result file, read here by hand."""

from __future__ import annotations

import json

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
    assert cells[2] == f"{measured['tasks_per_second']['easyfsl']['clock']:,.0f}"
    assert cells[3] == f"{measured['tasks_per_second']['fewshot']['clock']:,.0f}"
    assert cells[4] == f"{measured['ratio']['easyfsl']['clock']:.3g}"
