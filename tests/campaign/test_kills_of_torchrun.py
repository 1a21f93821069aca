"""Oracle: the same training, undisturbed. Kill torchrun, or one process that it started."""

from __future__ import annotations

import random
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.campaign import kills
from tests.campaign.conftest import Outcomes

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="/proc is read")

SETTINGS = (
    "backbone.options={width: 8, norm: group}", "precision=float32", "train.steps=120",
    "train.batch_size=16", "train.log_every_epochs=5", "validation.share=0.25", "select=holdout",
)  # fmt: skip
COMMAND = "-m torch.distributed.run --standalone --nproc-per-node 2 -m fewshot"
RUN = "run --method scratch --data digits --shots 8 --seeds 0-1 --backbone conv4 --quiet"
RANK = "-u -m fewshot"  # in the command line of a process that torchrun started


# torchrun itself ends with 1, and with a traceback of its own, if a process of it fails.
CODES = (0, 1, 130, -signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT)


@dataclass(frozen=True)
class WhileTraining:
    """A signal at a random moment after the first trial began.

    Args:
        number: the signal.
        target: who gets it: "torchrun", "rank" (one of two), or "all".
    """

    number: int
    target: str

    def __call__(
        self, process: kills.Process, whole: kills.Undisturbed, luck: random.Random
    ) -> bool:
        """Send it; return whether both processes still ran then."""
        folder = process.files.parent
        while process.poll() is None and not list(folder.glob("runs/*/trial-0/*")):
            time.sleep(kills.POLL)
        training = luck.uniform(0, 0.2 * whole.cpu_seconds)  # the rest is the import of torch
        began = process.cpu_seconds
        while process.poll() is None and process.cpu_seconds - began < training:
            time.sleep(kills.POLL)
        started = process.launcher.started()
        ranks = [pid for pid in started if RANK in kills.name_of(pid)]
        if process.poll() is not None or len(ranks) < 2:
            return False
        targets = {"torchrun": [process.pid], "rank": [luck.choice(ranks)], "all": started}
        process.send(self.number, targets[self.target])
        return True

    def is_expected(self, process: kills.Process) -> bool:
        """Return whether torchrun ended as it does when it or a process of it gets a signal."""
        return process.returncode in CODES


STRIKES = [
    WhileTraining(signal.SIGKILL, "torchrun"),
    WhileTraining(signal.SIGKILL, "rank"),
    WhileTraining(signal.SIGTERM, "torchrun"),
    WhileTraining(signal.SIGKILL, "all"),
    WhileTraining(signal.SIGTERM, "rank"),
    WhileTraining(signal.SIGINT, "torchrun"),
]


def test_a_killed_process_ends_all_and_the_training_resumes(
    tmp_path: Path,
    amount: Callable[[int], int],
    outcomes: Callable[[str], Outcomes],
    seed: int,
) -> None:
    words = [sys.executable, *COMMAND.split(), *RUN.split()]
    for setting in SETTINGS:
        words += ["--set", setting]
    victim = kills.Victim(
        "torchrun",
        words,
        is_fewshot=False,
        exit_codes=CODES,
        trouble=f'File "{kills.ROOT / "fewshot"}',
        environment={"PYTHONPATH": str(kills.ROOT), "OMP_NUM_THREADS": "1"},
    )
    luck = random.Random(f"{seed} torchrun")
    with outcomes("kills-torchrun") as part, kills.Launcher() as launcher:
        campaign = kills.Campaign(victim, launcher, part, tmp_path)
        for number in range(amount(12)):
            campaign.attempt([STRIKES[number % len(STRIKES)]], luck)
