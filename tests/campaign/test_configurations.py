"""Oracle: a configuration is refused in one sentence, or survives YAML and runs to a record."""

from __future__ import annotations

import importlib
import itertools
import json
import math
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from fewshot import config
from fewshot.cli import arguments
from fewshot.config import splits
from fewshot.errors import Diverged, UserError
from fewshot.runs import resolve, run_settings
from fewshot.studies import grids, schema
from tests.campaign.configurations import as_yaml, configurations, mutated, set_words
from tests.campaign.conftest import Outcomes
from tests.campaign.limits import TooSlow, time_limit

SECONDS = 10.0  # of one configuration, on a machine that others use too
LONGEST = 20_000  # characters of a sentence, which shows a wrong value as a whole


def for_each(
    strategy: SearchStrategy[Any], count: int, seed: int, attempt: Callable[[Any], None]
) -> None:
    """Call `attempt` with so many different examples, repeatable by the seed; none is shrunk.

    Hypothesis draws many examples more than once, so it draws with one seed after the other.
    """
    tried: set[str] = set()

    def attempt_once(example: Any) -> None:
        if len(tried) < count and repr(example) not in tried:
            tried.add(repr(example))
            attempt(example)

    for number in itertools.count():
        missing = count - len(tried)
        if not missing:
            return
        settings = hypothesis.settings(
            max_examples=missing + 50,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        draw = hypothesis.given(strategy)(attempt_once)
        hypothesis.seed(seed + number * 1_000_003)(settings(draw))()


def problem_of(error: BaseException) -> str:
    """Return what is wrong with an error that a user sees; empty if it is one sentence."""
    text = str(error)
    if not isinstance(error, UserError):
        place = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} in {place.filename}:{place.lineno}: {text[:200]}"
    if not text.strip() or len(text) > LONGEST:
        return f"a message of {len(text)} characters: {text[:200]}"
    return ""


def settled(path: Path, *, with_data: bool) -> tuple[config.RunConfig, str]:
    """Return the settings of a file as a run writes them, and the id of the run.

    Without data, these are the settings before the data changes some, and the id is empty.
    """
    values = arguments.values(path, [])
    resolve._check_name(values.get("method"))
    if not with_data:
        return run_settings.configure(values, values.get("preset") or "few"), ""
    return resolve._settle(values).config, resolve.run_id_of(values)


def check_file(path: Path, *, with_data: bool) -> str:
    """Load a configuration, write it and load it again; return what happened, in plain words."""
    try:
        settings, run_id = settled(path, with_data=with_data)
    except UserError as error:
        if problem := problem_of(error):
            raise AssertionError(problem) from error
        return "refused in one sentence"
    written = settings.model_dump(mode="json")
    path.write_text(config.dump(written), encoding="utf-8")
    try:
        again, id_again = settled(path, with_data=with_data)
    except UserError as error:
        raise AssertionError(f"refused after YAML: {error}") from error
    assert again == settings, f"changed on the way through YAML: {again!r}"
    assert json.dumps(written) == json.dumps(again.model_dump(mode="json"))
    assert id_again == run_id, "another run id after YAML"
    return "read, and the same after YAML"


@pytest.mark.parametrize(("part", "share"), [("valid", 0.2), ("nearly-valid", 0.8)])
def test_configurations_are_refused_in_a_sentence_or_survive_yaml(
    part: str,
    share: float,
    seed: int,
    amount: Callable[[int], int],
    outcomes: Callable[[str], Outcomes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")  # so that odd names of data sets name nothing
    path = tmp_path / "settings.yaml"
    strategy = configurations().map(lambda values: as_yaml(values).encode())
    if part == "nearly-valid":
        strategy = mutated(configurations())
    resolve.run_id_of({"method": "probe", "data": "digits", "shots": 1})  # load the data
    importlib.import_module("timm"), importlib.import_module("torchvision")
    with outcomes(f"configurations-{part}") as record:

        def attempt(content: bytes) -> None:
            path.write_bytes(content)
            with_data = sum(record.counts.values()) % 20 == 0
            try:
                with time_limit(SECONDS):
                    record.count(check_file(path, with_data=with_data))
            except (Exception, TooSlow) as error:
                record.fail(f"{problem_of(error)}: {content[:400]!r}")

        for_each(strategy, amount(round(share * 10_000)), seed, attempt)


def load_study(path: Path) -> None:
    """Read a row and list its cells at every scale."""
    for row in schema.read([path]):
        for scale in schema.SCALES:
            grids.count(row, scale), grids.cells(row, scale)


def load_split(path: Path) -> None:
    """Read the split of a data set that has some of its classes."""
    splits.read(str(path), ["cat", "dog", "n01532829", "apple"], "animals")


def files_below(folder: str) -> SearchStrategy[Any]:
    """Return a strategy of the contents of packaged YAML files below a folder, the short ones."""
    paths = sorted((config.presets_folder() / folder).rglob("*.yaml"))
    short = [path for path in paths if path.stat().st_size < 6000]
    return st.sampled_from([config.read(path) for path in short])


@pytest.mark.parametrize(
    ("part", "folder", "load"),
    [
        ("study-files", "studies", load_study),
        ("split-files", "splits", load_split),
        ("set-words", "", None),
    ],
)
def test_other_texts_are_refused_in_a_sentence_or_read(
    part: str,
    folder: str,
    load: Callable[[Path], None] | None,
    seed: int,
    amount: Callable[[int], int],
    outcomes: Callable[[str], Outcomes],
    tmp_path: Path,
):
    (tmp_path / "study").mkdir()
    path = tmp_path / "study" / "row.yaml"

    def set_all(words: list[str]) -> None:
        values = arguments.values(None, words, data="digits", shots=1)
        resolve._check_name(values.get("method"))
        run_settings.configure(values, values.get("preset") or "few")

    def load_file(content: bytes) -> None:
        assert load is not None
        path.write_bytes(content)
        load(path)

    strategy = set_words() if load is None else mutated(files_below(folder))
    call: Callable[[Any], None] = set_all if load is None else load_file
    with outcomes(part) as record:

        def attempt(content: Any) -> None:
            try:
                with time_limit(SECONDS):
                    call(content)
                record.count("read")
            except (Exception, TooSlow) as error:
                if problem := problem_of(error):
                    record.fail(f"{problem}: {content[:400]!r}")
                else:
                    record.count("refused in one sentence")

        for_each(strategy, amount(1000), seed, attempt)


def finite(value: Any) -> bool:
    """Return whether all numbers in plain JSON are finite."""
    if isinstance(value, dict):
        return all(map(finite, value.values()))
    if isinstance(value, list):
        return all(map(finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def small(values: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a training of two steps of a small network."""
    cut = {**values, "backbone": {"name": "conv4", **values.get("backbone", {})}}
    cut["backbone"]["weights"] = "none"
    method, preset = values["method"], values.get("preset") or "few"
    train = values.get("train", config.preset(method, preset).get("train"))
    if train is not None:
        train = {key: value for key, value in train.items() if key != "epochs"}
        cut["train"] = {**train, "steps": 2, "batch_size": min(train.get("batch_size", 8), 8)}
    return cut


def test_valid_configurations_run_to_a_record_or_are_refused(
    seed: int,
    amount: Callable[[int], int],
    outcomes: Callable[[str], Outcomes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    from fewshot.runs import experiment

    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    with outcomes("configurations-run") as record:

        def attempt(values: dict[str, Any]) -> None:
            try:
                with time_limit(60 * SECONDS):
                    result = experiment.run(values, [0], out=tmp_path / "runs").to_json()
                assert finite(result), "a number of the record is not finite"
                record.count("run to a record of finite numbers")
            except Diverged:
                record.count("diverged, and the message names the place")
            except (Exception, TooSlow) as error:
                if problem := problem_of(error):
                    record.fail(f"{problem}: {as_yaml(values)[:600]}")
                else:
                    record.count("refused in one sentence")

        for_each(configurations().map(small), amount(200), seed, attempt)
