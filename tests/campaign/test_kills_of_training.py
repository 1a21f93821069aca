"""Oracle: the same command, undisturbed. Kill trainings of shared weights, and writes of caches."""

from __future__ import annotations

import json
import random
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.campaign import kills
from tests.campaign.conftest import Outcomes
from tests.fewshot.model import own_photos

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="/proc is read")

CONV = ["--backbone", "conv4", "--set", "backbone.options={width: 4}", "--quiet"]
STEPS = ["--set", "train.steps=20", "--set", "precision=float32"]
EPISODES = ["episodes", "--train", "--method", "protonet", "--data", "digits", "--split"]
EPISODES += ["seed:0:5/0/5", "--ways", "3", "--tasks", "20", "--shots", "1,2"]
EPISODES += ["--set", "learner.episode_ways=3"]
PROBE = ["run", "--method", "probe", "--data", "photos", "--shots", "3", "--seeds", "1"]
PROBE += [*CONV, "--weights", "none"]


def own_images(folder: Path) -> None:
    own_photos.write(folder / "photos", {"red": 9, "green": 9, "blue": 9})


def with_caches(folder: Path) -> Mapping[str, Any]:
    """Return the results, the decoded images and the features; nothing unfinished may be there."""
    cache = folder / "cache"
    decoded = {path.parent.name: np.load(path) for path in cache.glob("images/*/images.npy")}
    features = {path.name: kills.content(path) for path in cache.glob("features/*.safetensors")}
    for rows in features.values():
        rows.pop("seconds")
    indices = [json.loads(path.read_text())["fingerprints"] for path in cache.glob("index/*.json")]
    unfinished = [*cache.glob("images/*.building"), *cache.rglob("*.part")]
    results = kills.contents(folder)
    return {
        # The configuration has the absolute path of the images.
        **{name: one for name, one in results.items() if not name.endswith("config.yaml")},
        "decoded images": {name: images.tobytes() for name, images in decoded.items()},
        "features": list(features.values()),
        "indices": indices,
        "unfinished": [path.name for path in unfinished],
    }


def measured(folder: Path) -> Mapping[str, Any]:
    """Return what a measurement of the machine's precision has written, without its numbers."""
    cards = [json.loads(path.read_text()) for path in (folder / "cache/machines").glob("*.json")]
    return {"measurements": [sorted(card) for card in cards]}


VICTIMS = [
    kills.Victim("pretrain", ["pretrain", "--data", "digits", *CONV, *STEPS]),
    kills.Victim(
        "meta-training of episodes",
        [*EPISODES, *CONV, *STEPS],
    ),
    kills.Victim(
        "caches of images and features",
        [*PROBE, "--set", "precision=float32"],
        own_images,
        with_caches,
    ),
    kills.Victim("measurement of the precision", PROBE, own_images, measured),
]
ATTEMPTS = {"pretrain": 12, "meta-training of episodes": 12, "caches of images and features": 14}


@pytest.fixture(scope="module")
def launcher() -> Iterator[kills.Launcher]:
    with kills.Launcher() as launcher:
        yield launcher


@pytest.mark.parametrize("victim", VICTIMS, ids=lambda victim: victim.name)
def test_killed_commands_end_as_undisturbed_ones(
    victim: kills.Victim,
    launcher: kills.Launcher,
    tmp_path: Path,
    amount: Callable[[int], int],
    outcomes: Callable[[str], Outcomes],
    seed: int,
) -> None:
    luck = random.Random(f"{seed} {victim.name}")
    numbers = (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL, signal.SIGINT)
    with outcomes(f"kills-{victim.name.replace(' ', '-')}") as part:
        campaign = kills.Campaign(victim, launcher, part, tmp_path)
        for number in range(amount(ATTEMPTS.get(victim.name, 6))):
            if number % 2:
                campaign.before_write(luck.randint(1, campaign.whole.writes))
            else:
                campaign.attempt([kills.whole_group(numbers[number // 2 % 4])], luck)
