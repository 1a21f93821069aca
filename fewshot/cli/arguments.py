"""What a command asks for -> the settings and seeds of a run; imports nothing heavy."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fewshot import config
from fewshot.errors import UserError
from fewshot.studies import schema


def values(file: Path | None, sets: Sequence[str], **flags: Any) -> dict[str, Any]:
    """Settings from a file, then flags on top, then --set; a flag that names a budget replaces the file's."""
    found = config.read(file) if file is not None else {}
    found.pop("compute", None)  # a run's own config.yaml also says how that machine computed
    given = {key: value for key, value in flags.items() if value is not None}
    backbone = {
        key: given.pop(flag)
        for flag, key in (("backbone", "name"), ("weights", "weights"))
        if flag in given
    }
    if backbone:
        given["backbone"] = backbone
    found = config.overlay(config.overlay(found, given), config.overrides(sets))
    if not found.get("method"):
        raise UserError(
            "no method was named: use --method, as in fewshot run --method protonet --shots 16."
        )
    if all(found.get(key) is None or found.get(key) is False for key in config.BUDGETS):
        raise UserError("no budget was named: use --shots K, --fraction P, or --full.")
    return found


FOLDERS = re.compile(
    r"""(?<!\w)[~.]*/([^\s,'"\[\]{}]*/)?"""
)  # before the names of files, also inside a list


def pretraining(
    file: Path | None,
    sets: Sequence[str],
    *,
    data: str,
    backbone: str | None,
    epochs: float | None,
    seed: int,
) -> tuple[dict[str, Any], str]:
    """Settings of a pretraining, and the command that asks for them again, to be told on the weights' card.

    In the command, paths are names alone: where things lay is nobody's business.
    """
    found = config.read(file) if file is not None else {}
    for key in (
        "compute",
        "method",
        "preset",
        "shots",
        "fraction",
        "full",
    ):  # what a run's own config.yaml also says
        found.pop(key, None)
    given: dict[str, Any] = {"data": data}
    words = ["fewshot", "pretrain", "--data", Path(data).name]
    if backbone is not None:
        found.pop("backbone", None)
        given["backbone"] = {"name": backbone}
        words += ["--backbone", backbone]
    if epochs is not None:
        given["train"] = {"epochs": epochs}
        words += ["--epochs", f"{epochs:g}"]
    if seed:
        words += ["--seed", str(seed)]
    if file is not None:
        words += ["--config", file.name]
    for key, _, value in (each.partition("=") for each in sets):
        words += ["--set", f"{key}={FOLDERS.sub('', value)}"]
    return config.overlay(config.overlay(found, given), config.overrides(sets)), shlex.join(words)


def seeds(text: str) -> list[int]:
    """`10` is draws 0 to 9, `100-109` those."""
    match = re.fullmatch(r"(\d+)(?:-(\d+))?", text.strip())
    if match is None:
        raise UserError(
            f"--seeds {text}: a number of draws (10) or a range (100-109) was expected."
        )
    first, last = (0, int(match[1]) - 1) if match[2] is None else (int(match[1]), int(match[2]))
    if last < first:
        raise UserError(
            f"--seeds {text}: this is no draw at all; use 1 or more, or a range that rises."
        )
    return list(range(first, last + 1))


def percents(text: str | None) -> list[float]:
    """`10,50` is 10 and 50 percent, rising and without repeats; no text is all, 100."""
    parts = (
        ["100"] if text is None else [part.strip().removesuffix("%") for part in text.split(",")]
    )
    if not all(re.fullmatch(r"\d+(\.\d+)?", part) and 0 < float(part) <= 100 for part in parts):
        raise UserError(
            f"--best {text}: percentages over 0 and up to 100 were expected, as in --best 10,20,50,100."
        )
    return sorted({float(part) for part in parts})


def rows(places: Sequence[Path], only: str | None) -> list[schema.Row]:
    """Rows of the studies at these places, all or those named, as K9,K10."""
    found = schema.read(places)
    if only is None:
        return found
    known = {row.name.lower(): row.name for row in found}
    wanted = [name.strip() for name in only.split(",")]
    for name in wanted:
        if name.lower() not in known:
            raise UserError(
                f"--only {name}: there is no such row; {config.nearest(name.upper(), list(known.values()))}"
            )
    return [row for row in found if row.name.lower() in {name.lower() for name in wanted}]


def scale(name: str) -> str:
    if name not in schema.SCALES:
        raise UserError(f"--scale {name}: {', '.join(schema.SCALES)} were expected.")
    return name


def shard(text: str) -> tuple[int, int]:
    """`2/5` is the second of five."""
    match = re.fullmatch(r"(\d+)/(\d+)", text.strip())
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise UserError(f"--shard {text}: i/n with i from 1 to n was expected, as in --shard 2/5.")
    return int(match[1]), int(match[2])


def counts(text: str | None) -> list[float]:
    """`64,128` is those numbers of labels a class, rising and without repeats; no text is none."""
    parts = [] if text is None else [part.strip() for part in text.split(",")]
    if not all(re.fullmatch(r"\d{1,9}", part) and int(part) > 0 for part in parts):
        raise UserError(
            f"--at {text}: whole numbers of labels a class were expected, as in --at 64,128."
        )
    return sorted({float(part) for part in parts})


def predictions(kaggle: Path | None, out: Path | None, top: int) -> Path:
    """The one CSV file that predictions go to."""
    place = kaggle or out
    if place is None or (kaggle is not None and out is not None):
        raise UserError(
            "name one file to write: --out predictions.csv, or --kaggle submission.csv."
        )
    if kaggle is not None and top > 1:
        raise UserError(
            "--kaggle has one class for an image: use --out with --top, or leave --top out."
        )
    return place
