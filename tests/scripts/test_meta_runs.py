"""The rows of meta.md against what issue 25 asks for, and a row at toy size on a base set."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fewshot.runs import fitting, run_settings
from scripts import meta_runs

TOY = ["--set", "data=digits", "--set", "train.base=digits", "--set", "precision=float32"]
TOY += ["--set", "backbone.options.width=4", "--trials", "2"]


def test_every_row_resolves_and_says_what_it_is() -> None:
    rows = meta_runs.rows()
    for name, request in rows.items():
        settings = run_settings.configure({"shots": 1, **request}, request["preset"])
        assert (settings.train is None) == name.endswith("-untrained")
        assert ("shipped" in name) == (settings.backbone.weights == "pretrained")
        if settings.train is not None and not name.startswith("k11"):
            assert settings.train.base == "tinyimagenet32"
    for start in meta_runs.STARTS:
        for name in meta_runs.LEARNERS:
            folder, before = meta_runs.untrained(name, start)
            assert folder == "learners" or before in rows
    maml = [rows[f"{name}-random"] for name in ("maml", "maml-first", "anil")]
    learners = [run_settings.configure({"shots": 1, **one}, one["preset"]).learner for one in maml]
    kinds = [(one["order"], one["inner_trainable"]) for one in learners]
    assert kinds == [("second", "all"), ("first", "all"), ("second", "head")]


def test_a_row_writes_a_record_for_each_number_of_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A meta-training is shortened to 50 steps if there is no time, and happens once."""
    trained = []
    original = fitting.fit_part

    def counted(run, *words, **more):
        trained.append(run.config.train.steps)
        return original(run, *words, **more)

    monkeypatch.setattr(fitting, "fit_part", counted)
    monkeypatch.setenv("FEWSHOT_CACHE", str(tmp_path / "cache"))
    meta_runs.main(["siamese-random", "--out", str(tmp_path), "--seconds", "0", *TOY])
    assert trained == [50]
    for shots in (1, 4, 16):
        record = json.loads((tmp_path / "records" / f"siamese-random-{shots}.json").read_text())
        assert record["shots"] == shots
        assert record["config"]["train"]["steps"] == 50
        assert record["seeds"] == [0, 1]
    assert "siamese-random: 50 steps" in capsys.readouterr().out


def test_an_unknown_row_is_refused() -> None:
    with pytest.raises(SystemExit, match="unknown row nothing"):
        meta_runs.main(["nothing"])
