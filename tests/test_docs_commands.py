"""The commands of the documentation against the program: they run on small data of the same names.

The oracle is the exit code. By default every `fewshot run`, `pretrain` and `episodes` is resolved
on such data, without training, and the commands of the page about one's own images run. The slow
tests run all commands.
"""

from __future__ import annotations

import pickle
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import typer
import yaml
from PIL import Image

from fewshot.app import server
from fewshot.cli import main
from fewshot.runs import execution, resolve
from fewshot.runs.episodic import experiment, learner_checks
from fewshot.runs.episodic import resolve as episodic
from fewshot.training import precision
from tests.test_docs import PAGES, ROOT, commands

RUN_ID = re.compile(r"runs/[0-9a-f]{12}")
# What a command needs that is not here: files to download, made by the user or worth minutes.
STAND_INS = {
    "--weights pretrained": "--weights none",  # of a timm backbone
    "--weights weights.safetensors": "--weights none",
    "--split tinyimagenet": "--split seed:0:25/0/10",  # of a part of its classes
}
# Runs that a page may name; with validation images, for a vote.
EARLIER = [
    shlex.split(f"run --method scratch --preset few --shots 16 --set validation.share=0.2 {words}")
    for words in ("--set learner.dropout=0.1", "--set learner.dropout=0.2")
]
CLASSES = [b"airplane", b"automobile", b"bird", b"cat", b"deer", b"dog", b"frog", b"horse", b"ship",
           b"truck"]  # fmt: skip
PER_CLASS = 130  # more than the most labels per class of a command
MOST_SHOTS = 2  # labels per class of a training in these tests


def write_cifar10(folder: Path) -> None:
    """Write ten classes of noise around a colour as CIFAR-10's original batches."""
    random = np.random.default_rng(0)
    colours = random.uniform(60, 200, (10, 3, 1))
    folder.mkdir(parents=True)
    (folder / "batches.meta").write_bytes(pickle.dumps({b"label_names": CLASSES}))
    for name, n in (("data_batch_1", PER_CLASS), ("test_batch", 3)):
        labels = np.arange(10).repeat(n)
        pixels = colours[labels] + random.uniform(-50, 50, (len(labels), 3, 32 * 32))
        rows = pixels.astype(np.uint8).reshape(len(labels), -1)
        (folder / name).write_bytes(pickle.dumps({b"data": rows, b"labels": labels.tolist()}))


def write_classes(folder: Path, names: Sequence[str], n: int, seed: int = 0) -> None:
    """Write a folder of n images of 32 pixels for each class."""
    random = np.random.default_rng(seed)
    for name in names:
        colour = random.uniform(60, 200, 3)
        (folder / name).mkdir(parents=True)
        for number in range(n):
            pixels = (colour + random.uniform(-50, 50, (32, 32, 3))).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of data sets with the names that the documentation uses."""
    folder = tmp_path_factory.mktemp("data")
    write_cifar10(folder / "cifar10")
    split = ROOT / "configs" / "splits" / "tinyimagenet-without-cifar10.yaml"
    excluded = yaml.safe_load(split.read_text())["exclude_classes"]
    write_classes(folder / "tinyimagenet32", [*excluded, *map(str, range(20))], n=12)
    write_classes(folder / "photos", ["cat", "dog", "pony"], n=24)
    write_classes(folder / "new", ["unsorted"], n=2)
    write_classes(folder / "more", ["llama", "pony"], n=3, seed=1)
    return folder


@pytest.fixture
def place(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder with the user's photos, and with small data sets."""
    monkeypatch.setenv("FEWSHOT_DATA", str(data))
    plain = precision.Capability(precision.PLAIN)
    monkeypatch.setattr(precision, "_capability", lambda device: plain)
    monkeypatch.setattr(server, "application", lambda *_: None)
    ended = SimpleNamespace(run=lambda sockets: None)  # a server would run until Ctrl-C
    monkeypatch.setattr(server, "_uvicorn", lambda app: ended)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").symlink_to(data / "photos")
    for name in ("new-photos", "photos-to-classify"):
        (tmp_path / name).symlink_to(data / "new" / "unsorted")
    for name in ("test-photos", "more-photos", "labelled"):
        (tmp_path / name).symlink_to(data / "more")
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    return tmp_path


def arguments(command: str) -> list[str]:
    """Return the arguments of `fewshot` in a shown command, with stand-ins; none for others."""
    for words, stand_in in STAND_INS.items():
        command = command.replace(words, stand_in)
    words = shlex.split(command, comments=True)
    return words[words.index("fewshot") + 1 :] if "fewshot" in words else []


def shown(page: str) -> list[list[str]]:
    """Return the arguments of every `fewshot` command on a page."""
    words = [arguments(command) for place, command in commands() if place == page]
    return list(filter(None, words))


def examples() -> list[list[str]]:
    """Return the arguments of every example in the help texts."""
    group = typer.main.get_command(main.app)
    lines = [
        line.strip() for command in group.commands.values() for line in command.help.splitlines()
    ]
    return [arguments(line) for line in lines if line.startswith("fewshot ")]


def call(words: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """Call the command line in this process and return its exit code."""
    monkeypatch.setattr(sys, "argv", ["fewshot", *words])
    with pytest.raises(SystemExit) as exit_info:
        main.main()
    return int(exit_info.value.code or 0)


class Resolved(Exception):
    """A request was resolved; nothing was trained."""


def resolved(words: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> resolve.ResolvedRun:
    """Return what a command would run, or fail with the program's own message."""

    def stop(values: dict, seeds: list, *, out: Path, device: str | None, **_: object) -> None:
        runs.append(resolve.resolve_run(values, out, device))
        raise Resolved

    runs: list[resolve.ResolvedRun] = []
    monkeypatch.setattr(execution, "execute", stop)
    monkeypatch.setattr(sys, "argv", ["fewshot", *words])
    with pytest.raises(Resolved):
        main.main()
    return runs[0]


TRAINING = {
    shlex.join(words): words
    for words in (*(words for page in PAGES for words in shown(page)), *examples())
    if words[0] in ("run", "pretrain") and "my-photos" not in words
}


TASKS = {
    shlex.join(words): words
    for words in (*(words for page in PAGES for words in shown(page)), *examples())
    if words[0] == "episodes"
}


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("command", TASKS)
def test_an_evaluation_on_tasks_is_accepted(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(requests: list, **_: object) -> None:
        sources = episodic.Sources()
        runs = [episodic.resolve(one, Path("runs"), sources=sources) for one in requests]
        for run in runs:
            learner_checks.check(run)
        raise Resolved

    monkeypatch.setattr(experiment, "run_all", stop)
    monkeypatch.setattr(sys, "argv", ["fewshot", *TASKS[command]])
    with pytest.raises(Resolved):
        main.main()


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("command", TRAINING)
def test_a_training_is_accepted(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run = resolved(TRAINING[command], monkeypatch)
    named = command.partition("--method ")[2].split(" ")[0]
    assert run.config.method in ("scratch", named or "probe")  # the default of `run`


def test_a_command_that_cannot_run_is_noticed(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = shlex.split("run --method siamese --shots 1 --set train.base=tinyimagenet32")
    assert call(words, monkeypatch) == 2  # the preset does not train
    assert "train" in capsys.readouterr().err
    assert not (place / "runs").exists()


def small(words: list[str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a command with the same preset for one trial, one step and few labels at most."""
    if words[0] == "demo":
        pytest.importorskip("gradio", reason="the page needs Gradio")
        return [*words, "--no-browser"]
    if words[0] == "fit":
        return [*words, "--method", "probe"]
    if words[0] not in ("run", "pretrain"):
        return [*words, "--dry-run"] if words[0] == "sweep" else words
    with monkeypatch.context() as patch:
        config = resolved(words, patch).config
    if config.train is None:
        return [*words, "--seeds", "1"]
    steps = ["--set", "train.steps=1"]
    if words[0] == "pretrain":
        return [*words, *steps]
    many = config.shots is not None and config.shots > MOST_SHOTS
    budget = ["--preset", str(config.preset), "--shots", str(MOST_SHOTS)] if many else []
    return [*words, *steps, *budget, "--seeds", "1"]


def run_commands(sequence: list[list[str]], place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run commands in order; ids are those of the latest runs, and of the earliest for a vote."""
    for words in sequence:
        trials = (place / "runs").glob("*/trial-0")  # a vote has none
        oldest_first = sorted(
            (path.parent for path in trials), key=lambda path: path.stat().st_mtime
        )
        ids = oldest_first if words[0] == "vote" else oldest_first[::-1]
        filled = [str(ids.pop(0)) if RUN_ID.fullmatch(word) else word for word in words]
        assert call(small(filled, monkeypatch), monkeypatch) == 0, shlex.join(filled)


def test_the_commands_about_photos_run(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expensive = {"--backbone", "inspect"}
    page = [words for words in shown("docs/your-images.md") if not expensive & set(words)]
    run_commands(page, place, monkeypatch)
    assert (place / "classes.csv").read_text().count("\n") == 3


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if shown(page)])
def test_the_commands_of_a_page_run(
    page: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_commands([*EARLIER, *shown(page)], place, monkeypatch)
