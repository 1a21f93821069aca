"""Oracle: the same command, undisturbed. Kill what makes, uses and checks models of own images."""

from __future__ import annotations

import random
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.campaign import kills
from tests.campaign.conftest import Outcomes
from tests.fewshot.checks import photos
from tests.fewshot.model import own_photos

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="/proc is read")

COUNTS = {"red": 8, "green": 8, "blue": 8}
MODEL = "model.fewshot"
NETWORK = ["--backbone", "conv4", "--weights", "none", "--method", "probe"]


@pytest.fixture(scope="module")
def launcher() -> Iterator[kills.Launcher]:
    with kills.Launcher() as launcher:
        yield launcher


def labelled(folder: Path) -> None:
    """Write photos of three classes."""
    own_photos.write(folder / "photos", COUNTS)


@pytest.fixture(scope="module")
def with_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], None]:
    """Return a function that writes a model and photos that it has not seen."""
    place = tmp_path_factory.mktemp("model")
    model = own_photos.model(own_photos.write(place / "photos", COUNTS), place / MODEL)

    def prepare(folder: Path) -> None:
        shutil.copy(model, folder / MODEL)
        own_photos.write(folder / "new", {"red": 20, "blue": 20}, first=50)

    return prepare


def with_faults(folder: Path) -> None:
    """Write photos of which some are copies of others and one is broken."""
    photos.plant(photos.save(folder / "photos", 4))


def places(folder: Path) -> Mapping[str, Any]:
    """Return the images of a folder and where they are, whatever a table says of the move."""
    read = kills.contents(folder)
    return {name: content for name, content in read.items() if not name.endswith(".csv")}


def model(folder: Path) -> Mapping[str, Any]:
    """Return what a model file says and holds, without the times on its card."""
    from fewshot.model import file_format

    (path,) = folder.glob("*.fewshot")
    own = file_format.load(path, "cpu")
    others = {name: one for name, one in kills.contents(folder).items() if name != path.name}
    about = [own.classes, own.temperature, own.support.names]
    return {
        **others,
        path.name: (about, own.support.features.tolist(), own.support.labels.tolist()),
    }


def without_place(folder: Path) -> Mapping[str, Any]:
    """Return the contents of a folder without its own path, which tables name."""
    read = kills.contents(folder)
    return {name: content.replace(bytes(folder), b"") for name, content in read.items()}


def attack(
    victim: kills.Victim,
    launcher: kills.Launcher,
    folder: Path,
    part: Outcomes,
    seed: int,
    n_attempts: int,
) -> None:
    """Kill a command: in two of five attempts before a write, else at a random moment."""
    luck = random.Random(f"{seed} {victim.name}")
    campaign = kills.Campaign(victim, launcher, part, folder)
    numbers = (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL, signal.SIGINT)
    for number in range(n_attempts):
        if number % 5 in (0, 3) and campaign.whole.writes:
            campaign.before_write(luck.randint(1, campaign.whole.writes))
        else:
            campaign.attempt([kills.whole_group(numbers[number % 4])], luck)


def test_killed_fits_end_as_an_undisturbed_one(
    launcher: kills.Launcher,
    tmp_path: Path,
    amount: Callable[[int], int],
    outcomes: Callable[[str], Outcomes],
    seed: int,
) -> None:
    words = ["fit", "photos", "--out", "new.fewshot", *NETWORK, "--quiet"]
    victim = kills.Victim("fit", words, labelled, model)
    with outcomes("kills-fit") as part:
        attack(victim, launcher, tmp_path, part, seed, amount(12))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("predict", ["predict", MODEL, "new", "--out", "classes.csv"]),
        (
            "predict and sort copies",
            ["predict", MODEL, "new", "--out", "classes.csv", "--copy-to", "sorted"],
        ),
        ("export", ["export", MODEL, "--onnx", "model.onnx"]),
    ],
)
def test_killed_uses_of_a_model_end_as_undisturbed_ones(
    name: str,
    words: list[str],
    launcher: kills.Launcher,
    with_model: Callable[[Path], None],
    tmp_path: Path,
    amount: Callable[[int], int],
    outcomes: Callable[[str], Outcomes],
    seed: int,
) -> None:
    if name == "export":
        pytest.importorskip("onnxscript")
    victim = kills.Victim(name, [*words, "--quiet"], with_model)
    with outcomes(f"kills-{name.replace(' ', '-')}") as part:
        attack(victim, launcher, tmp_path, part, seed, amount(8))


def test_killed_additions_end_as_an_undisturbed_one(
    launcher: kills.Launcher,
    with_model: Callable[[Path], None],
    tmp_path: Path,
    amount: Callable[[int], int],
    outcomes: Callable[[str], Outcomes],
    seed: int,
) -> None:
    def prepare(folder: Path) -> None:
        with_model(folder)
        (folder / MODEL).rename(folder / "old.model")

    words = ["add", "old.model", "new", "--out", "grown.fewshot", "--quiet"]
    victim = kills.Victim("add", words, prepare, model)
    with outcomes("kills-add") as part:
        attack(victim, launcher, tmp_path, part, seed, amount(4))


@pytest.mark.parametrize(
    ("name", "words", "result"),
    [
        ("check", ["--page", "check.html"], kills.contents),
        ("check and move", ["--fix", "moved"], places),
    ],
)
def test_killed_checks_end_as_undisturbed_ones(
    name: str,
    words: list[str],
    result: Callable[[Path], Mapping[str, Any]],
    launcher: kills.Launcher,
    tmp_path: Path,
    amount: Callable[[int], int],
    outcomes: Callable[[str], Outcomes],
    seed: int,
) -> None:
    only = ["--only", "broken,exact copy,near copy,dark"]
    words = ["check", "photos", *words, *only, "--quiet"]
    victim = kills.Victim(name, words, with_faults, result)
    with outcomes(f"kills-{name.replace(' ', '-')}") as part:
        attack(victim, launcher, tmp_path, part, seed, amount(8))


def test_killed_suggestions_end_as_undisturbed_ones(
    launcher: kills.Launcher,
    tmp_path: Path,
    amount: Callable[[int], int],
    outcomes: Callable[[str], Outcomes],
    seed: int,
) -> None:
    words = ["suggest", "photos", "--budget", "4", "--out", "chosen", "--quiet"]
    victim = kills.Victim(
        "suggest", words, labelled, without_place, says_done="--out chosen holds files already"
    )
    with outcomes("kills-suggest") as part:
        attack(victim, launcher, tmp_path, part, seed, amount(6))
