"""Oracle: exit code 0, 1, 2 or 130, few lines on stderr, no traceback, one JSON document."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from hypothesis import strategies as st
from PIL import Image

from fewshot.cli import main
from tests.campaign.conftest import Outcomes
from tests.campaign.limits import TooSlow, time_limit
from tests.campaign.test_configurations import for_each, problem_of

SECONDS = 10.0
MOST_LINES = 12  # a box of Typer's has 5
NEVER_STARTED = ("demo",)  # serves until it is stopped; only its options are tried
# Arguments with which a command has little to do.
SMALL = {
    "run": ["--data", "images", "--seeds", "1", "--method", "probe"],
    "episodes": ["--data", "images", "--method", "nearest-mean", "--set", "tasks.count=1"],
    "pretrain": ["--data", "images", "--epochs", "1"],
    "fit": ["images", "--method", "probe", "--out", "m.safetensors"],
    "suggest": ["images"],
    "check": ["images"],
    "data": ["images"],
    "sweep": ["study.yaml", "--dry-run"],
    "demo": ["--help"],
    "example": ["--seeds", "1"],
}
ODD = ["", " ", "0", "1", "2", "-1", "1.5", "nan", "inf", "1e400", "9" * 400, "0x10", "a", "images"]
ODD += [
    "a" * 300,
    "a" * 70_000,
    "a\nb",
    "\x1b[31m",
    "\x00",
    "\udce9",
    "\ud83d",
    "😀",
    "猫",
    "~",
    ".",
]
ODD += [
    "../images",
    "images/a/0.png",
    "study.yaml",
    "none",
    "a=b",
    "train.lr=",
    "=",
    "train.steps=x",
]
ODD += [
    "a.b.c=[1",
    "data=[1]",
    "shots=1",
    "backbone.name=mlp",
    "--",
    "-",
    "-x",
    "--help",
    "%s{}",
    "@a",
]
ODD += ["1-2", "2-1", "1/2", "2/1", "10%", "m.safetensors", "out.csv", "probe", "digits", "true"]
ANSWERED_FIRST = {"--help", "-h", "--version"}  # in text, whatever else is asked for


def commands() -> dict[str, list[Any]]:
    """Return the parameters of every command, from Typer's own tree."""
    tree: Any = typer.main.get_command(main.app)
    return {name: list(command.params) for name, command in tree.commands.items()}


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    """Draw a command with some options: right, wrong, repeated, cut, missing or contradicting."""
    known = commands()
    name = draw(st.sampled_from(sorted(known)))
    words = draw(st.sampled_from([SMALL.get(name, []), SMALL.get(name, []), []]))
    options = [option for parameter in known[name] for option in parameter.opts]
    for _ in range(draw(st.integers(0, 4))):
        option = draw(st.sampled_from(options))
        if draw(st.integers(0, 9)) == 0:  # an abbreviation, or an unknown option
            option = option[: draw(st.integers(1, len(option)))] + draw(st.sampled_from(["", "x"]))
        value = draw(st.sampled_from(ODD))
        how = draw(st.sampled_from(["apart", "apart", "together", "alone"]))
        given = {"apart": [option, value], "together": [f"{option}={value}"], "alone": [option]}
        words = [*words, *given[how]] if option.startswith("-") else [*words, value]
    if name in NEVER_STARTED:
        words = [*words, "--help"]
    odd_name = draw(st.sampled_from([name] * 30 + [name[:3], name.upper(), "", "--version", "-h"]))
    return [odd_name, *words]


@contextlib.contextmanager
def captured(words: list[str]) -> Iterator[tuple[io.StringIO, io.StringIO]]:
    """Set sys.argv, and catch what is printed; an end of input stands for the keyboard."""
    out, err = io.StringIO(), io.StringIO()
    before = sys.argv, sys.stdin, os.environ.copy(), signal.getsignal(signal.SIGTERM)
    sys.argv, sys.stdin = ["fewshot", *words], io.TextIOWrapper(io.BytesIO())
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            yield out, err
    finally:
        sys.argv, sys.stdin, environment, handler = before
        os.environ.clear()
        os.environ.update(environment)
        signal.signal(signal.SIGTERM, handler)


def outcome_of(words: list[str]) -> str:
    """Run a command line in this process; return how it ended, or raise an AssertionError."""
    with captured(words) as (out, err):
        try:
            with time_limit(SECONDS):
                main.main()
            raise AssertionError("no exit code")
        except SystemExit as exit_:
            code = 0 if exit_.code is None else exit_.code
        except TooSlow:
            return "stopped at work after 10 s"
    lines = [line for line in err.getvalue().splitlines() if line.strip()]
    assert code in (0, 1, 2, 130), f"exit code {code!r}"
    assert "Traceback" not in err.getvalue(), err.getvalue()[-800:]
    most = MOST_LINES + sum(map(len, words)) // 60  # the box shows the wrong word as a whole
    assert code != 2 or 0 < len(lines) <= most, f"{len(lines)} lines: {err.getvalue()[:800]}"
    if code == 0 and "--json" in words and not ANSWERED_FIRST & {*words} and out.getvalue():
        json.loads(out.getvalue())
    return {0: "done", 1: "exit code 1", 2: "exit code 2, one sentence", 130: "interrupted"}[code]


def write_material(folder: Path) -> None:
    """Write eight images of two classes, and a study of one row."""
    chance = np.random.default_rng(0)
    for name in ("a", "b"):
        (folder / "images" / name).mkdir(parents=True)
        for number in range(4):
            pixels = chance.integers(0, 255, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "images" / name / f"{number}.png")
    row = {"title": "a", "question": "b", "source": "c", "base": {"method": "probe", "shots": 1}}
    (folder / "study.yaml").write_text(json.dumps(row), encoding="utf-8")


def test_command_lines_end_in_a_result_or_a_sentence(
    seed: int,
    amount: Callable[[int], int],
    outcomes: Callable[[str], Outcomes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    place = tmp_path / "home" / "work"
    place.mkdir(parents=True)
    monkeypatch.chdir(place)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FEWSHOT_CACHE", str(tmp_path / "cache"))
    write_material(place)
    with outcomes("command-lines") as record:

        def attempt(words: list[str]) -> None:
            try:
                record.count(outcome_of(words))
            except (Exception, TooSlow) as error:
                shown = [word[:80] for word in words]
                record.fail(f"{problem_of(error)}: {shown!r}")

        for_each(command_lines(), amount(1000), seed, attempt)


COMMANDS = ["run --help", "sweep nowhere", "data images"]
SURROUNDINGS = {
    "no home": "env -u HOME {}",
    "C locale": "env LANG=C LC_ALL=C PYTHONUTF8=0 PYTHONIOENCODING=latin-1 {}",
    "ASCII output": "env PYTHONIOENCODING=ascii {}",
    "unknown locale": "env LANG=xx_YY.foo LC_ALL=xx_YY.foo {}",
    "dumb terminal": "env TERM=dumb COLUMNS=1 {}",
    "width that is no number": "env COLUMNS=abc LINES=-1 {}",
    "unknown time zone": "env TZ=Nowhere/City {}",
    "reader gone": "{} | true",
    "one line read": "{} | head -1",
    "no input": "{} <&-",
    "no output": "{} >&-",
    "no errors": "{} 2>&-",
    "nothing open": "{} <&- >&- 2>&-",
    "full output": "{} > /dev/full",
    "full errors": "{} 2> /dev/full",
    "folder removed": "cd gone && rmdir ../gone && {}",
}


def test_commands_end_well_in_odd_surroundings(
    outcomes: Callable[[str], Outcomes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    write_material(tmp_path)
    with outcomes("command-lines-surroundings") as record:
        for name, pattern in SURROUNDINGS.items():
            for words in COMMANDS:
                (tmp_path / "gone").mkdir(exist_ok=True)
                line = pattern.format(f"{sys.executable} -m fewshot {words}")
                process = subprocess.run(
                    ["bash", "-c", f"set -o pipefail; {line}"],
                    capture_output=True,
                    text=True,
                    errors="replace",
                    timeout=600,
                )
                if "Traceback" in process.stderr or process.returncode not in (0, 1, 2):
                    record.fail(f"{name}, {words}: {process.returncode} {process.stderr[-300:]}")
                else:
                    record.count(f"exit code {process.returncode}")
