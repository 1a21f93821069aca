"""Benchmarks and their results.

Oracle: every benchmark has a published result that holds n, and every result has its benchmark.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import common

NAMES = sorted(path.stem for path in Path(common.__file__).parent.glob("*.py"))
PARTS = ("__init__", "common", "learn2learn_loops")  # of other benchmarks
BENCHMARKS = [name for name in NAMES if name not in PARTS]


def test_every_result_is_of_a_benchmark() -> None:
    assert sorted(path.stem for path in common.RESULTS.glob("*.json")) == BENCHMARKS


@pytest.mark.parametrize("name", BENCHMARKS)
def test_it_writes_the_result_of_its_name(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = importlib.import_module(f"benchmarks.{name}")
    monkeypatch.setattr("sys.argv", [name, "--help"])
    with pytest.raises(SystemExit):
        module.main()
    assert f"python -m benchmarks.{name}" in capsys.readouterr().out
    assert "what" in json.loads((common.RESULTS / f"{name}.json").read_text())


def test_a_result_is_written_and_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "new" / "result.json"
    common.write(path, {"ratio": 2.0, "all": [1, 2]}, ("ratio",))
    assert json.loads(path.read_text()) == {"ratio": 2.0, "all": [1, 2]}
    assert "all" not in capsys.readouterr().out


def test_turns_are_compared_with_the_first_by_tasks_per_second() -> None:
    calls: list[str] = []

    def work(name: str, n: int) -> Callable[[], None]:
        def call() -> None:
            calls.append(name)
            sum(range(n))

        return call

    both = {"ours": (work("ours", 200_000), 20), "theirs": (work("theirs", 400_000), 10)}
    result = common.in_turns(both, rounds=5)
    assert calls == ["ours", "theirs"] * 5
    assert 1.5 < result["ratio"]["theirs"]["processor"] < 12  # 4, on a machine that is idle
    assert set(result["tasks_per_second"]) == {"ours", "theirs"}


def test_seconds_are_those_of_the_work() -> None:
    total: list[int] = []
    spent = common.clock_and_processor_seconds(lambda: total.append(sum(range(300_000))))
    assert total == [sum(range(300_000))]
    assert 0 < spent["processor_seconds"] < 10
    assert 0 < spent["seconds"] < 60
