"""Oracle: a loader whose seconds the test decides, and the numbers of images that it reads."""

from __future__ import annotations

import time

from fewshot.studies import loader_timing


def test_the_smoke_table_has_a_row_for_each_loader() -> None:
    table = loader_timing.measure(smoke=True)
    assert table["columns"] == ["loader", "batch", "pinned", "seconds per epoch"]
    assert [row[0] for row in table["rows"]][-1] == "our stream"
    assert {row[0] for row in table["rows"]} == {
        "DataLoader, 0 workers",
        "DataLoader, 1 worker",
        "our stream",
    }
    assert all(row[3] > 0 for row in table["rows"])
    assert table["what"].startswith("seconds to load 256 images once")


def test_the_fastest_of_several_passes_counts() -> None:
    pauses = iter([0.05, 0.01, 0.03])

    def epoch() -> list[None]:
        time.sleep(next(pauses))
        return [None]

    assert 0.01 <= loader_timing._least_seconds(epoch, 3) < 0.03
