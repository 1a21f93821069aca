"""The commands whose disk fails, and the folder in which they work."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import yaml

from tests.campaign import faults
from tests.fewshot.model import own_photos
from tests.fewshot.studies.rows import COMMON, QUICK

ENVIRONMENT = {"FEWSHOT_CACHE": "cache", "TMPDIR": "tmp", "MPLCONFIGDIR": "matplotlib"}
CPU = ("--quiet", "--device", "cpu")
RUN = ("run", "--shots", "2", "--seeds", "1", "--threads", "1", *CPU)
SMALL = ("--backbone", "conv4", "--set", "backbone.options.width=8")
STEPS = ("--set", "train.steps=2")
EPISODES = ("episodes", "--data", "digits", "--ways", "3", "--queries", "5", "--tasks", "5", *CPU)
META_TRAINED = (
    *(*EPISODES, "--method", "protonet", "--train", "--split", "split.yaml"),
    *("--set", "learner.episode_ways=3"),
)


class Victim(NamedTuple):
    """A command that works in a folder.

    Attributes:
        name: what the record calls it.
        arguments: what follows `fewshot`.
        first: commands whose results it needs.
        output: folders and files, of the working folder, that hold its results.
    """

    name: str
    arguments: Sequence[str]
    first: Sequence[Sequence[str]] = ()
    output: Sequence[str] = ("out",)


SCRATCH = (*RUN, "--method", "scratch", "--data", "digits", *SMALL, *STEPS, "--out", "out")
PROBE = (*RUN, "--method", "probe", "--data", "photos", *SMALL, "--out", "out", "--test", "0.3")
FIT = ("fit", "photos", "--method", "probe", *SMALL, "--weights", "none", *CPU)
MODEL = (*FIT, "--out", "model.fewshot")
VICTIMS = (
    Victim("run scratch", SCRATCH),
    Victim("run probe on a folder", PROBE),
    Victim("run --log tensorboard", (*SCRATCH, "--log", "tensorboard")),
    Victim("episodes", (*EPISODES, "--method", "nearest-mean,ridge", *SMALL, "--out", "out")),
    Victim("episodes --train", (*META_TRAINED, *SMALL, *STEPS, "--out", "out")),
    Victim(
        "pretrain",
        ("pretrain", "--data", "digits", *SMALL, "--epochs", "0.1", *CPU, "--out", "out"),
    ),
    Victim(
        "sweep",
        ("sweep", "study", "--scale", "full", "--out", "out", *CPU),
    ),
    Victim("fit", (*FIT, "--out", "out.fewshot"), (), ("out.fewshot",)),
    Victim(
        "predict",
        ("predict", "model.fewshot", "photos", "--out", "out/p.csv", "--copy-to", "out/s", *CPU),
        (MODEL,),
    ),
    Victim(
        "add",
        ("add", "model.fewshot", "more", "--out", "out.fewshot", *CPU),
        (MODEL,),
        ("out.fewshot",),
    ),
    Victim(
        "export",
        ("export", "model.fewshot", "--onnx", "out.onnx", "--quiet"),
        (MODEL,),
        ("out.onnx",),
    ),
    Victim(
        "check",
        ("check", "photos", "--page", "out/page.html", "--fix", "out/moved", *CPU),
        (),
        ("out", "photos"),
    ),
    Victim("suggest", ("suggest", "photos", "--budget", "3", "--out", "out", *CPU)),
    Victim("report", ("report", "runs", "--out", "out"), ((*SCRATCH[:-1], "runs"),)),
    Victim(
        "report of a study",
        ("report", "study", "--results", "runs/studies", "--scale", "full", "--out", "out"),
        (("sweep", "study", "--scale", "full", "--out", "runs", *CPU),),
    ),
    Victim("inspect", ("inspect", "runs", "--out", "out"), ((*SCRATCH[:-1], "runs"),)),
    Victim(
        "vote",
        ("vote", "runs", "--pool", "--out", "out"),
        ((*SCRATCH[:-1], "runs", "--seeds", "2"),),
    ),
    Victim("data", ("data", "photos", "--sheet", "out/sheet.png")),
)


def prepare(victim: Victim, folder: Path) -> None:
    """Make the folder in which a command works, and what its results come from."""
    folder.mkdir(parents=True)
    (folder / "tmp").mkdir()
    photos = own_photos.write(folder / "photos", {"red": 6, "green": 5, "blue": 5})
    own_photos.write(folder / "more", {"red": 2, "green": 2}, first=20)
    shutil.copyfile(photos / "red" / "0.png", photos / "red" / "copy.png")
    study = folder / "study"
    study.mkdir()
    row = {**COMMON, "trials": 1, "base": QUICK, "grid": [{"train.lr": [0.01, 0.1]}]}
    (study / "X1.yaml").write_text(yaml.safe_dump(row, sort_keys=False))
    split = {"base": list("01234"), "novel": list("56789")}
    (folder / "split.yaml").write_text(yaml.safe_dump(split))
    for arguments in victim.first:
        ended = run(arguments, folder)
        assert ended.code == 0, f"{victim.name}, {arguments[0]} before it: {ended.stderr}"
    if victim.arguments[0] == "inspect":
        (run_folder,) = (path.parent for path in (folder / "runs").glob("*/record.json"))
        run_folder.rename(folder / "run")
        shutil.rmtree(folder / "runs")
        (folder / "run").rename(folder / "runs")


def run(
    arguments: Sequence[str],
    folder: Path,
    fault: faults.Fault | None = None,
    before: Callable[[], None] | None = None,
) -> faults.Ended:
    """Run a command in its folder."""
    return faults.command(list(arguments), folder, fault, ENVIRONMENT, before)


def victim(name: str) -> Victim:
    """Return the command of this name."""
    (one,) = (victim for victim in VICTIMS if victim.name == name)
    return one


def outputs(victim: Victim, folder: Path) -> dict[str, object]:
    """Return what a command made, for comparison."""
    made = faults.results(folder)
    return {
        name: content
        for name, content in made.items()
        if any(name == one or name.startswith(f"{one}/") for one in victim.output)
    }
