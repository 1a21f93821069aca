"""From the words of a command to settings, seeds and lists; imports nothing heavy."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fewshot import config
from fewshot.errors import UserError
from fewshot.studies import schema

# Settings of a run's own config.yaml that a pretraining decides by itself.
NOT_OF_PRETRAINING = ("compute", "method", "preset", "shots", "fraction", "full")
PREDICTION_SUFFIXES = (".csv", ".json", ".jsonl")
FOLDERS = re.compile(r"""(?<!\w)[~.]*/([^\s,'"\[\]{}]*/)?""")  # before a file name, also in lists


def values(file: Path | None, sets: Sequence[str], **flags: Any) -> dict[str, Any]:
    """Return the settings of a run: the file, with the flags on top, with `--set` on top of both.

    What is left out has the defaults of `config.with_defaults`.

    Args:
        file: YAML file of settings, or a run's config.yaml.
        sets: words such as `train.lr=0.1`.
        flags: settings by name; None if the flag was not given. `weights` is the backbone's.

    Raises:
        UserError: if no label budget is named, nor a data set.
    """
    settings = config.read(file) if file is not None else {}
    settings.pop("compute", None)  # how the machine of a finished run computed
    given = {key: value for key, value in flags.items() if value is not None}
    backbone = {}
    for flag, key in (("backbone", "name"), ("weights", "weights")):
        if flag in given:
            backbone[key] = given.pop(flag)
    if backbone:
        given["backbone"] = backbone
    if "test" in given:
        given["test"] = test_images(given["test"])
    if "test_folds" in given and "test" in given:
        raise UserError("--folds is for data without test images, and --test names some: use one.")
    settings = _on_top(config.overlay(settings, given), config.overrides(sets))
    settings = config.with_defaults(settings)
    if all(settings.get(key) is None or settings[key] is False for key in config.BUDGETS):
        config.check_names(config.RunConfig, settings)
        raise UserError(
            "no label budget was named: use --shots K, --fraction P, or --full; with --data FOLDER "
            "all images are the default."
        )
    return settings


def fitting(sets: Sequence[str], **flags: Any) -> config.FitConfig:
    """Return the settings of `fewshot fit`: its flags, with `--set` on top.

    Args:
        sets: words such as `prior=training`.
        flags: settings by name; None if the flag was not given. `weights` is the backbone's.
    """
    given = {key: value for key, value in flags.items() if value is not None}
    weights = given.pop("weights", None)
    if "backbone" in given:
        untrained = given.get("method") == "scratch"
        default = "none" if untrained else "pretrained"
        given["backbone"] = {"name": given["backbone"], "weights": weights or default}
    elif weights is not None:
        raise UserError("--weights needs --backbone, such as --backbone resnet18.")
    values = config.overlay(given, config.overrides(sets))
    return config.check(config.FitConfig, values, "the settings of fit")


def test_images(text: str | None) -> float | str | None:
    """Return a share of the images, of `0.2` or `20%`; or a path or name, of anything else."""
    if text is None:
        return None
    number = re.fullmatch(r"([0-9.eE+-]+)(%?)", text.strip())
    if number is None or Path(text).exists():
        return text
    try:
        share = float(number[1]) / (100 if number[2] else 1)
    except ValueError:
        return text
    if not 0 < share < 1:
        raise UserError(
            f"--test {text}: expected a share of the images between 0 and 1, such as 0.2, or the "
            "path of other images."
        )
    return share


def _on_top(settings: dict[str, Any], sets: dict[str, Any]) -> dict[str, Any]:
    """Return settings with those of `--set` on top, also where one has the old key of another."""
    for values in (settings, sets):
        config.check_first(values)
    if "learner" in settings and "learner" in sets:
        from fewshot.learners import LEARNERS
        from fewshot.runs.run_settings import with_new_keys

        method = sets.get("method", settings.get("method"))
        if settings.get("method") == method and method in LEARNERS:
            settings = with_new_keys(settings, LEARNERS[method])
            sets = with_new_keys(sets, LEARNERS[method])
    return config.overlay(settings, sets)


def pretraining(
    file: Path | None,
    sets: Sequence[str],
    *,
    data: str,
    backbone: str | None,
    epochs: float | None,
    seed: int,
) -> tuple[dict[str, Any], str]:
    """Return the settings of a pretraining, and the command that repeats it.

    The command is published on the card of the weights, so its paths are reduced to file names.
    """
    settings = config.read(file) if file is not None else {}
    for key in NOT_OF_PRETRAINING:
        settings.pop(key, None)
    given: dict[str, Any] = {"data": data}
    words = ["fewshot", "pretrain", "--data", Path(data).name]
    if backbone is not None:
        settings.pop("backbone", None)
        given["backbone"] = {"name": backbone}
        words += ["--backbone", backbone]
    if epochs is not None:
        given["train"] = {"epochs": epochs}
        words += ["--epochs", f"{epochs:g}"]
    if seed:
        words += ["--seed", str(seed)]
    if file is not None:
        words += ["--config", file.name]
    for pair in sets:
        key, _, value = pair.partition("=")
        words += ["--set", f"{key}={FOLDERS.sub('', value)}"]
    settings = config.overlay(config.overlay(settings, given), config.overrides(sets))
    return settings, shlex.join(words)


def seeds(text: str) -> list[int]:
    """Return the seeds of `10` (0 to 9) or of a range such as `100-109`."""
    match = re.fullmatch(r"(\d+)(?:-(\d+))?", text.strip())
    if match is None:
        raise UserError(
            f"--seeds {text}: expected a number of trials such as 10, or a range such as 100-109."
        )
    first, last = (0, int(match[1]) - 1) if match[2] is None else (int(match[1]), int(match[2]))
    if last < first:
        raise UserError(
            f"--seeds {text}: expected at least one trial, or an increasing range such as 100-109."
        )
    return list(range(first, last + 1))


def percents(text: str | None) -> list[float]:
    """Return the percentages of `10,50`, sorted and without repeats; None is [100]."""
    parts = ["100"] if text is None else [part.strip().rstrip("%") for part in text.split(",")]
    if not all(re.fullmatch(r"\d+(\.\d+)?", part) and 0 < float(part) <= 100 for part in parts):
        raise UserError(
            f"--best {text}: expected percentages above 0 and up to 100, as in --best 10,50,100."
        )
    return sorted({float(part) for part in parts})


def counts(text: str | None) -> list[float]:
    """Return the labels per class of `64,128`, sorted and without repeats; None is []."""
    parts = [] if text is None else [part.strip() for part in text.split(",")]
    if not all(re.fullmatch(r"\d{1,9}", part) and int(part) > 0 for part in parts):
        raise UserError(
            f"--at {text}: expected whole numbers of labels per class, as in --at 64,128."
        )
    return sorted({float(part) for part in parts})


def rows(paths: Sequence[Path], only: str | None) -> list[schema.Row]:
    """Return the rows of the studies at these paths: all, or those named, as in `K9,K10`."""
    all_rows = schema.read(paths)
    if only is None:
        return all_rows
    names = [name.strip().upper() for name in only.split(",")]
    known = {row.name.upper(): row.name for row in all_rows}
    for name in names:
        if name not in known:
            raise UserError(
                f"--only {name}: there is no such row; {config.nearest(name, list(known.values()))}"
            )
    return [row for row in all_rows if row.name.upper() in names]


def scale(name: str) -> str:
    """Return the name of a scale, if there is one of this name."""
    return _one_of(name, schema.SCALES)


def report_scale(name: str) -> str:
    """Return the name of a scale that a report can show: one of a sweep, or `highest`."""
    return _one_of(name, (*schema.SCALES, schema.HIGHEST))


def _one_of(name: str, scales: Sequence[str]) -> str:
    if name not in scales:
        raise UserError(f"--scale {name}: expected one of {', '.join(scales)}.")
    return name


def runs_folder(scale: str) -> Path:
    """Return the default folder of a sweep's runs; smoke runs are apart, so no report has them."""
    return Path("smoke-runs" if scale == "smoke" else "runs")


def shard(text: str) -> tuple[int, int]:
    """Return (2, 5) for `2/5`, the second of five."""
    match = re.fullmatch(r"(\d+)/(\d+)", text.strip())
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise UserError(f"--shard {text}: expected i/n with i from 1 to n, as in --shard 2/5.")
    return int(match[1]), int(match[2])


def prediction_file(kaggle: Path | None, out: Path | None, top: int, as_json: bool) -> Path | None:
    """Return the file that `predict` writes; None if it prints.

    Raises:
        UserError: two files are named, or one whose format is not known or not the one asked for.
    """
    if kaggle is not None and out is not None:
        raise UserError(
            "name one file to write: --out predictions.csv, or --kaggle submission.csv."
        )
    if kaggle is not None and top > 1:
        raise UserError(
            "--kaggle writes one class per image: use --out with --top, or leave --top out."
        )
    if out is not None and out.suffix.lower() not in PREDICTION_SUFFIXES and not out.is_dir():
        raise UserError(
            f"--out {out}: the format follows from the ending of the name, so expected one of "
            f"{', '.join(PREDICTION_SUFFIXES)}."
        )
    file = kaggle or out
    if as_json and file is not None and (kaggle is not None or file.suffix.lower() != ".json"):
        raise UserError(
            f"--json is for printed predictions, and {file} is no JSON array: leave out --json, or "
            "use --out predictions.json."
        )
    return file


def check_undo(**others: object) -> None:
    """Raise UserError if another option of `check` is given beside --undo, by its name."""
    given = [f"--{name}" for name, value in others.items() if value]
    if given:
        raise UserError(
            f"--undo moves images back and checks nothing: leave out {', '.join(given)}, or use a "
            "second command."
        )


def check_public(public: bool, out: Path | None) -> None:
    """Raise UserError if --public is asked for what is not written to the hub."""
    if public and (out is None or not _is_hub(out)):
        raise UserError(
            "--public is for repositories of the Hugging Face Hub: use --out hf:user/name."
        )


def _is_hub(place: Path) -> bool:
    return place.as_posix().startswith("hf:")


def check_export(
    onnx: Path | None, out: Path | None, check: Sequence[Path] | None, public: bool
) -> None:
    """Raise UserError unless an export names an ONNX file, a repository of the hub, or both."""
    if onnx is None and out is None:
        raise UserError(
            "name what to write: --onnx model.onnx, or --out hf:user/name for a repository of the "
            "Hugging Face Hub."
        )
    if onnx is not None and onnx.is_dir():
        raise UserError(f"{onnx} is a folder: name the file to write, such as model.onnx.")
    if out is not None and not _is_hub(out):
        raise UserError(
            f"--out {out}: expected a repository hf:user/name; an ONNX file is named by --onnx."
        )
    if check and onnx is None:
        raise UserError("--check compares an ONNX file with the model: name one with --onnx.")
    check_public(public, out)


def share(option: str, value: float | None) -> float | None:
    """Return a share of an option, strictly between 0 and 1; `90` is not one."""
    if value is not None and not 0 < value < 1:
        raise UserError(f"{option} {value:g}: expected a share between 0 and 1, such as 0.9.")
    return value


def image_paths(words: Sequence[Path]) -> list[Path]:
    """Return the paths of images; `-` stands for those that standard input lists, one a line."""
    paths: list[Path] = []
    for word in words:
        if str(word) != "-":
            paths.append(word)
            continue
        lines = (line.rstrip(b"\r\n") for line in sys.stdin.buffer)
        paths += [Path(os.fsdecode(line)) for line in lines if line]
    return paths
