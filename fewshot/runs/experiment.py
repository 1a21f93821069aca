"""The only wiring: a configuration in, its missing draws run or continued, a record out."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from filelock import FileLock

from fewshot import config, distributed, io
from fewshot.errors import UserError
from fewshot.learners import LEARNERS
from fewshot.runs import records
from fewshot.runs.records import RunFacts, RunRecord, TrialRecord
from fewshot.runs.resolve import ResolvedRun, Tell, divided, prepare
from fewshot.runs.trial import run_trial
from fewshot.training import devices


def run(
    values: Mapping[str, Any],
    seeds: Sequence[int],
    *,
    out: Path = Path("runs"),
    device: str | None = None,
    force: bool = False,
    workers: int = 1,
    progress: bool = False,
    tell: Tell = lambda text: None,
) -> RunRecord:
    """Run the missing draws of a configuration and return its record, written as record.json.

    values: settings on top of the method's preset, as nested mappings; seeds: one draw each.
    A finished draw is taken as it is, an unfinished one continues; `force` forgets the draws asked for. The
    record is of all finished draws of the run; it is not written where a draw fails or is interrupted.
    Raises UserError before anything is written where the request is wrong, trainer.Diverged where a training
    breaks, KeyboardInterrupt where it is interrupted.
    """
    if "WORLD_SIZE" in os.environ:
        distributed.join(devices.pick(device))
    if distributed.rank():  # the first process checks, decodes and measures alone
        distributed.agree(None)
    plan = prepare(values, out, device, workers=workers, force=force, progress=progress)
    if distributed.world() > 1:
        _check_together(plan, workers)
    if distributed.rank() == 0:
        distributed.agree(None)
    plan = plan._replace(
        compute=distributed.agree(plan.compute)._replace(threads=plan.compute.threads)
    )
    if distributed.rank() == 0:
        io.make_folder(plan.folder)
        _write_config(plan)
    missing = [
        seed
        for seed in seeds
        if force or not (plan.folder / f"trial-{seed}" / "trial.json").exists()
    ]
    missing = distributed.agree(missing)
    if workers > 1 and len(missing) > 1:
        _run_in_processes(plan, missing, workers, force, tell)
    else:
        for number, seed in enumerate(missing, start=1):

            def tell_of_trial(text: str, number: int = number) -> None:
                tell(f"trial {number}/{len(missing)}: {text}" if len(missing) > 1 else text)

            run_trial(plan, seed, force=force, tell=tell_of_trial)
    return distributed.agree(None if distributed.rank() else finish(plan))


def _check_together(plan: ResolvedRun, workers: int) -> None:
    """Raise a UserError where several processes cannot share the training."""
    told, how = "several processes share one training under torchrun", "run without torchrun"
    if workers > 1:
        raise UserError(
            f"{told}, and --workers asks for draws side by side: leave --workers out, or {how}."
        )
    if plan.config.train is None:
        raise UserError(f"{told}, and method '{plan.config.method}' has none here: {how}.")
    if LEARNERS[plan.config.method].feed != "batches":
        raise UserError(
            f"{told} by its batches, and method '{plan.config.method}' has none: {how}."
        )
    if plan.config.on_folds:
        raise UserError(
            f"{told}, and select: {plan.config.select} has many: use --set select=last, or {how}."
        )
    kept, _ = divided(plan.config, plan.data.train, 0)[1:]
    size = min(plan.config.train.batch_size, len(kept))
    if size % distributed.world():
        raise UserError(
            f"batches of {size} images cannot be shared evenly by {distributed.world()} processes: "
            "set train.batch_size to a multiple of them, no more than there are labelled images."
        )


def _run_in_processes(
    plan: ResolvedRun, seeds: Sequence[int], workers: int, force: bool, tell: Tell
) -> None:
    """Draws at once, each in its own process on its share of the cores; they find data and settings by themselves."""
    settings = plan.config.model_dump(mode="json")
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        running = [
            pool.submit(_run_alone, settings, seed, plan.folder.parent, plan.compute, force)
            for seed in seeds
        ]
        try:
            for number, each in enumerate(running, start=1):
                each.result()
                tell(f"trial {number}/{len(seeds)}: done")
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _run_alone(
    settings: Mapping[str, Any], seed: int, out: Path, compute: devices.Compute, force: bool
) -> None:
    run_trial(prepare(settings, out, compute.device)._replace(compute=compute), seed, force=force)


def finish(plan: ResolvedRun) -> RunRecord:
    """Write and return the record of all finished trials of a run."""
    settings, data = plan.config, plan.data
    facts = RunFacts(
        run_id=plan.run_id,
        method=settings.method,
        preset=settings.preset or "",
        backbone=settings.backbone.name,
        weights=settings.backbone.weights,
        data=data.train.name,
        data_notes=list(dict.fromkeys(data.train.notes + data.test.notes + _base_notes(plan))),
        regime=settings.regime,
        shots=settings.shots,
        fraction=settings.fraction,
        classes=list(data.train.classes),
        n_test=len(data.test),
        config=_public_config(plan),
    )
    with FileLock(plan.folder / ".record.lock"):
        trials = [
            TrialRecord.from_json(io.read_json(path))
            for path in plan.folder.glob("trial-*/trial.json")
        ]
        record = records.assemble(facts, data.train.fingerprint, trials)
        io.write_json(plan.folder / "record.json", record.to_json())
    return record


def _base_notes(plan: ResolvedRun) -> tuple[str, ...]:
    if plan.base is None:
        return ()
    return (
        f"meta-trained on {len(plan.base):,} labelled images of {plan.base.name}",
        *plan.base.notes,
    )


def _public_config(plan: ResolvedRun) -> dict[str, Any]:
    """Return the configuration with data sets by name, not by place, and without the precision."""
    told = plan.config.model_dump(mode="json", exclude={"precision"}) | {
        "data": plan.data.train.name
    }
    if plan.base is not None:
        told["train"]["base"] = plan.base.name
    return told


def _write_config(plan: ResolvedRun) -> None:
    values = {**plan.config.model_dump(mode="json"), "compute": plan.compute._asdict()}
    io.write_bytes(plan.folder / "config.yaml", config.dump(values).encode())
