"""The result of a run: one configuration, one trial for each seed. Imports no torch."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, NamedTuple

from fewshot.evaluation.paired_tests import BySeed
from fewshot.evaluation.statistics import Score
from fewshot.runs import naming
from fewshot.runs.trial_record import (
    NO_SHARES,
    Cost,
    Provenance,
    known_keys,
    over_tested_classes,
)

Record = dict[str, Any]  # a record as it is on disk
Scores = dict[str, Score]
# The warnings of records whose trials cannot differ
_SAME = "and nothing is random, so every trial would be the same: this is one trial"
ONE_TRIAL = f"all training images are labelled {_SAME}"
ONE_TRIAL_WITHOUT_LABELS = f"no image is labelled {_SAME}"


class Baseline(NamedTuple):
    """What a classifier gets that gives every test image the same class.

    Attributes:
        name: the class with the most test images.
        accuracy: its share of the test images.
        chance: the balanced accuracy of every such classifier, 1 / tested classes.
    """

    name: str
    accuracy: float
    chance: float


@dataclass(frozen=True)
class VotingRun:
    """A run that takes part in a vote, and the seeds of its trials that do."""

    run_id: str
    method: str
    seeds: list[int]


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """What all trials of a run share. Files have the same names.

    Args:
        run_id: hash of the configuration and the data.
        shots: labels per class; None if the budget is a fraction or the full data set.
        fraction: share of the labels; None if the budget is a number of shots or the full data set.
        n_test: number of test images; of a cross-validation, those of all trials together.
        config: the resolved configuration, with data sets by name.
        members: the runs that voted; None unless the record is a vote.
        folds: number of folds of a cross-validation, where each trial tests on one of them; None
            if all trials have the same test images.
    """

    run_id: str
    method: str
    preset: str
    backbone: str
    weights: str
    data: str
    data_notes: list[str]
    regime: str
    shots: int | None
    fraction: float | None
    classes: list[str]
    n_test: int
    config: dict[str, Any]
    members: list[VotingRun] | None = None
    folds: int | None = None

    @property
    def test_to_train(self) -> float:
        """Test images for each training image of a cross-validation; 0 without one.

        It is what the trials share that makes their scores dependent: see `statistics.summary`.
        """
        return 0.0 if self.folds is None else 1 / (self.folds - 1)


@dataclass(frozen=True, kw_only=True, repr=False)
class RunRecord(RunFacts):
    """The result of a run: one configuration, one trial for each seed.

    Args:
        labels: number of labelled images, the validation set included.
        seeds: seeds of the trials, rising; [None] for a vote of all seeds.
        scores: metric -> score on the test set, as in `TrialRecord`.
        measures: name -> score of what the learner reported about itself.
        validation: metric -> score on the validation set; None without one.
        train_accuracy: accuracy on the training images; None for a vote.
        per_class: recall of each class on the test set, mean over the trials that test it; None
            for a class without test images.
        confusion: [true class][predicted class] counts, summed over the trials.
        warnings: sentences that a reader of the scores must know.
        calibrated: loss, ece and brier on the test set at the temperatures; None without them.
        temperature: divisor of the logits; None without calibration.
        calibration: what the temperatures were chosen on, or why there are none.
    """

    labels: int
    seeds: list[int | None]
    scores: Scores
    validation: Scores | None
    train_accuracy: Score | None
    cost: Cost
    provenance: Provenance
    warnings: list[str]
    measures: Scores = field(default_factory=dict)
    per_class: list[float | None] = field(default_factory=list)
    confusion: list[list[int]] = field(default_factory=list)
    calibrated: Scores | None = None
    temperature: Score | None = None
    calibration: list[str] = field(default_factory=list)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> RunRecord:
        """Return the record that a `record.json` describes; old records may lack some keys."""
        content = over_tested_classes(content)
        train, validation = content["train_accuracy"], content["validation"]
        members, calibrated = content.get("members"), content.get("calibrated")
        temperature = content.get("temperature")
        return cls(
            **{
                **known_keys(cls, content),
                "scores": _scores(content["scores"]),
                "measures": _scores(content.get("measures", {})),
                "validation": None if validation is None else _scores(validation),
                "train_accuracy": None if train is None else Score.from_json(train),
                "calibrated": None if calibrated is None else _scores(calibrated),
                "temperature": None if temperature is None else Score.from_json(temperature),
                "cost": Cost(**content["cost"]),
                "provenance": Provenance.from_json(content["provenance"]),
                "members": None if members is None else [VotingRun(**one) for one in members],
            }
        )

    def to_json(self) -> Record:
        """Return the content of `record.json`."""
        facts = {one.name: getattr(self, one.name) for one in fields(RunFacts)}
        voters = facts.pop("members")
        if voters is not None:
            facts["members"] = [asdict(one) for one in voters]
        if self.folds is None:  # as in older records
            del facts["folds"]
        return {
            **facts,
            "labels": self.labels,
            "seeds": self.seeds,
            "scores": _as_json(self.scores),
            **self._calibration_as_json(),
            "measures": _as_json(self.measures),
            "validation": None if self.validation is None else _as_json(self.validation),
            "train_accuracy": None
            if self.train_accuracy is None
            else self.train_accuracy.to_json(),
            "per_class": self.per_class,
            "confusion": self.confusion,
            "cost": self.cost.to_json(),
            "provenance": self.provenance.to_json(),
            "warnings": self.warnings,
        }

    def _calibration_as_json(self) -> Record:
        """Return what the record says about calibration; records of older versions say nothing."""
        if not self.calibration:
            return {}
        return {
            "calibrated": None if self.calibrated is None else _as_json(self.calibrated),
            "temperature": None if self.temperature is None else self.temperature.to_json(),
            "calibration": self.calibration,
        }

    def by_seed(self, metric: str = "accuracy") -> BySeed:
        """Return seed -> value of a metric on the test set, for paired comparisons."""
        values = dict(zip(self.seeds, self.scores[metric].values, strict=True))
        return BySeed(values, self.test_to_train)

    @property
    def images(self) -> str:
        """What identifies the training and the test images: only equal ones are comparable."""
        folds = "" if self.folds is None else f"{self.folds} folds"
        if folds and self.config.get("group_by"):
            folds += f" by {self.config['group_by']}"
        prints = (self.provenance.data_fingerprint, self.provenance.test_fingerprint)
        return " ".join(filter(None, [*prints, folds]))

    @property
    def class_shots(self) -> dict[str, int]:
        """Labels of single classes, by name, where they differ from `shots`."""
        return dict(self.config.get("class_shots") or {})

    @property
    def has_one_trial(self) -> bool:
        """Whether the trials cannot differ, so that one stands for every seed."""
        # Records of versions before do not say so of trials without a label.
        return not self.labels or bool({ONE_TRIAL, ONE_TRIAL_WITHOUT_LABELS} & set(self.warnings))

    @property
    def unequal_test(self) -> bool:
        """Whether the classes that have test images have different numbers of them."""
        return len(set(self._test_images()) - {0}) > 1

    @property
    def times_tested(self) -> float:
        """How often each test image was classified, as a mean: by each trial, or in some folds."""
        total = sum(map(sum, self.confusion))
        return total / self.n_test if total else float(len(self.seeds))

    def _test_images(self) -> list[int]:
        """Return the number of test images of each class.

        It is rounded, because the last repeat of a cross-validation may lack some folds.
        """
        return [round(sum(counts) / self.times_tested) for counts in self.confusion]

    @property
    def baseline(self) -> Baseline | None:
        """What one answer to every test image would get; None in records without counts."""
        counts = self._test_images()
        if not any(counts):
            return None
        largest = max(range(len(counts)), key=counts.__getitem__)
        n_tested = sum(count > 0 for count in counts)
        return Baseline(self.classes[largest], counts[largest] / sum(counts), 1 / n_tested)

    @property
    def config_as_run(self) -> dict[str, Any]:
        """The configuration, with `train` null if no trial took a step of the training."""
        if naming.base_of(self.config) or self.cost.train_seconds:
            return self.config
        return {**self.config, "train": None}

    @property
    def name(self) -> str:
        """What ran, in words; see `naming.system`."""
        return naming.system(self.method, self.preset, self.config_as_run)

    def __repr__(self) -> str:
        trials = "1 trial" if len(self.seeds) == 1 else f"{len(self.seeds)} trials"
        return (
            f"RunRecord({self.name} on {self.data}, {self.labels:,} labels, {trials}: "
            f"accuracy {self.scores['accuracy']}, run {self.run_id})"
        )

    def _repr_html_(self) -> str:
        """Return a table for notebooks: a row for each metric, mean and 95% interval."""
        heading = f"{self.name} on {self.data}, {self.labels:,} labels"
        seeds = ", ".join(map(str, self.seeds))
        texts = {
            name: score.text(share=name not in NO_SHARES) for name, score in self.scores.items()
        }
        texts |= {name: score.text(share=False) for name, score in self.measures.items()}
        rows = [
            f"<tr><td>{html.escape(name)}</td><td>{text}</td></tr>" for name, text in texts.items()
        ]
        wider = self.scores["accuracy"].with_test_images(self.n_test)
        seconds = "" if self.cost.seconds is None else f"; {self.cost.seconds:.1f} s per trial"
        notes = "".join(f"<li>{html.escape(text)}</li>" for text in self.warnings)
        return (
            f"<table><caption>{html.escape(heading)}; run {self.run_id}, seeds {seeds}</caption>"
            "<tr><th>test metric</th><th>mean ± 95% over trials</th></tr>"
            f"{''.join(rows)}</table><p>95% interval of the accuracy with the test images as a "
            f"sample: {wider.text()}{seconds}</p>" + (f"<ul>{notes}</ul>" if notes else "")
        )


def _scores(content: Mapping[str, Any]) -> Scores:
    return {name: Score.from_json(score) for name, score in content.items()}


def _as_json(scores: Scores) -> dict[str, Any]:
    return {name: score.to_json() for name, score in scores.items()}
