"""Run requests of the episodic regime: each from its record if it is finished."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from episodes.tasks import files
from fewshot import config, io, progress
from fewshot.errors import Diverged
from fewshot.runs.episodic import evaluate, learner_checks, task_sets
from fewshot.runs.episodic import record as records
from fewshot.runs.episodic.given import GivenFeatures
from fewshot.runs.episodic.record import EpisodesRecord
from fewshot.runs.episodic.resolve import ResolvedEpisodes, Sources, resolve
from fewshot.runs.episodic.task_sets import Tasks

RECORD, TASKS = "record.json", "tasks.npz"


def run(
    values: Mapping[str, Any],
    *,
    out: Path = Path("runs"),
    device: str | None = None,
    threads: int | None = None,
    force: bool = False,
    given: GivenFeatures | None = None,
) -> EpisodesRecord:
    """Evaluate one method on one set of tasks; see `run_all`."""
    (record,) = run_all([values], out=out, device=device, threads=threads, force=force, given=given)
    return record


def run_all(
    requests: Sequence[Mapping[str, Any]],
    *,
    out: Path = Path("runs"),
    device: str | None = None,
    threads: int | None = None,
    force: bool = False,
    given: GivenFeatures | None = None,
) -> list[EpisodesRecord]:
    """Evaluate several requests; all are checked before the first is computed.

    A finished run is answered from its record. An interrupted training resumes.

    Args:
        requests: for each run, settings on top of the method's preset, as nested mappings. `train`
            may be true, for the training of the preset.
        out: folder of run folders.
        device: cpu, cuda and so on; None for a GPU if there is one.
        threads: CPU threads; None for those that a run has, or the default.
        force: compute finished runs again.
        given: features in place of images; None for images.

    Returns:
        The records, in the order of the requests.

    Raises:
        UserError: a request is wrong; nothing is written.
        Diverged: the loss of a training, or a logit, is not finite.
        KeyboardInterrupt: the call was interrupted; the same call resumes it.
    """
    sources = Sources(given)
    runs = [
        resolve(values, out, device, sources=sources, threads=threads, force=force)
        for values in requests
    ]
    for one in runs:
        if force or not (one.folder / RECORD).exists():
            learner_checks.check(one)
    sampled = [task_sets.of_run(one.config.tasks, one.pool) for one in runs]
    results = []
    for number, (one, (tasks, described)) in enumerate(zip(runs, sampled, strict=True), start=1):
        described_run = replace(one, config=one.config.model_copy(update={"tasks": described}))
        with progress.within(f"{one.method.name} ({number}/{len(runs)})"):
            results.append(_result(described_run, tasks, force))
    return results


def _result(run: ResolvedEpisodes, tasks: Tasks, force: bool) -> EpisodesRecord:
    """Return the record of a run from its file, or evaluate it and write the files."""
    path = run.folder / RECORD
    if not force and path.exists() and (run.folder / TASKS).exists():
        return records.read(path)  # the folder may be read-only
    io.make_folder(run.folder)
    with io.locked(run.folder / ".lock"):
        if path.exists() and not force:
            record = records.read(path)
            if not (run.folder / TASKS).exists():
                _write_tasks(run, tasks)
            return record
        values = {**run.config.model_dump(mode="json"), "compute": run.compute._asdict()}
        io.write_bytes(run.folder / "config.yaml", config.dump(values).encode())
        apart = task_sets.without_replacement(run.config.tasks, run.pool)
        try:
            record = evaluate.evaluate(run, tasks, apart)
        except Diverged as error:
            raise Diverged(f"{run.method.name} ({run.folder}): {error}") from error
        _write_tasks(run, tasks)
        records.write(path, record)
    return record


def _write_tasks(run: ResolvedEpisodes, tasks: Tasks) -> None:
    protocol = run.config.tasks.model_dump(mode="json", exclude={"file"})
    files.write(run.folder / TASKS, tasks, run.pool, protocol)
