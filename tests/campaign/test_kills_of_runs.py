"""Oracle: the same commands, undisturbed. Kill `run` and `sweep` at random moments."""

from __future__ import annotations

import random
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.campaign import kills
from tests.campaign.conftest import Outcomes
from tests.campaign.kills import Strike, one_named, only_command, whole_group

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="/proc is read")

DATA = ["--shots", "4", "--data", "digits", "--seeds", "0-1", "--set", "precision=float32"]
BODY = ["--backbone", "conv4", "--weights", "none", "--set", "backbone.options={width: 4}"]
STEPS = ["--set", "train.steps=6", "--set", "train.batch_size=16"]
EPISODES = ["--set", "train.steps=6"]
RUNS = {
    "scratch": [*STEPS, "--set", "train.ema_decay=0.9"],
    "finetune": [*STEPS, "--set", "select=support_cv"],
    "protonet": [*EPISODES],
    "maml": [*EPISODES],
}
ENDING = [Strike(signal.SIGKILL), Strike(signal.SIGTERM), Strike(signal.SIGINT)]
TWICE_AT_ONCE = whole_group(signal.SIGINT, times=2)
STUDY = {
    "title": "T",
    "question": "Q?",
    "source": "slide 1",
    "trials": 2,
    "base": {
        "method": "scratch",
        "data": "digits",
        "shots": 5,
        "precision": "float32",
        "backbone": {"name": "mlp", "options": {"widths": [16]}},
        "train": {"steps": 4, "batch_size": 16, "log_every_epochs": 1},
    },
    "grid": [{"train.lr": [0.01, 0.03, 0.1]}],
}
SWEEP = ["sweep", "study", "--scale", "full", "--quiet"]


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
    words = ["run", "--method", method, *RUNS[method], *BODY, *DATA, "--quiet"]
    victim, luck = kills.Victim(f"run {method}", words), random.Random(f"{seed} {method}")
    with outcomes(f"kills-run-{method}") as part:
        campaign = kills.Campaign(victim, launcher, part, tmp_path)
        for number in range(amount(6)):
            twice = [luck.choice(ENDING), luck.choice([*ENDING, TWICE_AT_ONCE])]
            campaign.attempt(twice if number % 3 == 2 else [ENDING[number % 3]], luck)
        for _ in range(amount(6)):
            campaign.before_write(luck.randint(1, campaign.whole.writes))


def with_study(folder: Path) -> None:
    (folder / "study").mkdir()
    (folder / "study" / "X1.yaml").write_text(yaml.safe_dump(STUDY))


def test_a_killed_sweep_ends_as_an_undisturbed_one(
    launcher: kills.Launcher,
    tmp_path: Path,
    amount: Callable[[int], int],
    outcomes: Callable[[str], Outcomes],
    seed: int,
) -> None:
    victim, luck = kills.Victim("sweep", SWEEP, with_study), random.Random(f"{seed} sweep")
    with outcomes("kills-sweep") as part:
        campaign = kills.Campaign(victim, launcher, part, tmp_path)
        for number in range(amount(12)):
            twice = [luck.choice(ENDING), luck.choice([*ENDING, TWICE_AT_ONCE])]
            campaign.attempt(twice if number % 3 == 2 else [ENDING[number % 3]], luck)
        for _ in range(amount(12)):
            campaign.before_write(luck.randint(1, campaign.whole.writes))


WORKER = one_named(signal.SIGKILL, "multiprocessing.spawn", codes=(1,))


def test_a_run_of_several_processes_survives_the_end_of_any(
    launcher: kills.Launcher,
    tmp_path: Path,
    amount: Callable[[int], int],
    outcomes: Callable[[str], Outcomes],
    seed: int,
) -> None:
    words = ["run", "--method", "scratch", *STEPS, *BODY, *DATA, "--workers", "2", "--quiet"]
    strikes = [WORKER, only_command(signal.SIGKILL), whole_group(signal.SIGINT)]
    strikes += [WORKER, only_command(signal.SIGTERM), whole_group(signal.SIGKILL)]
    luck = random.Random(f"{seed} workers")
    with outcomes("kills-run-workers") as part:
        campaign = kills.Campaign(kills.Victim("run workers", words), launcher, part, tmp_path)
        for number in range(amount(12)):
            campaign.attempt([strikes[number % len(strikes)]], luck)


RAY_WORKER = one_named(signal.SIGKILL, "ray::IDLE", "ray::run_cell")
RAY_SECONDS = 120.0  # two agents of Ray notice only after a minute that it has ended
RAYLET = one_named(signal.SIGKILL, "raylet/raylet", codes=(1,))


def test_a_sweep_in_ray_survives_the_end_of_any_process(
    launcher: kills.Launcher,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    amount: Callable[[int], int],
    outcomes: Callable[[str], Outcomes],
    seed: int,
) -> None:
    pytest.importorskip("ray")
    sockets = Path("/tmp") / f"campaign-{tmp_path.parent.name[-3:]}"  # a short path
    sockets.mkdir()
    victim = kills.Victim(
        "sweep workers",
        [*SWEEP, "--workers", "2"],
        with_study,
        environment={"RAY_TMPDIR": str(sockets)},
        lingering=RAY_SECONDS,
    )
    strikes = [RAY_WORKER, only_command(signal.SIGKILL), whole_group(signal.SIGINT), RAYLET]
    strikes += [RAY_WORKER, only_command(signal.SIGTERM), whole_group(signal.SIGKILL), RAY_WORKER]
    luck = random.Random(f"{seed} ray")
    try:
        with outcomes("kills-sweep-workers") as part:
            campaign = kills.Campaign(victim, launcher, part, tmp_path)
            for number in range(amount(16)):
                campaign.attempt([strikes[number % len(strikes)]], luck)
                if left := [path.name for path in sockets.iterdir()]:
                    part.fail(f"attempt {number}: Ray left {', '.join(left)} in its folder")
    finally:
        shutil.rmtree(sockets)
