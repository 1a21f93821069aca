"""Curves of trainings.

Oracle: TensorBoard's own reader; the records in a file of Weights & Biases; the trainer's history.
"""

from __future__ import annotations

import json
import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fewshot import distributed
from fewshot.config import Train
from fewshot.errors import UserError
from fewshot.runs import experiment, records
from fewshot.training import curves, trainer
from fewshot.training.curves import Training
from fewshot.training.history import LogPoint
from tests.fewshot import easy
from tests.fewshot.runs.quick_runs import quick
from tests.fewshot.training.tiny import build

BLOCK = 32 * 1024  # bytes of a log of LevelDB, the format of Weights & Biases


class Killed(Exception):
    """Stand for a process that ends at once."""


def training(folder: Path) -> Training:
    return Training(folder / "0123", "trial-0", {"method": "finetune", "seed": 0})


def points(*steps: int, loss: float = 0.5) -> list[LogPoint]:
    return [
        {"step": step, "epoch": step / 2, "train_loss": loss / step, "lr": 0.1} for step in steps
    ]


def send(about: Training, rows: list[LogPoint], *, resumes: bool) -> None:
    with curves.of_training(about, resumes=resumes) as on_point:
        for row in rows:
            on_point(row)


def tensorboard_values(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Return tag -> (step, value), as TensorBoard reads a folder."""
    module = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = module.EventAccumulator(str(folder))
    events.Reload()
    return {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }


def wandb_rows(folder: Path) -> list[dict[str, Any]]:
    """Return the rows in the files of all sessions in a folder, by the time of the session."""
    from wandb.proto import wandb_internal_pb2

    rows = []
    for file in sorted(folder.glob("wandb/offline-run-*/*.wandb")):
        for content in leveldb_records(file.read_bytes()):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(content)
            if record.WhichOneof("record_type") == "history":
                items = record.history.item
                names = ["/".join(item.nested_key) or item.key for item in items]
                values = [json.loads(item.value_json) for item in items]
                rows.append(dict(zip(names, values, strict=True)))
    return rows


def leveldb_records(content: bytes) -> Iterator[bytes]:
    """Yield the records of a log of LevelDB, which begins with a header of seven bytes."""
    at, record = 7, b""
    while at + 7 <= len(content):
        if BLOCK - at % BLOCK < 7:
            at += BLOCK - at % BLOCK
            continue
        _, length, kind = struct.unpack_from("<IHB", content, at)
        record += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or its last part
            yield record
            record = b""


def test_nothing_is_sent_unless_asked_for(tmp_path: Path) -> None:
    send(training(tmp_path), points(1, 2), resumes=False)
    assert list(tmp_path.iterdir()) == []
    assert curves.environment() == {}


def test_unknown_and_missing_destinations_end_before_the_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(UserError, match="expected one of tensorboard, wandb"), curves.sent_to("x"):
        pass
    monkeypatch.setattr(curves, "find_spec", lambda name: None)
    with (
        pytest.raises(UserError, match=r"pip install 'fewshot\[wandb\]'"),
        curves.sent_to("wandb"),
    ):
        pass
    assert curves.environment() == {}


def test_processes_inherit_the_destination_until_the_block_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(curves, "find_spec", lambda name: name)
    with curves.sent_to("wandb"):
        assert curves.environment() == {curves.VARIABLE: "wandb"}
        with curves.sent_to("tensorboard"):
            assert os.environ[curves.VARIABLE] == "tensorboard"
        with curves.sent_to(None):
            assert curves.environment() == {}
        assert os.environ[curves.VARIABLE] == "wandb"
    assert curves.VARIABLE not in os.environ


def test_tensorboard_reads_the_points(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    about = training(tmp_path)
    rows = points(2, 4)
    rows[1] |= {"validation_loss": 0.25, "validation_accuracy": 0.75}
    with curves.sent_to("tensorboard"):
        send(about, rows, resumes=False)
    values = tensorboard_values(about.run / "tensorboard" / "trial-0")
    assert values == {
        "epoch": [(2, 1.0), (4, 2.0)],
        "loss/train": [(2, 0.25), (4, 0.125)],
        "lr": [(2, pytest.approx(0.1)), (4, pytest.approx(0.1))],
        "loss/validation": [(4, 0.25)],
        "accuracy/validation": [(4, 0.75)],
    }


def test_a_curve_that_resumes_repeats_no_step_and_a_new_one_begins_anew(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    about = training(tmp_path)
    folder = about.run / "tensorboard" / "trial-0"
    with curves.sent_to("tensorboard"):
        send(about, points(1, 2, 3), resumes=False)
        send(about, points(2, 3, 4, 5), resumes=True)
        assert [step for step, _ in tensorboard_values(folder)["lr"]] == [1, 2, 3, 4, 5]
        assert sum(map(raw_scalars, folder.glob("events*"))) == 15  # three values of five steps
        send(about, points(1, loss=9), resumes=False)
        assert tensorboard_values(folder)["loss/train"] == [(1, 9)]


def raw_scalars(file: Path) -> int:
    """Return how many values an event file holds, repeated ones included."""
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

    return sum(len(event.summary.value) for event in LegacyEventFileLoader(str(file)).Load())


def test_a_training_that_was_killed_has_the_curve_of_one_that_was_not(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    stream, settings = easy.stream("batches"), Train(steps=12, log_every_epochs=1)
    about = training(tmp_path)

    def killed_at_8(step: int) -> Any:
        if step == 8:
            raise Killed
        return stream(step)

    whole = trainer.fit(build(), stream, settings, 2)
    for items in (killed_at_8, stream):
        path = tmp_path / "checkpoint.pt"
        curve = curves.of_training(about, resumes=path.exists())
        try:
            with curves.sent_to("tensorboard"), curve as on_point:
                trainer.fit(
                    build(),
                    items,
                    settings,
                    2,
                    checkpoint=path,
                    on_log=lambda point, _: on_point(point),
                )
        except Killed:
            assert items is killed_at_8
    values = tensorboard_values(about.run / "tensorboard" / "trial-0")
    assert values["loss/train"] == [
        (row["step"], pytest.approx(row["train_loss"])) for row in whole.history
    ]


def test_other_ranks_are_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorboard")
    monkeypatch.setattr(distributed, "rank", lambda: 1)
    with curves.sent_to("tensorboard"):
        send(training(tmp_path), points(1), resumes=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_run_is_the_same_with_its_curves(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    plain = experiment.run(quick("scratch"), [0], out=tmp_path / "plain")
    with curves.sent_to("tensorboard"):
        logged = experiment.run(quick("scratch"), [0], out=tmp_path / "logged")
    assert logged.run_id == plain.run_id
    assert logged.scores == plain.scores
    folder = tmp_path / "logged" / logged.run_id
    log = (records.trial_folder(folder, 0) / "metrics.jsonl").read_text().splitlines()
    values = tensorboard_values(folder / "tensorboard" / "trial-0")
    expected = [(row["step"], pytest.approx(row["train_loss"])) for row in map(json.loads, log)]
    assert values["loss/train"] == expected
    assert not (tmp_path / "plain" / plain.run_id / "tensorboard").exists()


@pytest.mark.slow
def test_weights_and_biases_gets_each_point_once_without_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    about = training(tmp_path)
    with curves.sent_to("wandb"):
        send(about, points(1, 2), resumes=False)
        time.sleep(1.1)  # the folder of a session is named by the second in which it begins
        send(about, points(2, 3), resumes=True)
    folder = about.run / "wandb" / "trial-0"
    rows = wandb_rows(folder)
    assert [row["_step"] for row in rows] == [1, 2, 3]
    assert [row["loss/train"] for row in rows] == [0.5, 0.25, pytest.approx(0.5 / 3)]
    names = {file.stem for file in folder.glob("wandb/offline-run-*/*.wandb")}
    assert len(names) == 1  # both sessions are of one run
