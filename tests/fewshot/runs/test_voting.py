"""Votes, and runs that cannot vote together.

Oracles: nested loops, scikit-learn's VotingClassifier, examples by hand, and real runs.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.ensemble import VotingClassifier
from sklearn.preprocessing import LabelEncoder

from fewshot import io
from fewshot.cli import main
from fewshot.errors import UserError
from fewshot.report import comparison
from fewshot.runs import voting
from fewshot.runs.assembly import assemble
from fewshot.runs.run_record import RunFacts, RunRecord
from fewshot.runs.trial_record import METRICS, Cost, Provenance, TrialRecord

LABELS = np.array([0, 1, 2, 0, 1, 2, 1])
HELD = np.array([2, 0, 1, 0])


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def noise(seed: int, n: int = len(LABELS)) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 2, (n, 3)).astype(np.float16)


def right(n_right: int, labels: np.ndarray = HELD, sure: float = 2.0) -> np.ndarray:
    """Logits that are right on the first `n_right` images and wrong on the others."""
    guesses = np.where(np.arange(len(labels)) < n_right, labels, (labels + 1) % 3)
    return (sure * np.eye(3)[guesses]).astype(np.float16)


def trial(logits: np.ndarray, validation: np.ndarray | None = None, **over: Any) -> dict[str, Any]:
    """Describe a trial: its test logits, and logits of a validation set of four images."""
    return {
        "logits": logits,
        "validation": validation,
        "labels": LABELS,
        "validation_labels": HELD,
        "validation_indices": [7, 9, 11, 12],
        **over,
    }


def run(out: Path, name: str, *trials: dict[str, Any], first_seed: int = 0, **over: Any) -> Path:
    """Write a run folder as an experiment does; each trial takes 10 s and has 100 parameters."""
    done = []
    for seed, described in enumerate(trials, start=first_seed):
        folder = out / name / f"trial-{seed}"
        folder.mkdir(parents=True)
        done.append(write_trial(folder, seed, **described))
    facts = {
        "run_id": name, "method": "probe", "preset": "few", "backbone": "conv4", "weights": "none",
        "data": "toy", "data_notes": [], "regime": "low-data", "shots": 3, "fraction": None,
        "classes": ["a", "b", "c"], "n_test": len(LABELS), "config": {}, **over,
    }  # fmt: skip
    fingerprint = facts.pop("data_fingerprint", "f")
    record = assemble(RunFacts(**facts), fingerprint, done)
    io.write_json(out / name / "record.json", record.to_json())
    return out / name


def write_trial(
    folder: Path,
    seed: int,
    logits: np.ndarray,
    validation: np.ndarray | None,
    labels: np.ndarray,
    validation_labels: np.ndarray,
    validation_indices: list[int],
    warnings: Sequence[str] = (),
) -> TrialRecord:
    arrays = {"test_logits": logits, "test_labels": labels}
    indices: dict[str, Any] = {"support": [seed, 20, 21, 22, 23], "validation": None}
    scores = dict.fromkeys(METRICS, float((logits.argmax(1) == labels).mean()))
    validation_scores = None
    if validation is not None:
        arrays |= {"validation_logits": validation, "validation_labels": validation_labels}
        indices["validation"] = validation_indices
        loss = -np.log(softmax(validation)[np.arange(4), validation_labels]).mean()
        accuracy = float((validation.argmax(1) == validation_labels).mean())
        validation_scores = dict.fromkeys(METRICS, 0.0)
        validation_scores |= {"accuracy": accuracy, "loss": float(loss)}
    io.write_arrays(folder / "predictions.npz", arrays)
    io.write_json(folder / "indices.json", indices)
    trial = TrialRecord(
        seed=seed,
        scores=scores,
        validation=validation_scores,
        train_accuracy=1.0,
        per_class=[0.0] * 3,
        confusion=[[0] * 3] * 3,
        labels=5 if validation is None else 9,
        indices_hash=json.dumps(indices),
        cost=Cost(10.0, 1.0, 5.0, 50.0 + seed, 100),
        provenance=Provenance("c", False, {}, "a CPU", "2024-01-01", "2024-01-02"),
        warnings=list(warnings),
    )
    io.write_json(folder / "trial.json", trial.to_json())
    return trial


def accuracies(record: RunRecord) -> list[float]:
    return record.scores["accuracy"].values


def made_of(record: RunRecord) -> list[tuple[str, list[int]]]:
    return [(run.run_id, run.seeds) for run in record.members]


# the rules


def by_loops(rule: str, voters: list[np.ndarray], labels: np.ndarray) -> tuple[float, float]:
    """Return accuracy and loss by the definitions, one image and one class at a time."""
    n_right, loss = 0, 0.0
    for image, label in enumerate(labels):
        mean, votes = [0.0] * 3, [0] * 3
        for voter in voters:
            powers = [math.exp(float(logit)) for logit in voter[image]]
            for k in range(3):
                mean[k] += powers[k] / sum(powers) / len(voters)
            votes[powers.index(max(powers))] += 1
        if rule == "soft":
            guess, share = mean.index(max(mean)), mean[label]
        else:
            tied = [k for k in range(3) if votes[k] == max(votes)]
            guess = max(tied, key=lambda k: mean[k])
            share = (votes[label] + mean[label]) / (len(voters) + 1)
        n_right += guess == label
        loss -= math.log(share)
    return n_right / len(labels), loss / len(labels)


@pytest.mark.parametrize("rule", ["soft", "hard"])
@pytest.mark.parametrize("n_voters", [2, 4, 5])
def test_a_vote_against_nested_loops(rule: str, n_voters: int, tmp_path: Path) -> None:
    logits = [[noise(10 * member + seed) for seed in range(3)] for member in range(n_voters)]
    for member, drawn in enumerate(logits):
        run(tmp_path / "runs", f"r{member}", *map(trial, drawn))
    (record,) = voting.vote([tmp_path / "runs"], rule=rule, out=tmp_path / "votes")
    expected = [by_loops(rule, [drawn[seed] for drawn in logits], LABELS) for seed in range(3)]
    assert accuracies(record) == pytest.approx([accuracy for accuracy, _ in expected])
    assert record.scores["loss"].values == pytest.approx([loss for _, loss in expected], rel=1e-6)
    assert record.seeds == [0, 1, 2]
    shares = []
    for image, label in enumerate(LABELS):
        of_image = [[drawn[seed][image : image + 1] for drawn in logits] for seed in range(3)]
        shares.append(np.mean([by_loops(rule, one, np.array([label]))[0] for one in of_image]))
    assert record.scores["accuracy"].image_std == pytest.approx(np.std(shares, ddof=1))
    pooled = [drawn for drawns in logits for drawn in drawns]
    (record,) = voting.vote([tmp_path / "runs"], rule=rule, pool=True, out=tmp_path / "votes")
    accuracy, loss = by_loops(rule, pooled, LABELS)
    assert accuracies(record) == pytest.approx([accuracy])
    assert record.scores["loss"].mean == pytest.approx(loss, rel=1e-6)


class Fitted:
    """A classifier with scikit-learn's methods that answers with given logits."""

    def __init__(self, logits: np.ndarray) -> None:
        self.logits = logits

    def predict_proba(self, rows: np.ndarray) -> np.ndarray:
        return softmax(self.logits)[rows[:, 0]]

    def predict(self, rows: np.ndarray) -> np.ndarray:
        return self.logits.argmax(1)[rows[:, 0]]


def of_scikit_learn(rule: str, members: list[np.ndarray]) -> np.ndarray:
    model = VotingClassifier([(str(number), None) for number in range(len(members))], voting=rule)
    model.estimators_ = [Fitted(member) for member in members]
    model.le_ = LabelEncoder().fit(range(members[0].shape[1]))
    model.classes_ = model.le_.classes_
    return model.predict(np.arange(len(members[0]))[:, None])


def tallied(members: list[np.ndarray]) -> voting.Tally:
    tally = voting.Tally(*members[0].shape)
    for member in members:
        tally.add(torch.from_numpy(member))
    return tally


def test_a_vote_against_scikit_learn() -> None:
    """Among tied classes it chooses the lowest, and we the one with the greater mean softmax."""
    members = [noise(number, 400) for number in range(7)]
    soft, hard = (tallied(members).logits(rule).argmax(1).numpy() for rule in ("soft", "hard"))
    assert (soft == of_scikit_learn("soft", members)).all()
    guesses = np.stack([member.argmax(1) for member in members], 1)
    votes = np.stack([np.bincount(row, minlength=3) for row in guesses])
    single = (votes == votes.max(1, keepdims=True)).sum(1) == 1
    theirs = of_scikit_learn("hard", members)
    assert (hard == theirs)[single].all()
    mean = np.mean([softmax(member) for member in members], 0)
    among_tied = np.where(votes == votes.max(1, keepdims=True), mean, -1).argmax(1)
    assert (hard == among_tied)[~single].all()
    assert 0 < (hard != theirs).sum() < (~single).sum()
    assert (soft != hard).any()


def test_soft_and_hard_disagree_by_hand() -> None:
    """Two prefer class 0 by 0.5 to 0.4, one is sure of class 1: sums 1.05 and 1.7, votes 2 to 1."""
    members = [np.log([[0.5, 0.4, 0.1]]), np.log([[0.5, 0.4, 0.1]]), np.log([[0.05, 0.9, 0.05]])]
    tally = tallied([member.astype(np.float32) for member in members])
    soft, hard = tally.logits("soft").exp()[0], tally.logits("hard").exp()[0]
    assert soft.tolist() == pytest.approx([1.05 / 3, 1.7 / 3, 0.25 / 3])
    assert hard.tolist() == pytest.approx([(2 + 1.05 / 3) / 4, (1 + 1.7 / 3) / 4, 0.25 / 3 / 4])


def test_the_greatest_numbers_of_half_precision_keep_the_loss_exact_and_finite(
    tmp_path: Path,
) -> None:
    """Probabilities of exp(-120000), which is 0 in any precision, have a logarithm all the same."""
    far = np.tile(np.array([60000, 0, -60000], np.float16), (len(LABELS), 1))
    run(tmp_path, "a", trial(far)), run(tmp_path, "b", trial(far))
    expected = float(np.mean(np.array([0, 60000, 120000])[LABELS]))
    for rule, loss in (("soft", expected), ("hard", expected + math.log(3) * (LABELS > 0).mean())):
        (record,) = voting.vote([tmp_path / "a", tmp_path / "b"], rule=rule, out=tmp_path)
        # 60,000 is rounded to 59,968 in half precision
        assert record.scores["loss"].mean == pytest.approx(loss, rel=1e-3)


# who votes


def test_the_test_set_never_chooses(tmp_path: Path) -> None:
    """The voter that is best on the test set and worst on validation images is left out."""
    run(tmp_path, "a", trial(right(7, LABELS), right(0)))
    run(tmp_path, "b", trial(right(0, LABELS), right(4)))
    run(tmp_path, "c", trial(right(1, LABELS), right(3)))
    votes = voting.vote([tmp_path], percents=[20.0, 60.0, 100.0], out=tmp_path / "votes")
    assert [made_of(record) for record in votes] == [
        [("b", [0])],
        [("b", [0]), ("c", [0])],
        [("a", [0]), ("b", [0]), ("c", [0])],
    ]
    assert accuracies(votes[0]) == [0.0]
    assert [record.validation["accuracy"].mean for record in votes] == pytest.approx([1, 1, 0.75])
    assert "best 1 of 3" in votes[0].warnings[0]
    assert "took 30 s" in votes[0].warnings[0]
    assert not any("best" in warning for warning in votes[2].warnings)


@pytest.mark.parametrize(
    ("n", "percent", "n_chosen"),
    [(3, 1.0, 1), (4, 50.0, 2), (5, 50.0, 3), (30, 10.0, 3), (31, 10.0, 4)],
)
def test_a_percentage_is_rounded_up_to_whole_voters(
    n: int, percent: float, n_chosen: int, tmp_path: Path
) -> None:
    run(tmp_path, "a", *[trial(noise(seed), right(2)) for seed in range(n)])
    (record,) = voting.vote([tmp_path], percents=[percent], pool=True, out=tmp_path)
    assert record.config["members"] == n_chosen
    assert record.config["candidates"] == n


def test_equal_accuracy_is_decided_by_the_loss_then_by_run_id_then_by_seed(tmp_path: Path) -> None:
    worse, better = right(3, sure=8.0), right(3, sure=1.0)  # surer of the one that is wrong
    run(tmp_path, "a", trial(noise(0), worse), trial(noise(1), worse))
    run(tmp_path, "b", trial(noise(2), better), trial(noise(3), better))
    run(tmp_path, "c", trial(noise(4), better), trial(noise(5), worse))

    def best(percent: float) -> list[tuple[str, list[int]]]:
        return made_of(voting.vote([tmp_path], percents=[percent], pool=True, out=tmp_path)[0])

    assert best(1) == [("b", [0])]
    assert best(30) == [("b", [0, 1])]
    assert best(50) == [("b", [0, 1]), ("c", [0])]
    assert best(60) == [("a", [0]), ("b", [0, 1]), ("c", [0])]


def test_each_seed_chooses_for_itself(tmp_path: Path) -> None:
    run(tmp_path, "a", trial(right(7, LABELS), right(4)), trial(right(7, LABELS), right(1)))
    run(tmp_path, "b", trial(right(2, LABELS), right(3)), trial(right(4, LABELS), right(3)))
    (record,) = voting.vote([tmp_path], percents=[50.0], out=tmp_path)
    assert accuracies(record) == pytest.approx([1.0, 4 / 7])
    assert made_of(record) == [("a", [0]), ("b", [1])]


def test_without_pooling_only_common_seeds_vote(tmp_path: Path) -> None:
    run(tmp_path, "a", *[trial(noise(seed)) for seed in range(4)])
    run(tmp_path, "b", *[trial(noise(seed)) for seed in range(3)], first_seed=2)
    (record,) = voting.vote([tmp_path], out=tmp_path)
    assert record.seeds == [2, 3]
    assert record.warnings[0] == "not all runs have the seeds 0, 1, 4: left out"
    assert record.cost == Cost(20.0, 2.0, None, 53.0, 200)
    assert record.labels == 5
    assert list(record.provenance.indices) == ["2", "3"]


def test_a_vote_costs_the_calibrations_of_its_voters(tmp_path: Path) -> None:
    for name, seconds in {"a": 0.5, "b": 0.25, "old": None}.items():
        path = run(tmp_path, name, trial(noise(0))) / "trial-0" / "trial.json"
        content = io.read_json(path)
        if seconds is not None:
            content["cost"]["calibration_seconds"] = seconds
        io.write_json(path, content)
    (record,) = voting.vote([tmp_path], out=tmp_path / "votes")
    assert record.cost.calibration_seconds == pytest.approx(0.75)
    assert record.cost.seconds == pytest.approx(30 + 0.75)  # old: without adaptation


def test_voters_with_one_pretrained_network_count_its_features_once(tmp_path: Path) -> None:
    """Every trial takes 1 s to adapt, of which a given part computes features."""

    def vote(features: dict[str, float | None], weights: str) -> Cost:
        folder = tmp_path / weights
        for name, seconds in features.items():
            path = run(folder, name, trial(noise(0)), backbone=name[0], weights=weights)
            content = io.read_json(path / "trial-0" / "trial.json")
            if seconds is not None:
                content["cost"]["feature_seconds"] = seconds
            io.write_json(path / "trial-0" / "trial.json", content)
        (record,) = voting.vote([folder], out=folder / "votes")
        return record.cost

    cost = vote({"a1": 0.6, "a2": 0.5, "b": 0.25, "c": 0.0}, "shipped")
    assert cost.feature_seconds == pytest.approx(0.6 + 0.25)
    assert cost.seconds == pytest.approx(40 + (0.4 + 0.5 + 0.75 + 1.0))
    cost = vote({"a1": 0.6, "a2": 0.5}, "none")
    assert cost.feature_seconds == pytest.approx(0.6 + 0.5)
    cost = vote({"a1": 0.6, "a2": None}, "unknown")
    assert cost.feature_seconds is None
    assert cost.seconds == pytest.approx(20)


def test_a_pool_is_one_vote_and_reports_the_number_of_different_labels(tmp_path: Path) -> None:
    """Supports are the seed and four images that all share, so four trials use eight labels."""
    run(tmp_path, "a", *[trial(noise(seed), warnings=["small"]) for seed in range(3)])
    run(tmp_path, "b", trial(noise(9)), first_seed=3, backbone="resnet", weights="folder/of/w.pth")
    (record,) = voting.vote([tmp_path], pool=True, out=tmp_path)
    assert record.seeds == [None]
    assert made_of(record) == [("a", [0, 1, 2]), ("b", [3])]
    assert (record.labels, record.shots) == (8, 3)
    assert record.cost.train_seconds == 40.0
    assert (record.backbone, record.weights) == ("conv4 + resnet", "none + w.pth")
    assert record.warnings[:2] == [
        "trials with 5 labels each were pooled; together they use 8 different labels",
        "a voter: small",
    ]
    assert "8 labels" in comparison.markdown([record])


def test_validation_scores_exist_only_with_a_common_validation_set(tmp_path: Path) -> None:
    run(
        tmp_path / "one",
        "a",
        trial(noise(0), right(4)),
        trial(noise(1), right(4), validation_indices=[1, 2, 3, 4]),
    )
    run(
        tmp_path / "one",
        "b",
        trial(noise(2), right(4)),
        trial(noise(3), right(3), validation_indices=[1, 2, 3, 4]),
    )
    assert len(voting.vote([tmp_path / "one"], out=tmp_path)[0].validation["accuracy"].values) == 2
    assert voting.vote([tmp_path / "one"], pool=True, out=tmp_path)[0].validation is None
    run(tmp_path / "two", "c", trial(noise(4)), trial(noise(5)))
    assert voting.vote([tmp_path / "one", tmp_path / "two"], out=tmp_path)[0].validation is None


def test_the_id_follows_what_votes_and_how_and_nothing_else(tmp_path: Path) -> None:
    for name in "abc":
        run(tmp_path, name, *[trial(noise(seed), right(seed)) for seed in range(3)])
    a, b, c = (tmp_path / name for name in "abc")

    def run_id(*places: Path, **how: Any) -> str:
        return voting.vote(list(places), out=tmp_path, **how)[0].run_id

    same = [run_id(a, b), run_id(b, a), run_id(a, b, percents=[100]), run_id(a / "record.json", b)]
    assert len(set(same)) == 1
    others = [
        run_id(a, b, c),
        run_id(a, b, rule="hard"),
        run_id(a, b, pool=True),
        run_id(a, b, percents=[50.0]),
    ]
    others += [run_id(a, b, percents=[40.0]), run_id(a, b, percents=[50.0], pool=True)]
    assert len({*others, same[0]}) == 7
    assert run_id(tmp_path) == others[0]  # the votes that lie there now are skipped
    path = a / "trial-0" / "trial.json"
    io.write_json(path, {**io.read_json(path), "temperature": 2.0})
    assert run_id(a, b) not in {*others, same[0]}  # voters with temperatures vote otherwise


# what cannot vote

OTHER = np.array([0, 1, 2, 0, 1, 2, 2])


@pytest.mark.parametrize(
    ("trials", "over", "how", "words"),
    [
        (
            [trial(noise(1), labels=OTHER)],
            {},
            {},
            "x (probe) (trial 0) and y (probe) (trial 0) were evaluated on different",
        ),
        (
            [trial(noise(1))],
            {"data_fingerprint": "g"},
            {},
            "x (probe) and y (probe) differ in data",
        ),
        ([trial(noise(1))], {"classes": ["a", "b", "d"]}, {}, "differ in classes"),
        ([trial(noise(1))], {"shots": 4}, {}, "differ in label budget"),
        ([trial(noise(1))], {"shots": None}, {}, "differ in label budget"),
        ([trial(noise(1))], {"first_seed": 5}, {}, "no seed in common"),
        (
            [trial(noise(1))],
            {},
            {"percents": [50.0]},
            "y (probe) (trial 0) has no validation set: run all with the same",
        ),
        (
            [trial(noise(1), right(2), validation_indices=[1, 2, 3, 4])],
            {},
            {"percents": [50.0]},
            "have different validation sets",
        ),
        (
            [trial(noise(1), right(2), validation_labels=HELD[::-1])],
            {},
            {"percents": [50.0], "pool": True},
            "have different labels of the validation set: run all with the same hold-out",
        ),
        (
            [trial(np.full((7, 3), np.inf, np.float16))],
            {},
            {},
            "'test_logits' holds numbers that are not finite",
        ),
        ([trial(noise(1))], {}, {"rule": "sotf"}, "--rule sotf: expected soft or hard"),
    ],
)
def test_runs_that_cannot_vote_together_are_refused_and_nothing_is_written(
    trials, over, how, words, tmp_path: Path
) -> None:
    run(tmp_path / "runs", "x", trial(noise(0), right(3)))
    run(tmp_path / "runs", "y", *trials, **over)
    with pytest.raises(UserError) as error:
        voting.vote([tmp_path / "runs"], out=tmp_path / "votes", **how)
    assert words in str(error.value)
    assert not (tmp_path / "votes").exists()


def test_missing_and_damaged_predictions_are_named(tmp_path: Path) -> None:
    a, b = run(tmp_path, "a", trial(noise(0))), run(tmp_path, "b", trial(noise(1)))
    predictions = a / "trial-0" / "predictions.npz"
    whole = predictions.read_bytes()
    for broken in (b"", b"no zip", whole[:200], whole[:100] + b"spoiled" * 5 + whole[135:]):
        predictions.write_bytes(broken)
        with pytest.raises(UserError, match=r"a/trial-0/predictions\.npz cannot be read"):
            voting.vote([a, b], out=tmp_path / "votes")
    predictions.unlink()
    with pytest.raises(
        UserError, match=r"a/trial-0/predictions\.npz does not exist.*run's own folder"
    ):
        voting.vote([a, b], out=tmp_path / "votes")


def test_a_single_voter_a_repeated_run_and_a_vote_are_refused(tmp_path: Path) -> None:
    a, b = (
        run(tmp_path / "runs", "a", trial(noise(0))),
        run(tmp_path / "runs", "b", trial(noise(1))),
    )
    again = run(tmp_path / "copies", "a", trial(noise(0)))
    for pool in (False, True):
        with pytest.raises(UserError, match="at least two voters"):
            voting.vote([a], pool=pool, out=tmp_path)
    with pytest.raises(UserError, match=r"run a is in .* and would vote twice"):
        voting.vote([a, b, again], out=tmp_path)
    (record,) = voting.vote([a, b], out=tmp_path / "votes")
    with pytest.raises(UserError, match="is a vote, which has no predictions"):
        voting.vote([a, b, tmp_path / "votes" / record.run_id], out=tmp_path)
    with pytest.raises(UserError, match="hold only votes"):
        voting.vote([tmp_path / "votes"], out=tmp_path)


# the command


def fewshot(arguments: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["fewshot", *arguments.split()])
    with pytest.raises(SystemExit) as left:
        main.main()
    return int(left.value.code or 0)


def test_real_runs_vote_through_the_command_line(monkeypatch, tmp_path: Path, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    common = "--method probe --backbone conv4 --data digits --shots 4 --seeds 2 --quiet"
    common += " --set precision=float32 --set validation.share=0.25 --set backbone.options.width=8"
    assert fewshot(f"run {common}", monkeypatch) == 0
    assert fewshot(f"run {common} --set learner.classifier=ridge", monkeypatch) == 0
    singles = sorted(Path("runs").iterdir())
    capsys.readouterr()
    assert fewshot("vote runs --best 50,100", monkeypatch) == 0
    shown = capsys.readouterr()
    assert sum(line.startswith("| voting (soft, best 50%)") for line in shown.out.splitlines()) == 1
    assert sum(line.startswith("| voting (soft) ") for line in shown.out.splitlines()) == 1
    written = [
        Path(line.removeprefix("record: "))
        for line in shown.err.splitlines()
        if line.startswith("record: ")
    ]
    assert fewshot("vote runs --best 50,100 --json", monkeypatch) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == [json.loads(path.read_text()) for path in written]
    assert not list(Path("runs").rglob("*.part"))

    half, whole = (RunRecord.from_json(content) for content in printed)
    for seed, accuracy, chosen in zip((0, 1), accuracies(whole), accuracies(half), strict=True):
        folders = [single / f"trial-{seed}" for single in singles]
        predictions = [np.load(folder / "predictions.npz") for folder in folders]
        mean = sum(softmax(one["test_logits"] / one["temperature"]) for one in predictions) / 2
        assert accuracy == pytest.approx((mean.argmax(1) == predictions[0]["test_labels"]).mean())
        trials = [json.loads((folder / "trial.json").read_text()) for folder in folders]
        best = min(
            trials,
            key=lambda content: (-content["validation"]["accuracy"], content["validation"]["loss"]),
        )
        assert chosen == best["scores"]["accuracy"]
    assert whole.labels == 40
    assert fewshot("report runs", monkeypatch) == 0
    assert capsys.readouterr().out.count("**digits, 4 labels per class**") == 1  # beside its voters
    assert fewshot("vote runs --best 0", monkeypatch) == 2
    assert fewshot("vote nowhere", monkeypatch) == 2
