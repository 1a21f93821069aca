"""A run's record from the results of its trials. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace

import numpy as np

from fewshot.evaluation import statistics
from fewshot.runs import doubtful_scores, naming
from fewshot.runs.run_record import RunFacts, RunRecord, Scores
from fewshot.runs.trial_record import Cost, Provenance, TrialRecord


def assemble(
    facts: RunFacts,
    data_fingerprint: str,
    trials: Sequence[TrialRecord],
    image_std: float | None = None,
) -> RunRecord:
    """Return the record of a run from its trials, in the order of their seeds.

    Args:
        facts: what all trials share.
        data_fingerprint: hash of the training images.
        trials: the results, in any order.
        image_std: spread of the accuracy over the test images, see `Score`.
    """
    trials = sorted(trials, key=lambda trial: trial.seed or 0)
    held_out = [trial.validation for trial in trials if trial.validation is not None]
    train = [trial.train_accuracy for trial in trials if trial.train_accuracy is not None]
    ratio = facts.test_to_train
    scores = _common_summaries([trial.scores for trial in trials], ratio)
    scores["accuracy"] = replace(scores["accuracy"], image_std=image_std)
    calibrated = [trial.calibrated for trial in trials if trial.calibrated is not None]
    temperatures = [trial.temperature for trial in trials if trial.temperature is not None]
    all_calibrated = len(calibrated) == len(temperatures) == len(trials)
    record = RunRecord(
        **{one.name: getattr(facts, one.name) for one in fields(RunFacts)},
        labels=trials[0].labels,
        seeds=[trial.seed for trial in trials],
        scores=scores,
        measures=_common_summaries([trial.measures for trial in trials], ratio),
        validation=_common_summaries(held_out, ratio) if held_out else None,
        calibrated=_common_summaries(calibrated, ratio) if all_calibrated else None,
        temperature=statistics.summary(temperatures, ratio) if all_calibrated else None,
        calibration=list(dict.fromkeys(one.calibration for one in trials if one.calibration)),
        # a vote has no predictions of training images
        train_accuracy=statistics.summary(train, ratio) if len(train) == len(trials) else None,
        per_class=[
            _mean_of_known(values)
            for values in zip(*(trial.per_class for trial in trials), strict=True)
        ],
        confusion=np.sum([trial.confusion for trial in trials], axis=0).tolist(),
        cost=_mean_cost([trial.cost for trial in trials]),
        provenance=_provenance(trials, data_fingerprint),
        warnings=[
            *dict.fromkeys(text for trial in trials for text in trial.warnings),
            *_of_untrained(facts, trials),
            *_mixed(trials),
        ],
    )
    return replace(record, warnings=[*record.warnings, *doubtful_scores.doubts(record)])


def _mean_of_known(values: Sequence[float | None]) -> float | None:
    """Return the mean over the trials that test a class; None if none does."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _provenance(trials: Sequence[TrialRecord], data_fingerprint: str) -> Provenance:
    """Return where a record comes from: what computed the trial that finished last."""
    last = max(trials, key=lambda trial: trial.provenance.finished).provenance
    return replace(
        last,
        started=min(trial.provenance.started for trial in trials),
        data_fingerprint=data_fingerprint,
        indices={json.dumps(trial.seed): trial.indices_hash for trial in trials},
    )


def _of_untrained(facts: RunFacts, trials: Sequence[TrialRecord]) -> list[str]:
    """Warn if some trials, but not all, took no step of the training."""
    if facts.config.get("train") is None or naming.base_of(facts.config):
        return []
    n_untrained = sum(trial.steps == 0 for trial in trials)
    if not 0 < n_untrained < len(trials):
        return []
    classifier = naming.untrained_classifier(facts.method, facts.config)
    return [
        f"{n_untrained} of {len(trials)} trials took no step of the training, so their results are "
        f"those of {'the ' + classifier if classifier else 'an untrained learner'}"
    ]


def _mixed(trials: Sequence[TrialRecord]) -> list[str]:
    """Warn if trials were computed differently, as after `--force` for some of them."""
    ways: dict[str, list[str]] = {}
    for trial in trials:
        if (compute := trial.provenance.compute) is not None and "threads" in compute:
            device, threads = compute["device"].split(":")[0], compute["threads"]
            way = f"on {device} in {compute['precision']} with --threads {threads}"
            ways.setdefault(way, []).append(str(trial.seed))
    if len(ways) < 2:
        return []
    parts = [
        f"seed{'' if len(seeds) == 1 else 's'} {', '.join(seeds)} {way}"
        for way, seeds in ways.items()
    ]
    return [f"trials were computed in different ways: {'; '.join(parts)}"]


def _common_summaries(values: Sequence[Mapping[str, float]], test_to_train: float) -> Scores:
    """Summarise the values that all trials have: trials of an older version may lack some."""
    names = [name for name in values[0] if all(name in one for one in values)]
    return {
        name: statistics.summary([one[name] for one in values], test_to_train) for name in names
    }


def _mean_cost(costs: Sequence[Cost]) -> Cost:
    """Return the mean cost of trials, with the largest memory and number of parameters."""
    speeds = [cost.images_per_second for cost in costs if cost.images_per_second is not None]
    features = [cost.feature_seconds for cost in costs if cost.feature_seconds is not None]
    seconds = [cost.calibration_seconds for cost in costs]
    calibrations = [one for one in seconds if one is not None]
    return Cost(
        train_seconds=float(np.mean([cost.train_seconds for cost in costs])),
        adapt_seconds=float(np.mean([cost.adapt_seconds for cost in costs])),
        images_per_second=float(np.mean(speeds)) if speeds else None,
        peak_memory_mb=max(cost.peak_memory_mb for cost in costs),
        parameters=max(cost.parameters for cost in costs),
        meta_train_seconds=costs[0].meta_train_seconds,
        feature_seconds=float(np.mean(features)) if len(features) == len(costs) else None,
        calibration_seconds=float(np.mean(calibrations)) if calibrations else None,
    )
