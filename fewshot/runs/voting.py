"""Voting: the saved predictions of finished runs as one classifier, without any training.

A voter is one trial of a run. Soft voting is the sum rule (the mean of the voters' softmax), and
hard voting the majority vote rule of Kittler, Hatef, Duin and Matas, "On combining classifiers"
(IEEE PAMI 20(3), 1998).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from fewshot import io
from fewshot.errors import UserError
from fewshot.evaluation import metrics, statistics
from fewshot.runs import provenance, records, voters
from fewshot.runs.assembly import assemble
from fewshot.runs.run_record import ONE_TRIAL, RunFacts, RunRecord, VotingRun
from fewshot.runs.trial_record import TrialRecord
from fewshot.runs.voters import FinishedRun, Voter

RULES = ("soft", "hard")
CALIBRATED_VERSION = 1  # of votes of calibrated voters, for their ids


class Ballot(NamedTuple):
    """One vote: its seed (None if all trials are pooled), who voted out of whom, and its scores.

    correct: whether each test image was classified correctly [n].
    """

    seed: int | None
    chosen: list[Voter]
    candidates: list[Voter]
    test: metrics.ClassifierScores
    validation: metrics.ClassifierScores | None
    correct: Tensor


class Tally:
    """The votes on n images, added up voter by voter, so that memory does not grow with them.

    The softmax is computed in float32, of each voter's own temperature. Sums are float64 and of
    logarithms, so that none of them is 0.
    """

    def __init__(self, n: int, n_way: int) -> None:
        self.log_sum = torch.full((n, n_way), -math.inf, dtype=torch.float64)
        self.votes = torch.zeros(n, n_way, dtype=torch.int64)
        self.n_voters = 0

    def add(self, logits: Tensor) -> None:
        """Add one voter's logits [n, n_way]; of equal logits the first class gets the vote."""
        self.log_sum = torch.logaddexp(self.log_sum, logits.float().log_softmax(1).double())
        self.votes += nn.functional.one_hot(logits.argmax(1), logits.shape[1])
        self.n_voters += 1

    def logits(self, rule: str) -> Tensor:
        """Return the log-probabilities of the vote, float64 [n, n_way].

        Args:
            rule: "soft" gives the mean softmax. "hard" gives the shares of the votes, with the
                mean softmax counted as one more vote: (votes + mean) / (voters + 1). That vote is
                less than one for any class, so the most votes still win; it decides ties and
                leaves no class at 0, where the loss would be infinite.
        """
        mean = self.log_sum - math.log(self.n_voters)
        if rule == "soft":
            return mean
        return torch.logaddexp(self.votes.double().log(), mean) - math.log(self.n_voters + 1)


def vote(
    places: Sequence[Path],
    *,
    rule: str = "soft",
    percents: Sequence[float] = (100.0,),
    pool: bool = False,
    out: Path = Path("runs"),
) -> list[RunRecord]:
    """Let finished runs vote, and write `out`/<run_id>/record.json for each of `percents`.

    Args:
        places: files and folders, as for `records.find`; votes in a folder are skipped.
        rule: "soft" or "hard".
        percents: shares of the candidates that vote, in percent and rounded up. They are chosen by
            accuracy on a validation set that all have in common; ties by the loss there, then by
            run id and seed. The test set chooses nothing.
        pool: let all trials of all runs vote together. By default the trials of one seed vote
            together, once for each seed that all runs have.
        out: folder of run folders.

    Returns:
        One record for each of `percents`.

    Raises:
        UserError: the runs cannot vote together, their predictions are missing, or there is no
            common validation set to choose on.
    """
    if rule not in RULES:
        raise UserError(f"--rule {rule}: expected soft or hard.")
    started = datetime.now(UTC)
    runs = voters.find(places)
    groups = voters.groups(runs, pool)
    if runs[0].record.folds is None:
        labels = voters.test_labels([voter for group in groups.values() for voter in group])
        labels_of = dict.fromkeys(groups, labels)
    else:  # each seed has test images of its own
        labels_of = {seed: voters.test_labels(group) for seed, group in groups.items()}
    ballots = [
        _cast(seed, group, labels_of[seed], rule, percents) for seed, group in groups.items()
    ]
    written = []
    for number, percent in enumerate(percents):
        of_percent = [of_seed[number] for of_seed in ballots]
        record = _record(of_percent, rule, percent, pool, started)
        if not pool:
            record = _with_left_out(record, runs, list(groups))
        folder = out / record.run_id
        io.make_folder(folder)
        io.write_json(folder / "record.json", record.to_json())
        written.append(record)
    return written


def _with_left_out(
    record: RunRecord, runs: Sequence[FinishedRun], voted: Sequence[int | None]
) -> RunRecord:
    """Warn of seeds that only some of the runs have, and of a vote that is the same for all."""
    differing = [run for run in runs if not run.record.has_one_trial]
    if not differing:
        return replace(record, warnings=[ONE_TRIAL, *record.warnings])
    seeds = {seed for run in differing for seed in run.record.seeds}
    left_out = records.ordered(seeds - set(voted))
    if not left_out:
        return record
    warning = f"not all runs have the seeds {', '.join(map(str, left_out))}: left out"
    return replace(record, warnings=[warning, *record.warnings])


def _cast(
    seed: int | None, candidates: list[Voter], labels: Tensor, rule: str, percents: Sequence[float]
) -> list[Ballot]:
    """Return a ballot for each of `percents`; each voter is read once, by run id and seed."""
    choosing = min(percents) < 100
    validation_labels = voters.validation_labels(candidates, required=choosing)
    ranked = sorted(candidates, key=_rank) if choosing else candidates
    chosen = [
        {voter.key for voter in ranked[: math.ceil(len(ranked) * percent / 100)]}
        for percent in percents
    ]
    truths, faulty = {"test": labels}, voters.faulty_images(candidates)
    if validation_labels is not None:
        truths["validation"] = validation_labels
    n_way = len(candidates[0].run.record.classes)
    tallies = [{part: Tally(len(truth), n_way) for part, truth in truths.items()} for _ in percents]
    for voter in candidates:
        for part in truths:
            logits = voters.calibrated_logits(voter, part)
            for keys, tally in zip(chosen, tallies, strict=True):
                if voter.key in keys:
                    tally[part].add(logits)
    ballots = []
    for keys, tally in zip(chosen, tallies, strict=True):
        scores = {
            part: metrics.scores(
                tally[part].logits(rule), truth, faulty if part == "test" else None
            )
            for part, truth in truths.items()
        }
        voted = [voter for voter in candidates if voter.key in keys]
        correct = tally["test"].logits(rule).argmax(1) == labels
        validation = scores.get("validation")
        ballots.append(Ballot(seed, voted, candidates, scores["test"], validation, correct))
    return ballots


def _rank(voter: Voter) -> tuple[float, float, tuple[str, int]]:
    """Order voters from the best down by their validation scores, never by the test set."""
    scores = voter.trial.validation
    assert scores is not None
    return -scores["accuracy"], scores["loss"], voter.key


def _record(
    ballots: Sequence[Ballot], rule: str, percent: float, pool: bool, started: datetime
) -> RunRecord:
    """Return the record of a vote; its backbone and weights are those of the runs that voted."""
    voted = sorted(
        (voter for ballot in ballots for voter in ballot.chosen), key=lambda one: one.key
    )
    runs = {voter.run.record.run_id: voter.run.record for voter in voted}
    keys = [voter.key for voter in voted]
    first, n, n_candidates = voted[0].run.record, len(ballots[0].chosen), len(ballots[0].candidates)
    decisive = [rule, float(percent), pool, keys]
    if any(voter.trial.temperature is not None for voter in voted):
        decisive.append(CALIBRATED_VERSION)
    facts = RunFacts(
        run_id=hashlib.sha256(json.dumps(decisive).encode()).hexdigest()[:12],
        method=voters.VOTING,
        preset=rule if percent == 100 else f"{rule}, best {percent:g}%",
        backbone=_joined(run.backbone for run in runs.values()),
        weights=_joined(Path(run.weights).name for run in runs.values()),
        data=first.data,
        data_notes=first.data_notes,
        regime=first.regime,
        shots=first.shots,
        fraction=first.fraction,
        classes=first.classes,
        n_test=_n_tested(ballots, first),
        folds=first.folds,
        config={
            "rule": rule,
            "best_percent": percent,
            "pool": pool,
            "members": n,
            "candidates": n_candidates,
        },
        members=[
            VotingRun(
                run_id, run.method, list(dict.fromkeys(seed for own, seed in keys if own == run_id))
            )
            for run_id, run in runs.items()
        ],
    )
    fingerprint = first.provenance.data_fingerprint or ""
    trials = [_trial(ballot, started) for ballot in ballots]
    spread = None
    if first.folds is None:
        correct = torch.stack([ballot.correct for ballot in ballots]).numpy()
        spread = statistics.image_std(correct)
    record = assemble(facts, fingerprint, trials, spread)
    if first.provenance.test_fingerprint is not None:
        test_fingerprint = first.provenance.test_fingerprint
        with_test = replace(record.provenance, test_fingerprint=test_fingerprint)
        record = replace(record, provenance=with_test)
    warnings = [*_remarks(record, ballots, first.labels), *record.warnings]
    return replace(record, warnings=warnings)


def _n_tested(ballots: Sequence[Ballot], first: RunRecord) -> int:
    """Return how many different images the votes were tested on."""
    folds = [voters.tested_fold(ballot.candidates[0]) for ballot in ballots]
    return len({index for fold in folds for index in fold or ()}) or first.n_test


def _remarks(record: RunRecord, ballots: Sequence[Ballot], labels: int) -> list[str]:
    """Return what the scores hide: the cost of voters not chosen, and labels beyond one run's."""
    remarks, n, n_candidates = [], len(ballots[0].chosen), len(ballots[0].candidates)
    if n < n_candidates:
        seconds = [
            voter.trial.cost.train_seconds for ballot in ballots for voter in ballot.candidates
        ]
        remarks.append(
            f"the best {n} of {n_candidates} voters by validation accuracy; "
            f"training all of them took {sum(seconds) / len(ballots):.0f} s per vote"
        )
    if record.labels > labels:
        remarks.append(
            f"trials with {labels:,} labels each were pooled; together they use "
            f"{record.labels:,} different labels"
        )
    return remarks


def _joined(names: Iterable[str]) -> str:
    return " + ".join(sorted(set(names)))


def _trial(ballot: Ballot, started: datetime) -> TrialRecord:
    """Return a ballot as the result of a trial.

    Its labels are those of all candidates, since the labels of voters that were not chosen helped
    to choose.
    """
    subsets = voters.labelled_indices(ballot.candidates)
    labelled: set[int] = set()
    for subset in subsets.values():
        labelled |= {*subset.support, *(subset.validation or ())}
    digest = hashlib.sha256("".join(sorted(subsets)).encode()).hexdigest()[:16]
    warnings = {f"a voter: {text}" for voter in ballot.chosen for text in voter.trial.warnings}
    return TrialRecord(
        seed=ballot.seed,
        scores=ballot.test.numbers(),
        validation=None if ballot.validation is None else ballot.validation.numbers(),
        train_accuracy=None,
        per_class=ballot.test.per_class,
        confusion=ballot.test.confusion,
        labels=len(labelled),
        indices_hash=digest if len(subsets) > 1 else next(iter(subsets)),
        cost=voters.total_cost(ballot.chosen),
        provenance=provenance.of_result(
            started, _joined(voter.trial.provenance.device for voter in ballot.chosen)
        ),
        warnings=sorted(warnings),
    )
