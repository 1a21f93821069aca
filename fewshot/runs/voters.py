"""Voters: trials of finished runs of one task, with the predictions that they saved."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from fewshot import io
from fewshot.errors import UserError
from fewshot.runs import records
from fewshot.runs.run_record import RunRecord
from fewshot.runs.trial_record import CLEAN, Cost, TrialRecord

VOTING = "voting"  # the method of a record that is a vote
COMPARABLE = ("data", "classes", "label budget")


class FinishedRun(NamedTuple):
    """A run's folder and its record."""

    folder: Path
    record: RunRecord

    def __str__(self) -> str:
        return f"{self.record.run_id} ({self.record.method})"

    @property
    def task(self) -> tuple[object, ...]:
        """What runs must share to vote together, in the order of COMPARABLE."""
        record = self.record
        budget = record.shots, record.class_shots, record.fraction
        return record.images, record.classes, budget

    def seed_for(self, seed: int | None) -> int | None:
        """Return the trial of the run that stands for a seed."""
        return self.record.seeds[0] if self.record.has_one_trial else seed


class Voter(NamedTuple):
    """One trial of a finished run, its folder and its result."""

    run: FinishedRun
    folder: Path
    trial: TrialRecord

    @property
    def key(self) -> tuple[str, int]:
        """Run id and seed, which order the voters."""
        assert self.trial.seed is not None
        return self.run.record.run_id, self.trial.seed

    def __str__(self) -> str:
        return f"{self.run} (trial {self.trial.seed})"


class LabelledIndices(NamedTuple):
    """Indices of the images that a trial trained on, of its validation set, and of its test fold.

    The last two are None if there are none.
    """

    support: list[int]
    validation: list[int] | None
    test: list[int] | None = None


def find(places: Sequence[Path]) -> list[FinishedRun]:
    """Return the finished runs under the given places, by run id.

    Votes in a folder are skipped.

    Raises:
        UserError: a place is itself a vote, a run occurs twice, there is no run, or the runs are of
            different tasks.
    """
    named = {place.resolve() for place in places}
    runs: dict[str, FinishedRun] = {}
    for path, record in records.load(places):
        if record.method == VOTING:
            if named & {path, path.parent}:
                raise UserError(
                    f"{path} is a vote, which has no predictions: name the runs that voted."
                )
            continue
        if record.run_id in runs:
            folders = f"{runs[record.run_id].folder} and {path.parent}"
            raise UserError(
                f"run {record.run_id} is in {folders} and would vote twice: name one of them."
            )
        runs[record.run_id] = FinishedRun(path.parent, record)
    if not runs:
        raise UserError(
            "these places hold only votes, which have no predictions: name the runs that voted."
        )
    ordered = [runs[run_id] for run_id in sorted(runs)]
    for other in ordered[1:]:
        _check_same_task(ordered[0], other)
    return ordered


def _check_same_task(first: FinishedRun, other: FinishedRun) -> None:
    for name, ours, theirs in zip(COMPARABLE, first.task, other.task, strict=True):
        if ours != theirs:
            raise UserError(
                f"runs {first} and {other} differ in {name}: name runs of the same "
                f"{', '.join(COMPARABLE[:-1])} and {COMPARABLE[-1]}."
            )


def groups(runs: Sequence[FinishedRun], pool: bool) -> dict[int | None, list[Voter]]:
    """Return the voters of each vote.

    Args:
        runs: runs of one task.
        pool: let all trials of all runs vote together, once.

    Returns:
        seed -> one trial of each run, or with `pool` None -> all trials. The one trial of a run
        whose trials cannot differ votes for every seed.

    Raises:
        UserError: the runs have no seed in common, or a vote would have a single voter.
    """
    if pool and runs[0].record.folds is not None:
        raise UserError(
            "trials of a cross-validation are tested on different images, so they cannot vote "
            "together: leave out --pool, or run with --test."
        )
    if pool:
        votes: dict[int | None, list[Voter]] = {None: []}
        for run in runs:
            votes[None] += [_voter(run, seed) for seed in run.record.seeds]
    else:
        differing = [run for run in runs if not run.record.has_one_trial]
        common = set.intersection(*(set(run.record.seeds) for run in differing or runs[:1]))
        if not common:
            raise UserError(
                "the runs have no seed in common: run them with the same --seeds, or pool all "
                "trials (--pool)."
            )
        votes = {
            seed: [_voter(run, run.seed_for(seed)) for run in runs]
            for seed in records.ordered(common)
        }
    if min(map(len, votes.values())) < 2:
        raise UserError(
            "a vote needs at least two voters: name two runs or more, or let all trials of a run "
            "vote (--pool)."
        )
    return votes


def _voter(run: FinishedRun, seed: int | None) -> Voter:
    folder = records.trial_folder(run.folder, seed)
    predictions = folder / "predictions.npz"
    if not predictions.exists():
        raise UserError(
            f"{predictions} does not exist, and the record of {run} alone cannot vote: name the "
            "run's own folder, or repeat the command that made it."
        )
    return Voter(run, folder, io.read_as(folder / "trial.json", TrialRecord.from_json))


def saved_array(voter: Voter, name: str) -> Tensor:
    """Return one array of a voter's saved predictions, without reading the others."""
    path = voter.folder / "predictions.npz"
    try:
        with path.open("rb") as file, np.load(file) as arrays:
            array = arrays[name]
    except io.DAMAGED_ARRAYS as error:
        raise UserError(
            f"{path} cannot be read ({error}): repeat the command that made it with --force."
        ) from None
    if not np.isfinite(array).all():
        raise UserError(
            f"{path}: '{name}' holds numbers that are not finite: leave {voter.run} out."
        )
    return torch.from_numpy(array)


def calibrated_logits(voter: Voter, part: str) -> Tensor:
    """Return a voter's logits for the images of a part at its temperature, [n, n_way]."""
    path = voter.folder / "predictions.npz"
    logits = saved_array(voter, f"{part}_logits").float()
    with np.load(path) as arrays:
        temperature = arrays.get("temperature", 1.0)  # older ones have none
    return logits / float(temperature)


def test_labels(voters: Sequence[Voter]) -> Tensor:
    """Return the labels [n] of the test images, on which all voters must agree."""
    first = saved_array(voters[0], "test_labels")
    fold = tested_fold(voters[0])
    for voter in voters[1:]:
        same = torch.equal(first, saved_array(voter, "test_labels"))
        if not same or tested_fold(voter) != fold:
            raise UserError(
                f"{voters[0]} and {voter} were evaluated on different test labels: name runs of "
                "the same test set."
            )
    return first


def tested_fold(voter: Voter) -> list[int] | None:
    """Return the indices of the images that a voter was tested on; None without folds."""
    if voter.run.record.folds is None:
        return None
    return _indices(voter).test


def faulty_images(voters: Sequence[Voter]) -> Tensor | None:
    """Return the positions of test images with known faults; None if a voter does not know them."""
    if not all(CLEAN in voter.trial.scores for voter in voters):
        return None
    return saved_array(voters[0], "test_faulty")


def labelled_indices(voters: Iterable[Voter]) -> dict[str, LabelledIndices]:
    """Return the different labelled subsets of the voters, by their hash."""
    different = {voter.trial.indices_hash: voter for voter in voters}
    return {digest: _indices(voter) for digest, voter in different.items()}


def _indices(voter: Voter) -> LabelledIndices:
    return io.read_as(voter.folder / "indices.json", lambda content: LabelledIndices(**content))


def validation_labels(voters: Sequence[Voter], required: bool) -> Tensor | None:
    """Return the labels [n] of the validation set that all voters share; None if they share none.

    Raises:
        UserError: it is `required` and there is none.
    """
    problem, labels = _common_validation(voters)
    if problem is not None and required:
        raise UserError(
            f"--best chooses on one common validation set, but {problem}: run all with the same "
            "hold-out, such as --set validation.share=0.2, and pool only runs of all training "
            "images (--full)."
        )
    return labels


def _common_validation(voters: Sequence[Voter]) -> tuple[str | None, Tensor | None]:
    """Return why there is no common validation set, or None, and its labels, or None."""
    subsets, labels = labelled_indices(voters), None
    first = subsets[voters[0].trial.indices_hash].validation
    for voter in voters:
        validation = subsets[voter.trial.indices_hash].validation
        if validation is None:
            return f"{voter} has no validation set", None
        if validation != first:
            return f"{voters[0]} and {voter} have different validation sets", None
        own = saved_array(voter, "validation_labels")
        labels = own if labels is None else labels
        if not torch.equal(own, labels):
            return f"{voters[0]} and {voter} have different labels of the validation set", None
    return None, labels


def total_cost(chosen: Sequence[Voter]) -> Cost:
    """Return the sum of the voters' costs, and of memory the largest.

    Voters with the same pretrained network share its features, which are counted once.
    """
    costs = [voter.trial.cost for voter in chosen]
    adapt_seconds = sum(cost.adapt_seconds for cost in costs)
    by_network: dict[str, float] = {}
    for voter in chosen:
        record, seconds = voter.run.record, voter.trial.cost.feature_seconds
        network = json.dumps([record.config.get("backbone"), record.backbone, record.weights])
        if record.weights == "none":  # each trial has random weights of its own
            network += str(voter.key)
        by_network[network] = max(by_network.get(network, 0.0), seconds or 0.0)
    feature_seconds = None
    if all(cost.feature_seconds is not None for cost in costs):
        feature_seconds = sum(by_network.values())
        repeated = sum(cost.feature_seconds or 0.0 for cost in costs) - feature_seconds
        adapt_seconds -= repeated
    calibration = [
        cost.calibration_seconds for cost in costs if cost.calibration_seconds is not None
    ]
    return Cost(
        train_seconds=sum(cost.train_seconds for cost in costs),
        adapt_seconds=adapt_seconds,
        images_per_second=None,
        peak_memory_mb=max(cost.peak_memory_mb for cost in costs),
        parameters=sum(cost.parameters for cost in costs),
        feature_seconds=feature_seconds,
        calibration_seconds=sum(calibration) if calibration else None,
    )
