"""Members of a vote: draws of finished runs of one task, with the predictions that they saved."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from fewshot import io
from fewshot.errors import UserError
from fewshot.runs import records
from fewshot.runs.records import Record

VOTING = "voting"  # the method of a record that is a vote
COMPARABLE = ("regime", "data", "classes", "label budget")


class Member(NamedTuple):
    """One draw of one run: the run's record, the draw's folder, the content of its trial.json."""

    run: Record
    folder: Path
    drawn: Mapping[str, Any]

    @property
    def key(self) -> tuple[str, int]:
        return self.run["run_id"], self.drawn["seed"]

    def __str__(self) -> str:
        return f"{_name(self.run)} (draw {self.drawn['seed']})"


def find(places: Sequence[Path]) -> list[tuple[Path, Record]]:
    """Folders and records of the runs, by run id; a UserError where they are not of one task."""
    named = {place.resolve() for place in places}
    runs: dict[str, tuple[Path, Record]] = {}
    for path, record in records.find(places):
        if record["method"] == VOTING:
            if named & {path, path.parent}:
                raise UserError(
                    f"{path} is a vote, which has no predictions: name the runs that it was made of."
                )
            continue
        if record["run_id"] in runs:
            places_of_it = f"{runs[record['run_id']][0]} and {path.parent}"
            raise UserError(
                f"run {record['run_id']} lies in {places_of_it} and would vote twice: name one of them."
            )
        runs[record["run_id"]] = path.parent, record
    if not runs:
        raise UserError(
            "there are only votes here, which have no predictions: name the runs that they were made of."
        )
    found = [runs[run_id] for run_id in sorted(runs)]
    first = found[0][1]
    for _, other in found[1:]:
        for what, ours, theirs in zip(COMPARABLE, _task(first), _task(other), strict=True):
            if ours != theirs:
                raise UserError(
                    f"runs {_name(first)} and {_name(other)} differ in {what}: name runs of the same "
                    f"{', '.join(COMPARABLE[:-1])} and {COMPARABLE[-1]}."
                )
    return found


def _task(run: Record) -> tuple[Any, ...]:
    return (
        run["regime"],
        run["provenance"]["data_fingerprint"],
        run["classes"],
        (run["shots"], run["fraction"]),
    )


def _name(run: Record) -> str:
    return f"{run['run_id']} ({run['method']})"


def groups(runs: Sequence[tuple[Path, Record]], pool: bool) -> dict[int | None, list[Member]]:
    """Who votes together: seed -> a draw of each run, or None -> all draws; two or more."""
    found: dict[int | None, list[Member]]
    if pool:
        found = {
            None: [_member(folder, run, seed) for folder, run in runs for seed in run["seeds"]]
        }
    else:
        common = set.intersection(*(set(run["seeds"]) for _, run in runs))
        if not common:
            raise UserError(
                "the runs have no seed in common: run them with the same --seeds, or pool them (--pool)."
            )
        found = {
            seed: [_member(folder, run, seed) for folder, run in runs] for seed in sorted(common)
        }
    if min(map(len, found.values())) < 2:
        raise UserError(
            "one member is no vote: name two runs or more, or let all draws of a run vote (--pool)."
        )
    return found


def _member(folder: Path, run: Record, seed: int) -> Member:
    place = folder / f"trial-{seed}"
    if not (place / "predictions.npz").exists():
        raise UserError(
            f"{place / 'predictions.npz'} does not exist, and the record of {_name(run)} alone cannot vote: name the "
            "run's own folder, or run its command again."
        )
    return Member(run, place, io.read_json(place / "trial.json"))


def array(member: Member, name: str) -> Tensor:
    """One array of a member's predictions; the others are not read."""
    path = member.folder / "predictions.npz"
    try:
        with path.open("rb") as file, np.load(file) as arrays:
            found = arrays[name]
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(
            f"{path} cannot be read ({error}): run its command again with --force."
        ) from None
    if not np.isfinite(found).all():
        raise UserError(
            f"{path}: '{name}' holds numbers that are not finite: leave {_name(member.run)} out."
        )
    return torch.from_numpy(found)


def test_labels(members: Sequence[Member]) -> Tensor:
    """The labels [n] of the test images, which all members must have been judged on."""
    first = array(members[0], "test_labels")
    for member in members[1:]:
        if not torch.equal(first, array(member, "test_labels")):
            raise UserError(
                f"{members[0]} and {member} were judged on different test labels: name runs of the same test set."
            )
    return first


def indices(members: Iterable[Member]) -> dict[str, dict[str, Any]]:
    """indices.json of every different draw of labelled images, by its hash."""
    different = {member.drawn["indices_hash"]: member for member in members}
    return {
        name: io.read_json(member.folder / "indices.json") for name, member in different.items()
    }


def validation_labels(members: Sequence[Member], needed: bool) -> Tensor | None:
    """Labels of validation images that all members held out; where there are none, None, or an error if `needed`."""
    drawn, labels, problem = indices(members), None, ""
    held_by_first = drawn[members[0].drawn["indices_hash"]]["validation"]
    for member in members:
        held = drawn[member.drawn["indices_hash"]]["validation"]
        if held is None:
            problem = f"{member} held nothing out"
        elif held != held_by_first:
            problem = f"{members[0]} and {member} held out different images"
        else:
            found = array(member, "validation_labels")
            labels = found if labels is None else labels
            if torch.equal(found, labels):
                continue
            problem = f"{members[0]} and {member} have different labels of the images they held out"
        if needed:
            raise UserError(
                f"--best chooses on one common validation split, but {problem}: run all with the same hold-out, as by "
                "--set validation.share=0.2, and pool only runs of all training images (--full)."
            )
        return None
    return labels
