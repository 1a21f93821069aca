"""Finding records on disk: hand-made files, the paths by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from fewshot.errors import UserError
from fewshot.runs import records
<<<<<<< HEAD
from tests.fewshot.runs.handmade import assembled, trial
=======
from fewshot.runs.records import METRICS, Cost, Provenance, RunFacts, RunRecord, TrialRecord

FACTS = RunFacts(
    run_id="abc",
    method="protonet",
    preset="few",
    backbone="conv4",
    weights="none",
    data="digits",
    data_notes=[],
    regime="low-data",
    shots=4,
    fraction=None,
    classes=["a", "b"],
    n_test=10,
    config={},
)


def trial(seed: int, accuracy: float, validation: float | None = None, **over: Any) -> TrialRecord:
    made = TrialRecord(
        seed=seed,
        scores={metric: accuracy + number / 100 for number, metric in enumerate(METRICS)},
        validation=None if validation is None else dict.fromkeys(METRICS, validation),
        train_accuracy=0.9,
        per_class=[accuracy, accuracy / 2],
        confusion=[[4, 1], [seed, 5 - seed]],
        steps=10,
        labels=8,
        indices_hash=f"hash-{seed}",
        cost=Cost(2.0 + seed, 0.5, 100.0 * (seed + 1), 300.0 - seed, 1234),
        provenance=Provenance(
            commit=f"c{seed}",
            dirty=False,
            versions={"torch": "2"},
            device="a CPU",
            started=f"2024-01-0{seed + 1}T00:00:00+00:00",
            finished=f"2024-02-0{seed + 1}T00:00:00+00:00",
            compute={"device": "cpu"},
        ),
        warnings=["small", f"seed {seed}"],
    )
    return replace(made, **over)


def assembled(*trials: TrialRecord) -> RunRecord:
    return records.assemble(FACTS, "f1", trials)


# assembling


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@pytest.mark.parametrize("with_validation", [True, False])
def test_a_record_on_disk_has_every_promised_key_in_its_shape(
    tmp_path: Path, with_validation: bool
) -> None:
    validation = 0.6 if with_validation else None
    trials = [trial(seed, 0.5 + seed / 10, validation) for seed in range(3)]
    io.write_json(tmp_path / "record.json", assembled(*trials).to_json())
    record = io.read_json(tmp_path / "record.json")
    for key in ("run_id", "method", "backbone", "data", "regime", "shots", "fraction"):
        assert record[key] == getattr(FACTS, key)
    assert record["seeds"] == [0, 1, 2]
    for scores in [record["scores"], *([record["validation"]] if with_validation else [])]:
        assert set(scores) == {"accuracy", "precision", "recall", "f1", "loss", "ece"}
        for score in scores.values():
            assert set(score) == {"mean", "std", "ci95", "values"}
            assert all(is_number(score[key]) for key in ("mean", "std", "ci95"))
            assert len(score["values"]) == 3
    assert (record["validation"] is None) is not with_validation
    assert set(record["train_accuracy"]) == {"mean", "std", "ci95", "values"}
    assert len(record["per_class"]) == 2
    assert [len(row) for row in record["confusion"]] == [2, 2]
    cost = ("train_seconds", "adapt_seconds", "images_per_second", "peak_memory_mb", "parameters")
    assert all(is_number(record["cost"][key]) for key in cost)
    provenance = record["provenance"]
    known = {"commit", "dirty", "versions", "device", "data_fingerprint", "started", "finished"}
    assert known <= set(provenance)
    assert provenance["data_fingerprint"] == "f1"
    started, finished = (datetime.fromisoformat(provenance[key]) for key in ("started", "finished"))
    assert started < finished
    assert isinstance(record["warnings"], list)


def test_the_numbers_of_a_record_by_hand_in_the_order_of_the_seeds() -> None:
    trials = [trial(2, 0.8), trial(0, 0.5), trial(1, 0.6)]
    record = assembled(*trials)
    assert record == assembled(trials[1], trials[2], trials[0])
    assert record.seeds == [0, 1, 2]
    assert record.scores["accuracy"].values == [0.5, 0.6, 0.8]
    assert record.scores["accuracy"].mean == pytest.approx(1.9 / 3)
    assert record.scores["loss"].values == pytest.approx([0.54, 0.64, 0.84])
    assert record.by_seed() == {0: 0.5, 1: 0.6, 2: 0.8}
    assert record.per_class == pytest.approx([1.9 / 3, 0.95 / 3])
    assert record.confusion == [[12, 3], [3, 12]]
    assert record.labels == 8
    assert record.cost == Cost(3.0, 0.5, 200.0, 300.0, 1234)
    assert record.cost.seconds == 3.5
    assert record.warnings == ["small", "seed 0", "seed 1", "seed 2"]
    assert record.provenance.commit == "c2"  # of the trial that finished last
    assert record.provenance.started.startswith("2024-01-01")
    assert record.provenance.finished.startswith("2024-02-03")
    assert record.provenance.indices == {"0": "hash-0", "1": "hash-1", "2": "hash-2"}


def test_measures_are_summarised_if_all_trials_have_them() -> None:
    measured = [
        trial(0, 0.5, measures={"gate": 0.9, "flat": 0.3}),
        trial(1, 0.5, measures={"gate": 0.7}),
    ]
    measures = assembled(*measured).measures
    assert set(measures) == {"gate"}
    assert measures["gate"].mean == pytest.approx(0.8)
    assert measures["gate"].values == [0.9, 0.7]
    # half width: t(0.975, 1) = 12.706, times the deviation 0.2 / sqrt(2), over sqrt(2)
    assert measures["gate"].ci95 == pytest.approx(12.706 * 0.1, rel=1e-4)
    assert assembled(*measured, trial(2, 0.5)).measures == {}
    assert assembled(trial(0, 0.5)).measures == {}


def test_a_single_trial_has_no_spread_and_without_training_no_speed() -> None:
    record = assembled(trial(0, 0.5, cost=Cost(0.0, 0.5, None, 300.0, 1234)))
    assert record.scores["f1"].std is None
    assert record.scores["f1"].ci95 is None
    assert record.cost.images_per_second is None


# typed reading


def test_records_and_trials_survive_json() -> None:
    made = trial(1, 0.7, 0.6, measures={"gate": 0.9})
    assert TrialRecord.from_json(json.loads(json.dumps(made.to_json()))) == made
    record = replace(assembled(made), members=[records.VotingRun("a", "probe", [0, 1])])
    content = json.loads(json.dumps(record.to_json()))
    assert RunRecord.from_json(content) == record
    assert content["members"] == [{"run_id": "a", "method": "probe", "seeds": [0, 1]}]
    assert "members" not in assembled(made).to_json()


def test_every_published_record_is_read_and_written_unchanged() -> None:
    published = Path(__file__).parents[3] / "reports" / "records"
    listed = records.find([published / "learners", published / "forecast"])
    assert len(listed) > 20
    for _, content in listed:
        assert json.dumps(RunRecord.from_json(content).to_json()) == json.dumps(content)


def test_a_record_is_shown_in_one_line_and_in_a_notebook_as_a_table() -> None:
    record = assembled(trial(0, 0.5), trial(1, 0.7, warnings=["<small>"]))
    assert repr(record) == (
        "RunRecord(protonet (not trained: nearest mean of frozen features) on digits, 8 labels, "
        "2 trials: accuracy 0.6000 ± 1.2706, run abc)"
    )
    shown = record._repr_html_()
    assert "<td>accuracy</td><td>0.6000</td><td>± 1.2706</td>" in shown
    assert "&lt;small&gt;" in shown


# finding
>>>>>>> 5923a85 (One function names what ran: a learner that did not train is called what it then is, everywhere)


def save(path: Path, run_id: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    record = replace(assembled(trial(0, 0.5)), run_id=run_id)
    path.write_text(json.dumps(record.to_json()))
    return path


def test_records_are_found_in_files_run_folders_and_folders_of_them(tmp_path: Path):
    first, second = (
        save(tmp_path / "runs/one/record.json", "one"),
        save(tmp_path / "runs/two/record.json", "two"),
    )
    other = save(tmp_path / "published/row.json", "three")
    for name in ("runs/one/trial-0/trial.json", "runs/one/trial-0/indices.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(json.dumps(trial(0, 0.5).to_json()))

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
def test_a_place_without_a_record_is_named(
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


def test_a_broken_record_in_a_folder_is_an_error(tmp_path: Path):
    save(tmp_path / "one/record.json", "one")
    (tmp_path / "two").mkdir()
    (tmp_path / "two/record.json").write_text('{"run_id": "tw')
    with pytest.raises(UserError, match=r"two/record\.json"):
        records.find([tmp_path])
