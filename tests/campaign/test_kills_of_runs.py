"""Oracle: the same command, undisturbed. Kill `run` and `sweep` at random moments."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.campaign import kills
from tests.campaign.conftest import Outcomes

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="/proc is read")

QUICK = ["--shots", "3", "--data", "digits", "--seeds", "0-2", "--set", "precision=float32"]
CONV = ["--backbone", "conv4", "--set", "backbone.options={width: 4}"]
STEPS = ["--set", "train.steps=3", "--set", "train.batch_size=16"]
RUNS = {
    "scratch": ["--method", "scratch", *CONV, *STEPS],
}


@pytest.fixture(scope="module")
def launcher() -> Iterator[kills.Launcher]:
    with kills.Launcher() as launcher:
        yield launcher


@pytest.mark.parametrize("method", RUNS)
def test_a_killed_run_ends_as_an_undisturbed_one(
    method: str,
    launcher: kills.Launcher,
    tmp_path: Path,
    amount: Callable[[int], int],
    outcomes: Callable[[str], Outcomes],
    seed: int,
) -> None:
    victim = kills.Victim(f"run {method}", ["run", *RUNS[method], *QUICK])
    luck = random.Random(f"{seed} {method}")
    with outcomes(f"kills-run-{method}") as part:
        campaign = kills.Campaign(victim, launcher, part, tmp_path)
        print(campaign.whole.seconds, campaign.whole.cpu_seconds, campaign.whole.writes)
        for _ in range(amount(6)):
            campaign.attempt([kills.whole_group(signal.SIGKILL)], luck)
        for _ in range(amount(6)):
            campaign.before_write(luck.randint(1, campaign.whole.writes))
