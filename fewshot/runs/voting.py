"""Voting: the saved predictions of finished runs as one classifier; nothing is trained. A member is one draw of a run.

Soft voting is the sum rule (the mean of the members' softmax) and hard voting the majority vote rule of Kittler, Hatef,
Duin and Matas, "On combining classifiers" (IEEE PAMI 20(3), 1998).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from fewshot import io
from fewshot.errors import UserError
from fewshot.evaluation import metrics
from fewshot.runs import provenance, records, voters
from fewshot.runs.records import Record
from fewshot.runs.voters import Member

RULES = ("soft", "hard")


class Ballot(NamedTuple):
    """One vote: its seed (None where all draws are pooled), who was chosen out of whom, its scores."""

    seed: int | None
    chosen: list[Member]
    candidates: list[Member]
    test: metrics.Scores
    validation: metrics.Scores | None


class Tally:
    """What members say of the same n images, added up one by one, so that memory does not grow with their number.

    The softmax is taken in float32 of the saved half precision; sums are float64, of logarithms so that none is 0.
    """

    def __init__(self, n: int, n_way: int) -> None:
        self.log_sum = torch.full((n, n_way), -math.inf, dtype=torch.float64)
        self.votes = torch.zeros(n, n_way, dtype=torch.int64)
        self.n_members = 0

    def add(self, logits: Tensor) -> None:
        """One member's logits [n, n_way]; of equal ones the first class has its vote."""
        self.log_sum = torch.logaddexp(self.log_sum, logits.float().log_softmax(1).double())
        self.votes += nn.functional.one_hot(logits.argmax(1), logits.shape[1])
        self.n_members += 1

    def logits(self, rule: str) -> Tensor:
        """Log-probabilities float64 [n, n_way] of the vote, which are its logits.

        soft: of the mean softmax. hard: of the shares of votes with the mean softmax counted as one vote more,
        (votes + mean) / (members + 1). That vote is less than one for any class, so the most votes still win; it
        decides ties, and leaves no class at 0, where the loss would be infinite.
        """
        mean = self.log_sum - math.log(self.n_members)
        if rule == "soft":
            return mean
        return torch.logaddexp(self.votes.double().log(), mean) - math.log(self.n_members + 1)


def vote(
    places: Sequence[Path],
    *,
    rule: str = "soft",
    percents: Sequence[float] = (100.0,),
    pool: bool = False,
    out: Path = Path("runs"),
) -> list[Record]:
    """Let finished runs vote; write `out`/<run_id>/record.json for each share in `percents`, and return the records.

    places: as records.find takes them; earlier votes in a folder are passed over. By draw, the runs' draws of one seed
    vote together, once for each seed that all runs have; `pool` lets all draws of all runs vote together, once.
    percents: shares of the members that vote, rounded up, chosen by accuracy on validation images that all held out;
    ties by the loss there, then by run id and seed. The test set chooses nothing.
    Raises UserError where the runs cannot vote together, their predictions are not there, or none can be chosen.
    """
    if rule not in RULES:
        raise UserError(f"--rule {rule}: soft or hard was expected.")
    started = datetime.now(UTC)
    runs = voters.find(places)
    groups = voters.groups(runs, pool)
    labels = voters.test_labels([member for group in groups.values() for member in group])
    ballots = [_cast(seed, group, labels, rule, percents) for seed, group in groups.items()]
    found = []
    for number, percent in enumerate(percents):
        record = _record([each[number] for each in ballots], rule, percent, pool, started)
        if not pool and (
            alone := sorted({seed for _, run in runs for seed in run["seeds"]} - groups.keys())
        ):
            record["warnings"].insert(
                0, f"not all runs have draws {', '.join(map(str, alone))}: left out"
            )
        folder = out / record["run_id"]
        io.make_folder(folder)
        io.write_json(folder / "record.json", record)
        found.append(record)
    return found


def _cast(
    seed: int | None, candidates: list[Member], labels: Tensor, rule: str, percents: Sequence[float]
) -> list[Ballot]:
    """A ballot for each share; every member is read once, in the order of run ids and seeds."""
    choosing = min(percents) < 100
    held = voters.validation_labels(candidates, needed=choosing)
    ranked = sorted(candidates, key=_rank) if choosing else candidates
    chosen = [
        {member.key for member in ranked[: math.ceil(len(ranked) * each / 100)]}
        for each in percents
    ]
    parts = {"test": labels} | ({} if held is None else {"validation": held})
    n_way = len(candidates[0].run["classes"])
    tallies = [{part: Tally(len(truth), n_way) for part, truth in parts.items()} for _ in percents]
    for member in candidates:
        for part in parts:
            logits = voters.array(member, f"{part}_logits")
            for keys, tally in zip(chosen, tallies, strict=True):
                if member.key in keys:
                    tally[part].add(logits)
    ballots = []
    for keys, tally in zip(chosen, tallies, strict=True):
        scores = {
            part: metrics.scores(tally[part].logits(rule), truth) for part, truth in parts.items()
        }
        voting = [member for member in candidates if member.key in keys]
        ballots.append(Ballot(seed, voting, candidates, scores["test"], scores.get("validation")))
    return ballots


def _rank(member: Member) -> tuple[float, float, tuple[str, int]]:
    """The best first: by what the draw scored on validation images, never on the test set."""
    return -member.drawn["validation"]["accuracy"], member.drawn["validation"]["loss"], member.key


def _record(
    ballots: Sequence[Ballot], rule: str, percent: float, pool: bool, started: datetime
) -> Record:
    """A record as of any run; backbone, weights and `members` are of those that voted, seeds is [null] for a pool."""
    voted = sorted(
        (member for ballot in ballots for member in ballot.chosen), key=lambda member: member.key
    )
    runs = {member.run["run_id"]: member.run for member in voted}
    keys = [member.key for member in voted]
    run, n, n_candidates = voted[0].run, len(ballots[0].chosen), len(ballots[0].candidates)
    shared = {
        "run_id": hashlib.sha256(
            json.dumps([rule, float(percent), pool, keys]).encode()
        ).hexdigest()[:12],
        "method": voters.VOTING,
        "preset": rule if percent == 100 else f"{rule}, best {percent:g}%",
        "backbone": _joined(each["backbone"] for each in runs.values()),
        "weights": _joined(Path(each["weights"]).name for each in runs.values()),
        **{
            key: run[key]
            for key in ("data", "data_notes", "regime", "shots", "fraction", "classes", "n_test")
        },
        "config": {
            "rule": rule,
            "best_percent": percent,
            "pool": pool,
            "members": n,
            "candidates": n_candidates,
        },
        "members": [
            {
                "run_id": run_id,
                "method": each["method"],
                "seeds": [seed for own, seed in keys if own == run_id],
            }
            for run_id, each in runs.items()
        ],
        "data_fingerprint": run["provenance"]["data_fingerprint"],
    }
    record = records.assemble(shared, [_drawn(ballot, started) for ballot in ballots])
    return {**record, "warnings": [*_remarks(record, ballots, run["labels"]), *record["warnings"]]}


def _remarks(record: Record, ballots: Sequence[Ballot], labels: int) -> list[str]:
    """What a choice and a pool hide: the cost of those not chosen, and labels beyond a single run's."""
    remarks, n, n_candidates = [], len(ballots[0].chosen), len(ballots[0].candidates)
    if n < n_candidates:
        every = [
            member.drawn["cost"]["train_seconds"]
            for ballot in ballots
            for member in ballot.candidates
        ]
        seconds = f"training all took {sum(every) / len(ballots):.0f} s a vote"
        remarks.append(f"the best {n} of {n_candidates} members on validation images; {seconds}")
    if record["labels"] > labels:
        remarks.append(
            f"draws of {labels:,} labels were pooled, {record['labels']:,} different ones together"
        )
    return remarks


def _joined(names: Iterable[str]) -> str:
    return " + ".join(sorted(set(names)))


def _drawn(ballot: Ballot, started: datetime) -> Record:
    """A ballot as a trial.json: cost is the members' sum, of memory the most; labels count also where not chosen."""
    costs = [member.drawn["cost"] for member in ballot.chosen]
    indices = voters.indices(ballot.candidates)
    digest = hashlib.sha256("".join(sorted(indices)).encode()).hexdigest()[:16]
    return {
        "seed": ballot.seed,
        "scores": ballot.test.numbers(),
        "validation": None if ballot.validation is None else ballot.validation.numbers(),
        "train_accuracy": None,
        "per_class": ballot.test.per_class,
        "confusion": ballot.test.confusion,
        "labels": len(
            {index for each in indices.values() for part in each.values() for index in part or ()}
        ),
        "indices_hash": digest if len(indices) > 1 else next(iter(indices)),
        "cost": {
            **{
                key: sum(cost[key] for cost in costs)
                for key in ("train_seconds", "adapt_seconds", "parameters")
            },
            "images_per_second": None,
            "peak_memory_mb": max(cost["peak_memory_mb"] for cost in costs),
        },
        "provenance": {
            **provenance.source(),
            "versions": provenance.versions(),
            "device": _joined(member.drawn["provenance"]["device"] for member in ballot.chosen),
            "started": started.isoformat(timespec="seconds"),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        },
        "warnings": sorted(
            {f"a member: {each}" for member in ballot.chosen for each in member.drawn["warnings"]}
        ),
    }
