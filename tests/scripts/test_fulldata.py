"""The tables of fulldata.md against the raw records."""

from __future__ import annotations

import json
import statistics

from scripts import fulldata
from scripts.pages import RECORDS


def test_a_preset_has_both_accuracies_of_one_training() -> None:
    contents = [json.loads(path.read_text()) for path in (RECORDS / "fulldata").glob("*.json")]
    (fast,) = [one for one in contents if one["preset"] == "fast" and one["fraction"] is None]
    (line,) = [line for line in fulldata.presets(True).splitlines() if line.startswith("| fast |")]
    cells = [cell.strip() for cell in line[1:-1].split("|")]
    without = fast["measures"]["accuracy_without_views"]["mean"]
    assert cells[2].startswith(f"{without:.4f} ± ")
    assert cells[3].startswith(f"{statistics.fmean(fast['scores']['accuracy']['values']):.4f} ± ")
    assert cells[4] == str(len(fast["seeds"]))


def test_every_network_of_the_reports_has_a_row() -> None:
    rows = [line.split(" | ")[1] for line in fulldata.recipes().splitlines()[2:]]
    assert rows == list(fulldata.NETWORKS)
