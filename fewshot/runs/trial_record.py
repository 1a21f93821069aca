"""The result of one trial, the content of its `trial.json`. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from fewshot.config.origins import Origin

METRICS = ("accuracy", "precision", "recall", "f1", "loss", "ece", "brier")  # older: no brier
MACRO = ("precision", "recall", "f1")  # means over the classes that have test images
CLEAN = "clean_accuracy"  # without test images with known faults; only where these are known
CALIBRATED = ("loss", "ece", "brier")  # what a temperature changes
NO_SHARES = ("loss", "brier")  # the other scores are from 0 to 1


@dataclass(frozen=True)
class Cost:
    """What one trial costs; in the record of a run, the mean over its trials.

    Args:
        train_seconds: seconds of training, without evaluation and checkpoints.
        adapt_seconds: seconds of feature extraction and adaptation to the support set.
        images_per_second: training images a second; None without training.
        peak_memory_mb: most memory of any trial, in MB.
        parameters: number of parameters of the learner.
        meta_train_seconds: seconds of the training on base classes, which happens once for all
            trials and numbers of labels; None without one.
        feature_seconds: those of `adapt_seconds` in which frozen features were computed, in this
            trial or an earlier one that cached them; 0 without frozen features. None in old
            records, where only the trial that filled the cache counts them in `adapt_seconds`.
        calibration_seconds: seconds of choosing the temperature; None in old records.
    """

    train_seconds: float
    adapt_seconds: float
    images_per_second: float | None
    peak_memory_mb: float
    parameters: int
    meta_train_seconds: float | None = None
    feature_seconds: float | None = None
    calibration_seconds: float | None = None

    @property
    def seconds(self) -> float | None:
        """Seconds to train, adapt and calibrate, without evaluation and `feature_seconds`.

        They never depend on which run filled the cache of features. An old record, whose adaptation
        may include features, has the seconds of training alone, and None without training.
        """
        if self.feature_seconds is not None:
            adapted = self.adapt_seconds - self.feature_seconds
        elif self.train_seconds:
            adapted = 0.0
        else:
            return None
        return self.train_seconds + adapted + (self.calibration_seconds or 0.0)

    def to_json(self) -> dict[str, Any]:
        """Return the values in the order in which files have them, the last ones if known."""
        optional = ("meta_train_seconds", "feature_seconds", "calibration_seconds")
        content = asdict(self)
        return {
            key: value for key, value in content.items() if value is not None or key not in optional
        }


@dataclass(frozen=True)
class Provenance:
    """Where a result comes from.

    Args:
        commit: commit of the checkout; None for an installed package.
        dirty: whether the checkout had uncommitted changes; None for an installed package.
        versions: versions of Python and of the packages that decide results.
        device: name of the processor or GPU.
        started: time in ISO format.
        finished: time in ISO format.
        compute: device, precision, layout and threads; None for a vote, which computes nothing.
        weights: where the weights of the networks come from, without random ones; empty in old
            records.
        data_fingerprint: hash of the training images, in the record of a run only.
        test_fingerprint: hash of the test images, in the record of a run whose test images are not
            of its data set; otherwise None, because the training images identify them.
        indices: seed, as JSON -> hash of the labelled subset, in the record of a run only.
    """

    commit: str | None
    dirty: bool | None
    versions: dict[str, str]
    device: str
    started: str
    finished: str
    compute: dict[str, Any] | None = None
    data_fingerprint: str | None = None
    indices: dict[str, str] | None = None
    test_fingerprint: str | None = None
    weights: tuple[Origin, ...] = ()

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Provenance:
        """Return the provenance that a record states."""
        origins = tuple(Origin(**one) for one in content.get("weights", ()))
        return cls(**{**content, "weights": origins})

    def to_json(self) -> dict[str, Any]:
        """Return the known values in the order in which files have them."""
        order = ("commit", "dirty", "versions", "device", "compute", "started", "finished")
        of_run = ("data_fingerprint", "test_fingerprint", "indices")
        content = {key: getattr(self, key) for key in (*order, *of_run)}
        optional = ("compute", *of_run)
        known = {
            key: value for key, value in content.items() if value is not None or key not in optional
        }
        if self.weights:
            known["weights"] = [asdict(one) for one in self.weights]
        return known


@dataclass(frozen=True)
class TrialRecord:
    """The result of one trial, the content of its `trial.json`.

    Args:
        seed: seed of the labelled subset and of the training; None for a vote of all seeds.
        scores: metric -> value on the test set: METRICS, and CLEAN where faults are known.
        measures: name -> value that the learner reported about itself.
        validation: metric -> value on the validation set; None without one.
        train_accuracy: accuracy on the training images; None for a vote.
        per_class: recall of each class on the test set; None for a class without test images.
        confusion: [true class][predicted class] counts on the test set.
        steps: optimiser steps done.
        best_step: step whose weights were restored; None if those of the last step were used.
        labels: number of labelled images, the validation set included.
        indices_hash: hash of the labelled subset.
        calibrated: loss, ece and brier on the test set at the temperature; None without one.
        temperature: divisor of the logits; None without calibration.
        calibration: what the temperature was chosen on, or why there is none.
        shift: what was added to the logits of each class for the prior; None if nothing was.
    """

    seed: int | None
    scores: dict[str, float]
    validation: dict[str, float] | None
    train_accuracy: float | None
    per_class: list[float | None]
    confusion: list[list[int]]
    labels: int
    indices_hash: str
    cost: Cost
    provenance: Provenance
    warnings: list[str]
    measures: dict[str, float] = field(default_factory=dict)
    steps: int | None = None
    best_step: int | None = None
    calibrated: dict[str, float] | None = None
    temperature: float | None = None
    calibration: str | None = None
    shift: list[float] | None = None

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> TrialRecord:
        """Return the trial that a `trial.json` describes."""
        content = over_tested_classes(content)
        return cls(
            **{
                **known_keys(cls, content),
                "cost": Cost(**content["cost"]),
                "provenance": Provenance.from_json(content["provenance"]),
            }
        )

    def to_json(self) -> dict[str, Any]:
        """Return the content of `trial.json`."""
        calibration = {}
        if self.calibration is not None:  # older trials have none
            calibration = {
                "calibrated": self.calibrated,
                "temperature": self.temperature,
                "calibration": self.calibration,
                "shift": self.shift,
            }
        return {
            "seed": self.seed,
            "scores": self.scores,
            **calibration,
            "measures": self.measures,
            "validation": self.validation,
            "train_accuracy": self.train_accuracy,
            "per_class": self.per_class,
            "confusion": self.confusion,
            "steps": self.steps,
            "best_step": self.best_step,
            "labels": self.labels,
            "indices_hash": self.indices_hash,
            "cost": self.cost.to_json(),
            "provenance": self.provenance.to_json(),
            "warnings": self.warnings,
        }


def over_tested_classes(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the content of a record or trial with averages over the classes that are tested.

    Earlier versions counted the precision, recall and F1 of classes without test images as 0.

    Args:
        content: the content of a `record.json` or `trial.json`.
    """
    tested = [any(counts) for counts in content.get("confusion", [])]
    untested = (
        [
            recall
            for recall, is_tested in zip(content["per_class"], tested, strict=True)
            if not is_tested
        ]
        if tested
        else []
    )
    if not any(tested) or all(recall is None for recall in untested):
        return content
    factor = len(tested) / sum(tested)
    scores = {
        name: _scaled(score, factor) if name in MACRO else score
        for name, score in content["scores"].items()
    }
    per_class = [
        recall if is_tested else None
        for recall, is_tested in zip(content["per_class"], tested, strict=True)
    ]
    return {**content, "scores": scores, "per_class": per_class}


def _scaled(score: Any, factor: float) -> Any:
    """Return the value of a trial, or the object of a record's score, times a factor."""
    if isinstance(score, Mapping):
        return {key: _scaled(value, factor) for key, value in score.items()}
    if isinstance(score, list):
        return [_scaled(value, factor) for value in score]
    return None if score is None else score * factor


def known_keys(cls: type, content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a file's content that a dataclass has fields for."""
    names = {one.name for one in fields(cls)}
    return {key: value for key, value in content.items() if key in names}
