import json
import os
from datetime import datetime
from pathlib import Path
from statistics import stdev
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from episodes.errors import UserError
from fewshot import io
from fewshot.evaluation import statistics
from fewshot.runs import records

SCORES = ("accuracy", "precision", "recall", "f1", "loss", "ece")
RUN = {
    "run_id": "abc", "method": "protonet", "preset": "few", "backbone": "conv4", "weights": "none", "data": "digits",
    "data_notes": [], "regime": "low-data", "shots": 4, "fraction": None, "classes": ["a", "b"], "n_test": 10,
    "data_fingerprint": "f1",
}  # fmt: skip


def draw(
    seed: int, accuracy: float, validation: float | None = None, **over: Any
) -> dict[str, Any]:
    """A hand-made trial.json."""
    return {
        "seed": seed,
        "scores": {key: accuracy + number / 100 for number, key in enumerate(SCORES)},
        "validation": None if validation is None else dict.fromkeys(SCORES, validation),
        "train_accuracy": 0.9,
        "per_class": [accuracy, accuracy / 2],
        "confusion": [[4, 1], [seed, 5 - seed]],
        "steps": 10,
        "best_step": None,
        "labels": 8,
        "indices_hash": f"hash-{seed}",
        "cost": {
            "train_seconds": 2.0 + seed, "adapt_seconds": 0.5, "images_per_second": 100.0 * (seed + 1),
            "peak_memory_mb": 300.0 - seed, "parameters": 1234,
        },
        "provenance": {
            "commit": f"c{seed}", "dirty": False, "versions": {"torch": "2"}, "device": "a CPU", "compute": {},
            "started": f"2024-01-0{seed + 1}T00:00:00+00:00", "finished": f"2024-02-0{seed + 1}T00:00:00+00:00",
        },
        "warnings": ["small", f"seed {seed}"],
        **over,
    }  # fmt: skip


# summary


@pytest.mark.parametrize("n", [2, 3, 5, 10, 40])
def test_summary_against_scipy_s_interval(n: int):
    values = np.random.default_rng(n).normal(0.7, 0.05, n).tolist()
    found = statistics.summary(values)
    low, high = stats.t.interval(0.95, n - 1, loc=np.mean(values), scale=stats.sem(values))
    assert (found["mean"] - found["ci95"], found["mean"] + found["ci95"]) == pytest.approx(
        (low, high)
    )
    assert found["std"] == pytest.approx(stdev(values))
    assert found["values"] == values


def test_summary_of_one_value_has_no_spread_and_of_equal_values_none():
    assert statistics.summary([0.5]) == {"mean": 0.5, "std": None, "ci95": None, "values": [0.5]}
    assert statistics.summary([0.5, 0.5, 0.5]) == {
        "mean": 0.5,
        "std": 0.0,
        "ci95": 0.0,
        "values": [0.5] * 3,
    }


# writing


def test_writing_replaces_whole_files_and_leaves_nothing_beside_them(tmp_path: Path):
    path = tmp_path / "record.json"
    io.write_bytes(path, b"old and longer")
    io.write_bytes(path, b"new")
    assert path.read_bytes() == b"new"
    assert [each.name for each in tmp_path.iterdir()] == ["record.json"]


@pytest.mark.skipif(
    not Path("/dev/full").exists(),
    reason="this system has no /dev/full, a device that is always full",
)
@pytest.mark.parametrize("size", [3, 1_000_000], ids=["fails when flushed", "fails when written"])
@pytest.mark.parametrize("existed", [True, False])
def test_a_full_disk_leaves_the_old_file_and_no_part(tmp_path: Path, size: int, existed: bool):
    path = tmp_path / "record.json"
    if existed:
        path.write_bytes(b"old")
    (tmp_path / f"record.json.{os.getpid()}.part").symlink_to("/dev/full")
    with pytest.raises(UserError, match="No space left on device") as error:
        io.write_bytes(path, b"x" * size)
    assert str(path) in str(error.value)
    assert [each.name for each in tmp_path.iterdir()] == (["record.json"] if existed else [])
    assert not existed or path.read_bytes() == b"old"


@pytest.mark.parametrize("place", ["missing/record.json", "file/record.json", "folder"])
def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, place: str):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError) as error:
        io.write_bytes(tmp_path / place, b"x")
    assert str(tmp_path / place) in str(error.value)
    assert sorted(each.name for each in tmp_path.rglob("*")) == ["file", "folder"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file/deeper") as error:
        io.make_folder(tmp_path / "file" / "deeper")
    assert "--out" in str(error.value)
    io.make_folder(tmp_path / "a" / "b")
    io.make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


def test_arrays_tensors_and_json_come_back_as_they_went(tmp_path: Path):
    array = np.arange(6, dtype=np.float16).reshape(2, 3)
    io.write_arrays(tmp_path / "a.npz", {"logits": array})
    with np.load(tmp_path / "a.npz") as found:
        assert found["logits"].dtype == array.dtype
        assert found["logits"].tolist() == array.tolist()
    state = {"step": 3, "weights": {"w": torch.arange(3.0)}, "history": [{"loss": 0.1}]}
    io.write_tensors(tmp_path / "a.pt", state)
    again = io.read_tensors(tmp_path / "a.pt")
    assert torch.equal(again["weights"].pop("w"), state["weights"].pop("w"))
    assert again == state
    io.write_json(tmp_path / "a.json", {"mean": 0.1, "std": None})
    assert io.read_json(tmp_path / "a.json") == {"mean": 0.1, "std": None}
    with pytest.raises(ValueError, match="nan"):
        io.write_json(tmp_path / "b.json", {"mean": float("nan")})
    assert not (tmp_path / "b.json").exists()


# assembling


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@pytest.mark.parametrize("held_out", [True, False])
def test_a_record_has_every_promised_key_in_its_shape(tmp_path: Path, held_out: bool):
    draws = [draw(seed, 0.5 + seed / 10, validation=0.6 if held_out else None) for seed in range(3)]
    io.write_json(tmp_path / "record.json", records.assemble(RUN, draws))
    record = io.read_json(tmp_path / "record.json")
    for key in ("run_id", "method", "backbone", "data", "regime", "shots", "fraction"):
        assert record[key] == RUN[key]
    assert record["seeds"] == [0, 1, 2]
    for scores in [record["scores"], *([record["validation"]] if held_out else [])]:
        assert set(scores) == set(SCORES)
        for score in scores.values():
            assert set(score) == {"mean", "std", "ci95", "values"}
            assert all(is_number(score[key]) for key in ("mean", "std", "ci95"))
            assert len(score["values"]) == 3
    assert (record["validation"] is None) is not held_out
    assert set(record["train_accuracy"]) == {"mean", "std", "ci95", "values"}
    assert len(record["per_class"]) == 2
    assert [len(row) for row in record["confusion"]] == [2, 2]
    cost = ("train_seconds", "adapt_seconds", "images_per_second", "peak_memory_mb", "parameters")
    assert all(is_number(record["cost"][key]) for key in cost)
    provenance = record["provenance"]
    assert {
        "commit",
        "dirty",
        "versions",
        "device",
        "data_fingerprint",
        "started",
        "finished",
    } <= set(provenance)
    assert provenance["data_fingerprint"] == "f1"
    assert datetime.fromisoformat(provenance["started"]) < datetime.fromisoformat(
        provenance["finished"]
    )
    assert isinstance(record["warnings"], list)


def test_a_record_s_numbers_by_hand_and_in_the_order_of_the_seeds():
    draws = [draw(2, 0.8), draw(0, 0.5), draw(1, 0.6)]
    record = records.assemble(RUN, draws)
    assert record == records.assemble(RUN, sorted(draws, key=lambda each: each["seed"]))
    assert record["seeds"] == [0, 1, 2]
    assert record["scores"]["accuracy"]["values"] == [0.5, 0.6, 0.8]
    assert record["scores"]["accuracy"]["mean"] == pytest.approx(1.9 / 3)
    assert record["scores"]["loss"]["values"] == pytest.approx([0.54, 0.64, 0.84])
    assert record["per_class"] == pytest.approx([1.9 / 3, 0.95 / 3])
    assert record["confusion"] == [[12, 3], [3, 12]]
    assert record["labels"] == 8
    assert record["cost"] == {
        "train_seconds": 3.0, "adapt_seconds": 0.5, "images_per_second": 200.0, "peak_memory_mb": 300.0,
        "parameters": 1234,
    }  # fmt: skip
    assert record["warnings"] == ["small", "seed 0", "seed 1", "seed 2"]
    assert record["provenance"]["commit"] == "c2"  # the last to finish
    assert record["provenance"]["started"].startswith("2024-01-01")
    assert record["provenance"]["finished"].startswith("2024-02-03")
    assert record["provenance"]["indices"] == {"0": "hash-0", "1": "hash-1", "2": "hash-2"}


def test_what_learners_measure_is_summed_up_where_all_draws_have_it():
    measured = [
        draw(0, 0.5, measures={"gate": 0.9, "flat": 0.3}),
        draw(1, 0.5, measures={"gate": 0.7}),
    ]
    found = records.assemble(RUN, measured)["measures"]
    assert set(found) == {"gate"}
    assert found["gate"]["mean"] == pytest.approx(0.8)
    assert found["gate"]["values"] == [0.9, 0.7]
    # half width: t(0.975, 1) = 12.706, times the deviation 0.2 / sqrt(2), over sqrt(2)
    assert found["gate"]["ci95"] == pytest.approx(12.706 * 0.1, rel=1e-4)
    assert (
        records.assemble(RUN, [*measured, draw(2, 0.5)])["measures"] == {}
    )  # a draw of before there were any
    assert records.assemble(RUN, [draw(0, 0.5)])["measures"] == {}


def test_a_record_of_one_untrained_draw_has_nulls():
    untrained = draw(0, 0.5)
    untrained["cost"]["images_per_second"] = None
    record = records.assemble(RUN, [untrained])
    assert record["scores"]["f1"]["std"] is None
    assert record["scores"]["f1"]["ci95"] is None
    assert record["cost"]["images_per_second"] is None


# finding


def save(path: Path, run_id: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**records.assemble(RUN, [draw(0, 0.5)]), "run_id": run_id}))
    return path


def test_records_are_found_in_files_run_folders_and_folders_of_them(tmp_path: Path):
    first, second = (
        save(tmp_path / "runs/one/record.json", "one"),
        save(tmp_path / "runs/two/record.json", "two"),
    )
    other = save(tmp_path / "published/row.json", "three")
    for name in ("runs/one/trial-0/trial.json", "runs/one/trial-0/indices.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(json.dumps(draw(0, 0.5)))

    def ids(*places: Path) -> list[str]:
        return [record["run_id"] for _, record in records.find(places)]

    assert ids(first) == ids(first.parent) == ["one"]
    assert ids(tmp_path / "runs") == ["one", "two"]
    assert ids(second, tmp_path / "runs", first.parent, first) == ["one", "two"]
    assert ids(tmp_path) == ["three", "one", "two"]  # sorted by path
    assert records.find([other])[0][0] == other


@pytest.mark.parametrize(
    ("place", "content", "words"),
    [
        ("gone", None, ["gone", "does not exist"]),
        ("empty/", None, ["empty", "holds no record"]),
        ("some/other.json", '{"a": 1}', ["other.json", "holds no record"]),
        ("some/list.json", "[1, 2]", ["list.json", "holds no record"]),
        ("some/broken.json", '{"run_id": ', ["broken.json", "cannot be read as JSON"]),
        ("some/binary.json", b"\xff\xfe\x00", ["binary.json", "cannot be read as JSON"]),
    ],
)
def test_what_is_no_record_is_told_in_words(
    tmp_path: Path, place: str, content: str | bytes | None, words: list[str]
):
    path = tmp_path / place
    if place.endswith("/"):
        path.mkdir()
    elif content is not None:
        path.parent.mkdir()
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as error:
        records.find([path])
    assert all(word in str(error.value) for word in words)


def test_a_broken_record_in_a_folder_is_an_error_not_a_silence(tmp_path: Path):
    save(tmp_path / "one/record.json", "one")
    (tmp_path / "two").mkdir()
    (tmp_path / "two/record.json").write_text('{"run_id": "tw')
    with pytest.raises(UserError, match=r"two/record\.json"):
        records.find([tmp_path])
