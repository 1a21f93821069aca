"""The command `episodes`: its tables and files against the records, in one real process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from tests.fewshot.cli.command import fewshot


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(8), 30)
    path = tmp_path_factory.mktemp("features") / "mine.npz"
    np.savez(path, features=random.normal(size=(240, 8)) + 2 * np.eye(8)[labels], labels=labels)
    return path


def test_a_process_evaluates_methods_on_identical_tasks(features: Path, tmp_path: Path):
    command = [sys.executable, "-m", "fewshot", "episodes", "--features", str(features)]
    words = [
        "--method",
        "nearest-mean,bd-cspn",
        "--shots",
        "1,5",
        "--tasks",
        "600",
        "--out",
        "runs",
    ]
    done = subprocess.run(command + words, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    records = [json.loads(path.read_text()) for path in tmp_path.glob("runs/*/record.json")]
    assert len(records) == 4
    for shots in (1, 5):
        pair = [record for record in records if record["tasks"]["shots"] == shots]
        assert len({record["tasks_hash"] for record in pair}) == 1
        best, other = sorted(pair, key=lambda record: -record["accuracy"]["mean"])
        test = stats.ttest_rel(np.array(other["correct"]) / 75, np.array(best["correct"]) / 75)
        low, high = test.confidence_interval(0.95)
        half = 50 * (high - low)
        assert f"{50 * (low + high):+.2f} ± {half:.2f}" in done.stdout
        for record in pair:
            score = record["accuracy"]
            assert f"{100 * score['mean']:.2f} ± {100 * score['ci95']:.2f}" in done.stdout
    assert "5-way 1-shot" in done.stdout
    assert "5-way 5-shot" in done.stdout
    assert "transductive" in done.stdout
    assert done.stderr.count("record: ") == 4


def test_json_is_a_list_of_records(features: Path, tmp_path: Path, monkeypatch, capsys):
    words = f"episodes --features {features} --method lda --tasks 20 --out {tmp_path} --quiet"
    assert fewshot(f"{words} --json", monkeypatch) == 0
    (record,) = json.loads(capsys.readouterr().out)
    assert record == json.loads((tmp_path / record["run_id"] / "record.json").read_text())
    config = tmp_path / record["run_id"] / "tasks.npz"
    again = f"{words} --json --task-file {config}"
    assert fewshot(again, monkeypatch) == 0
    (repeated,) = json.loads(capsys.readouterr().out)
    assert repeated["correct"] == record["correct"]
    assert repeated["tasks_hash"] == record["tasks_hash"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("", "no method was named"),
        ("--method ldaa --data digits", "did you mean 'lda'"),
        ("--method lda --data digits --ways 11", "11 ways"),
        ("--method protonet --train --data digits", "needs base classes"),
        ("--method lda --features gone.npz", "gone.npz does not exist"),
    ],
)
def test_wrong_requests_are_one_sentence(words, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert fewshot(f"episodes {words}", monkeypatch) == 2
    error = capsys.readouterr().err
    assert error.startswith("fewshot: ")
    assert sentence in error
    assert error.count("\n") == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_an_interrupted_process_resumes_to_the_same_numbers(tmp_path: Path):
    words = (
        "episodes --method protonet --train --data digits --split seed:0:5/0/5 --backbone conv4 "
        "--set backbone.options.width=4 --set backbone.options.norm=group "
        "--set learner.episode_ways=5 --set train.steps=60 --tasks 50 --out runs --json"
    )
    command = [sys.executable, "-m", "fewshot", *words.split()]

    def environment(name: str) -> dict[str, str]:
        return {**os.environ, "FEWSHOT_CACHE": str(tmp_path / name)}

    def run(name: str) -> subprocess.CompletedProcess[str]:
        place = tmp_path / f"of-{name}"
        place.mkdir(exist_ok=True)
        return subprocess.run(
            command, cwd=place, env=environment(name), capture_output=True, text=True
        )

    whole = run("whole")
    assert whole.returncode == 0, whole.stderr
    place = tmp_path / "of-broken"
    place.mkdir()
    with subprocess.Popen(
        command,
        cwd=place,
        env=environment("broken"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "step" in line:
                process.send_signal(signal.SIGINT)
                break
        rest = process.stderr.read()
    assert process.returncode == 130
    assert "the same command resumes" in rest
    assert not list(place.glob("runs/*/record.json"))
    assert list((tmp_path / "broken").rglob("checkpoint.pt"))
    again = run("broken")
    assert again.returncode == 0, again.stderr
    (expected,), (resumed,) = json.loads(whole.stdout), json.loads(again.stdout)
    assert resumed["correct"] == expected["correct"]
    assert resumed["run_id"] == expected["run_id"]
