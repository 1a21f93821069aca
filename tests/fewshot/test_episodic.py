"""`fewshot.episodes` against the records that it writes, and the shape of what it returns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import fewshot
from fewshot.runs.episodic import record as records
from fewshot.runs.episodic.record import EpisodesRecord

RANDOM = np.random.default_rng(0)
LABELS = np.repeat(np.arange(8), 25)
ARRAYS = {"features": RANDOM.normal(size=(200, 8)) + 2 * np.eye(8)[LABELS], "labels": LABELS}


def test_one_request_gives_one_record_and_lists_give_lists(tmp_path: Path):
    one = fewshot.episodes("lda", features=ARRAYS, tasks=40, out=tmp_path, quiet=True)
    assert isinstance(one, EpisodesRecord)
    assert records.read(tmp_path / one.run_id / "record.json") == one
    numbers = {"ways": np.int64(5), "shots": np.int64(1)}
    assert one == fewshot.episodes(
        "lda", features=ARRAYS, tasks=40, out=tmp_path, quiet=True, **numbers
    )
    (same,) = fewshot.episodes(["lda"], features=ARRAYS, tasks=40, out=tmp_path, quiet=True)
    assert same == one
    some = fewshot.episodes(
        ["lda", "nearest-mean"],
        shots=[1, 5],
        features=ARRAYS,
        tasks=40,
        out=tmp_path,
        quiet=True,
        head={"features": "UN"},
    )
    assert [(record.method, record.tasks.shots) for record in some] == [
        *(("lda", 1), ("lda", 5), ("nearest-mean", 1), ("nearest-mean", 5))
    ]
    assert all(record.config["head"]["features"] == "UN" for record in some)


def test_records_of_identical_tasks_are_compared(tmp_path: Path):
    pair = fewshot.episodes(
        ["lda", "nearest-mean"], features=ARRAYS, shots=5, tasks=40, out=tmp_path, quiet=True
    )
    table = fewshot.compare(*pair)
    best = max(pair, key=lambda record: record.accuracy.mean)
    assert table["accuracy"].iloc[0] == best.accuracy.mean
    assert best.name in best._repr_html_()


def test_images_and_arguments_reach_the_run(tmp_path: Path):
    record = fewshot.episodes(
        "nearest-mean",
        ways=3,
        shots=2,
        queries=4,
        tasks=10,
        seed=3,
        data="digits",
        split="seed:0:3/3/4",
        part="novel",
        backbone={"name": "conv4", "options": {"width": 4}},
        out=tmp_path,
        device="cpu",
        quiet=True,
        precision="float32",
    )
    tasks = record.tasks
    assert (tasks.ways, tasks.shots, tasks.queries, tasks.count, tasks.seed) == (3, 2, 4, 10, 3)
    assert (record.data, record.split, len(record.classes)) == ("digits", "seed:0:3/3/4", 4)
    assert record.backbone == "conv4"


def test_wrong_requests_are_explained(tmp_path: Path):
    with pytest.raises(fewshot.UserError, match="lacks 'labels'"):
        fewshot.episodes("lda", features={"features": ARRAYS["features"]}, out=tmp_path)
    with pytest.raises(fewshot.UserError, match="did you mean 'data'"):
        fewshot.episodes("lda", dat="digits", out=tmp_path)
    with pytest.raises(fewshot.UserError, match="no method was named"):
        fewshot.episodes([], features=ARRAYS, out=tmp_path)
    with pytest.raises(fewshot.UserError, match=r"'tasks\.ways' should be a valid integer"):
        fewshot.episodes("lda", features=ARRAYS, ways=5.5, out=tmp_path)
    assert list(tmp_path.iterdir()) == []
