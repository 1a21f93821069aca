"""What the campaign's tests share: their seed, how much they do, and where their figures go."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import pytest

from fewshot import io

RECORDS = "FEWSHOT_CAMPAIGN_RECORDS"  # the folder of the published records; unset: none is written


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder `campaign`."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.campaign)


def share() -> float:
    """Return the share of all attempts that this run makes."""
    return float(os.environ.get("FEWSHOT_CAMPAIGN_SHARE", "1"))


@dataclass
class Outcomes:
    """What one part of the campaign counts; becomes a record when its `with` block ends.

    Attributes:
        part: the record's name, such as "kills-run".
        seed: the seed of every random choice.
        counts: how many attempts ended in which way, in plain words.
        figures: measured numbers, with the unit in the name.
        failures: one sentence for each attempt that ended as it must not.
    """

    part: str
    seed: int
    counts: dict[str, int] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.perf_counter)

    def count(self, outcome: str) -> None:
        """Count one attempt."""
        self.counts[outcome] = self.counts.get(outcome, 0) + 1

    def fail(self, failure: str) -> None:
        """Count one attempt that ended as it must not, and remember how to repeat it."""
        self.count("failed")
        self.failures.append(failure)
        print(failure, flush=True)  # with `pytest -s`, while the rest goes on

    def __enter__(self) -> Outcomes:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Write the record, if a folder for records is named, and fail if an attempt failed."""
        if kind is not None:  # the test itself broke: what it counted says nothing
            return
        assert self.counts, f"{self.part} attempted nothing"
        folder = os.environ.get(RECORDS)
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            io.write_json(Path(folder) / f"{self.part}.json", self._record())
        assert not self.failures, "\n".join(self.failures)

    def _record(self) -> dict[str, object]:
        return {
            "part": self.part,
            "date": date.today().isoformat(),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
            "seed": self.seed,
            "share": share(),
            "seconds": round(time.perf_counter() - self.began, 1),
            "counts": self.counts,
            "figures": self.figures,
            "failures": self.failures,
        }


@pytest.fixture(scope="session")
def seed() -> int:
    """Return the seed of the campaign's random choices: FEWSHOT_CAMPAIGN_SEED, by default 0."""
    return int(os.environ.get("FEWSHOT_CAMPAIGN_SEED", "0"))


@pytest.fixture(scope="session")
def amount() -> Callable[[int], int]:
    """Return a function from the full number of attempts to the number of this run.

    FEWSHOT_CAMPAIGN_SHARE, by default 1, is the share of all attempts: 0.05 is a quick campaign.
    """
    return lambda attempts: max(1, round(share() * attempts))


@pytest.fixture
def outcomes(seed: int) -> Callable[[str], Outcomes]:
    """Return a function that starts a part's counting: `with outcomes("kills-run") as part:`."""
    return lambda part: Outcomes(part, seed)
