"""Oracle: the same runs in another way, which must give the same numbers."""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from safetensors.numpy import load_file

from fewshot.runs.run_record import RunRecord
from tests.campaign import varied_runs
from tests.campaign.conftest import Outcomes
from tests.campaign.varied_runs import Values, Way
from tests.fewshot.runs.quick_runs import without_times

CONFIGURATIONS = 20
SECONDS = 3600  # of one way through all of them
ROUNDING = 1e-3  # of the spread of the logits: what another order of additions may change
ROUNDING_OF_MUON = 0.1  # the same; timm's Muon computes its steps in bfloat16, of 8 bits
PLAIN = {"OMP_NUM_THREADS": "1", "FEWSHOT_CACHE_GB": "4"}


class Ran(NamedTuple):
    """The configurations that ran, by name, in a folder with one folder for each."""

    configurations: dict[str, Values]
    out: Path
    cache: Path


def _go(way: Way, changed: Mapping[str, str], folder: Path | None = None) -> dict[str, str]:
    """Run all configurations in a process of its own; return how each ended."""
    Path(way.out).mkdir()
    process = varied_runs.start(way, {**PLAIN, **changed}, folder)
    _, messages = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, messages[-2000:]
    return json.loads((Path(way.out) / "log.json").read_text())


@pytest.fixture(scope="module")
def usual(seed: int, amount: Callable[[int], int], tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Run the sample once: one process, one thread, an empty cache."""
    folder = tmp_path_factory.mktemp("numbers")
    sample = {
        f"{number:02}-{varied_runs.METHODS[number % len(varied_runs.METHODS)]}": (
            varied_runs.sample(seed, number)
        )
        for number in range(amount(CONFIGURATIONS))
    }
    cache = folder / "cache"
    log = _go(Way(sample, str(folder / "usual")), {"FEWSHOT_CACHE": str(cache)})
    refused = {name: how for name, how in log.items() if how.startswith("UserError")}
    broken = {name: how for name, how in log.items() if name not in refused and how != "ran"}
    assert not broken, broken
    ran = {name: values for name, values in sample.items() if name not in refused}
    assert len(refused) <= len(sample) / 2, refused
    return Ran(ran, folder / "usual", cache)


def _content(folder: Path) -> dict[str, Any]:
    """Return the records, logits and weights of a configuration's only run, without times."""
    (run,) = (path.parent for path in folder.glob("*/record.json"))
    record = RunRecord.from_json(json.loads((run / "record.json").read_text()))
    content: dict[str, Any] = {"record": without_times(record), "run": run.name}
    for trial in sorted(run.glob("trial-*")):
        with np.load(trial / "predictions.npz") as arrays:
            content[trial.name] = dict(arrays)
        weights = trial / "model.safetensors"
        content[f"{trial.name} weights"] = load_file(weights) if weights.exists() else {}
    return content


def _is_same(first: Any, second: Any) -> bool:
    """Return whether two contents are equal, bit for bit."""
    if isinstance(first, np.ndarray):
        return first.dtype == second.dtype and first.tobytes() == second.tobytes()
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(
            _is_same(first[key], second[key]) for key in first
        )
    return bool(first == second)


def _difference(first: Mapping[str, Any], second: Mapping[str, Any]) -> float:
    """Return the largest difference of a test logit, in units of their standard deviation."""
    differences = [0.0]
    for trial, arrays in first.items():
        if trial.startswith("trial-") and "test_logits" in arrays:
            one, other = arrays["test_logits"], second[trial]["test_logits"]
            differences.append(float(np.abs(one - other).max() / one.std()))
    return float(np.max(differences))  # nan if one of them is


def _compare(part: Outcomes, usual: Ran, out: Path, names: list[str], bits: bool = True) -> None:
    """Count how the runs of a folder differ from the usual ones.

    Args:
        part: counts.
        usual: the usual runs.
        out: the folder of the others.
        names: the configurations that ran.
        bits: whether every bit must be equal; otherwise up to rounding.
    """
    part.figures.setdefault("tolerance", 0.0 if bits else ROUNDING)
    part.figures.setdefault("largest difference", 0.0)
    for name in names:
        first, second = _content(usual.out / name), _content(out / name)
        if not bits:
            first["record"] = second["record"] = None
        if _is_same(first, second):
            part.count("equal, bit for bit")
            continue
        difference = _difference(first, second)
        part.figures["largest difference"] = max(part.figures["largest difference"], difference)
        values = usual.configurations[name]
        is_muon = values.get("train", {}).get("optimizer", {}).get("name") == "muon"
        if is_muon and not bits and ROUNDING < difference <= ROUNDING_OF_MUON:
            part.count("equal to the rounding of bfloat16 (Muon)")
        elif bits or not difference <= ROUNDING:
            part.fail(f"{name} differs by {difference:.2g}: {json.dumps(values)}")
        else:
            part.count("equal to rounding")


def _check(part: Outcomes, log: Mapping[str, str], ran: tuple[str, ...] = ("ran",)) -> list[str]:
    """Count what did not run, and return the names of what did."""
    for name, how in log.items():
        if how not in ran:
            part.fail(f"{name}: {how}")
    return [name for name, how in log.items() if how in ran]


def test_another_process_place_and_language(
    outcomes: Callable[[str], Outcomes], usual: Ran, tmp_path: Path
) -> None:
    changed = {
        "PYTHONHASHSEED": "4711", "TZ": "Pacific/Kiritimati", "LC_ALL": "C", "COLUMNS": "7",
        "FEWSHOT_CACHE": str(tmp_path / "cache"),
    }  # fmt: skip
    with outcomes("numbers-environment") as part:
        way = Way(usual.configurations, str(tmp_path / "out"))
        (tmp_path / "elsewhere").mkdir()
        names = _check(part, _go(way, changed, tmp_path / "elsewhere"))
        _compare(part, usual, tmp_path / "out", names)


def test_the_command_line(outcomes: Callable[[str], Outcomes], usual: Ran, tmp_path: Path) -> None:
    with outcomes("numbers-command-line") as part:
        way = Way(usual.configurations, str(tmp_path / "out"), command_line=True)
        names = _check(part, _go(way, {"FEWSHOT_CACHE": str(usual.cache)}))
        _compare(part, usual, tmp_path / "out", names)


def test_seeds_in_another_order_and_in_parts(
    outcomes: Callable[[str], Outcomes], usual: Ran, tmp_path: Path
) -> None:
    with outcomes("numbers-seeds") as part:
        way = Way(usual.configurations, str(tmp_path / "out"), calls=[[1], [1, 0]])
        names = _check(part, _go(way, {"FEWSHOT_CACHE": str(usual.cache)}))
        _compare(part, usual, tmp_path / "out", names)


@pytest.mark.parametrize("cache", ["full", "none"])
def test_cached_features(
    cache: str, outcomes: Callable[[str], Outcomes], usual: Ran, tmp_path: Path
) -> None:
    with outcomes(f"numbers-cache-{cache}") as part:
        size = "4" if cache == "full" else "0"
        changed = {"FEWSHOT_CACHE_GB": size, "FEWSHOT_CACHE": str(usual.cache)}
        names = _check(part, _go(Way(usual.configurations, str(tmp_path / "out")), changed))
        _compare(part, usual, tmp_path / "out", names)


def test_killed_and_resumed(
    seed: int, outcomes: Callable[[str], Outcomes], usual: Ran, tmp_path: Path
) -> None:
    with outcomes("numbers-resumed") as part:
        trained = {
            name: values for name, values in usual.configurations.items() if "train" in values
        }
        after = random.Random(seed).randint(1, 4)
        way = Way(trained, str(tmp_path / "out"), killed_after=after)
        log = _go(way, {"FEWSHOT_CACHE": str(usual.cache)})
        names = _check(part, log, ("ran", "killed"))
        part.figures["killed"] = list(log.values()).count("killed")
        _compare(part, usual, tmp_path / "out", names)


def test_two_workers(outcomes: Callable[[str], Outcomes], usual: Ran, tmp_path: Path) -> None:
    with outcomes("numbers-workers") as part:
        few = dict(list(usual.configurations.items())[:: max(1, len(usual.configurations) // 5)])
        way = Way(few, str(tmp_path / "out"), workers=2)
        names = _check(part, _go(way, {"FEWSHOT_CACHE": str(usual.cache)}))
        _compare(part, usual, tmp_path / "out", names)


def test_two_threads(outcomes: Callable[[str], Outcomes], usual: Ran, tmp_path: Path) -> None:
    with outcomes("numbers-threads") as part:
        way = Way(usual.configurations, str(tmp_path / "out"), threads=2)
        changed = {"FEWSHOT_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "2"}
        names = _check(part, _go(way, changed))
        _compare(part, usual, tmp_path / "out", names, bits=False)


def test_two_processes_of_torchrun(
    seed: int, amount: Callable[[int], int], outcomes: Callable[[str], Outcomes], tmp_path: Path
) -> None:
    """Compare trainings on batches that two processes share.

    Each process computes batch norm from its part of a batch and augments this part at random, so
    there is neither here.
    """
    plain = {"backbone": varied_runs.BACKBONES[0], "augment": [], "select": "last"}
    sample = [varied_runs.sample(seed, number) for number in range(20 * amount(5))]
    shared = {
        str(number): {**values, **plain}
        for number, values in enumerate(sample)
        if values["method"] in ("scratch", "finetune") and "validation" not in values
    }
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
    with outcomes("numbers-torchrun") as part:
        few = dict(list(shared.items())[: amount(10)])
        cache, out = {"FEWSHOT_CACHE": str(tmp_path / "cache")}, tmp_path / "out"
        _check(part, _go(Way(few, str(tmp_path / "usual")), cache))
        out.mkdir()
        world = {
            **PLAIN, **cache, "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2",
            "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port,
        }  # fmt: skip
        ranks = [
            varied_runs.start(Way(few, str(out)), {**world, "RANK": rank, "LOCAL_RANK": rank})
            for rank in "01"
        ]
        for process in ranks:
            _, messages = process.communicate(timeout=SECONDS)
            assert process.returncode == 0, messages[-2000:]
        names = _check(part, json.loads((out / "log.json").read_text()))
        usual = Ran(few, tmp_path / "usual", tmp_path / "cache")
        _compare(part, usual, out, names, bits=False)
