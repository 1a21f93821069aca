"""The learning curve of a method: mean accuracies at several numbers of labels, and their noise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from fewshot.config import FEW_LABELS
from fewshot.evaluation.learning_curve_model import Curve
from fewshot.evaluation.paired_tests import BySeed
from fewshot.report.formatting import method_label
from fewshot.runs.run_record import RunRecord

# The standard deviation over trials is about 0.04 n^-0.5 in our records; it is also the starting
# assumption for the records of others.
SPREAD, SPREAD_SLOPE = 0.04, -0.5
SPREAD_SLOPE_SD = 0.15
LEAST_SPREAD = 0.002  # trials with equal accuracy happen by chance
# In our records, the correlation of a seed's errors at n and 2n labels: its subsets are nested.
TOGETHER = 0.6


def gather(rows: Sequence[RunRecord]) -> list[Curve]:
    """Return a curve for each data set, method and preset among the low-data records.

    Methods are distinguished as in the figures, and by the preset, with which the training changes:
    a curve across that would be two curves. If a method has several records at one number of
    labels, the one with the most trials counts.
    """
    groups: dict[tuple[str, str, str, str], dict[float, list[RunRecord]]] = {}
    for record in sorted(rows, key=lambda record: (-len(record.seeds), record.run_id)):
        if record.regime == "low-data" and record.labels:
            images = record.images
            key = images, record.data, method_label(record), record.preset
            count = record.labels / len(record.classes)
            groups.setdefault(key, {}).setdefault(count, []).append(record)
    several = Counter((images, data, label) for images, data, label, _ in groups)
    curves = []
    for (images, data, label, preset), by_count in sorted(groups.items()):
        is_one = several[images, data, label] == 1
        name = label if is_one else f"{label}, preset {preset}"
        curves.append(_curve(data, name, by_count, _end(preset, max(by_count))))
    return curves


def _end(preset: str, most: float) -> float | None:
    """Return where a default preset ends, unless it was measured beyond."""
    return FEW_LABELS if preset == "few" and most <= FEW_LABELS else None


def _curve(
    data: str, label: str, by_count: dict[float, list[RunRecord]], end: float | None
) -> Curve:
    counts = sorted(by_count)
    used = [by_count[count][0] for count in counts]
    accuracies = []
    for record in used:
        accuracies.append(record.by_seed())
    remarks = _remarks(by_count)
    if not any(len(by_seed) > 1 for by_seed in accuracies):
        remarks.append("there is one trial at each number of labels, so its spread is assumed")
    means = np.array([record.scores["accuracy"].mean for record in used])
    trials = [len(by_seed) for by_seed in accuracies]
    noise = _noise(np.log(counts), accuracies)
    return Curve(data, label, np.array(counts), means, trials, noise, remarks, end)


def _remarks(by_count: dict[float, list[RunRecord]]) -> list[str]:
    """Return where one of several records was chosen."""
    ambiguous = []
    for count in sorted(by_count):
        means = {record.scores["accuracy"].mean for record in by_count[count]}
        if len(means) > 1:
            ambiguous.append(f"{count:g}")
    if not ambiguous:
        return []
    return [
        f"of several records at {', '.join(ambiguous)} labels per class, the one with the most "
        "trials is used"
    ]


def _noise(x: np.ndarray, accuracies: Sequence[BySeed]) -> np.ndarray:
    """Return the covariance of the means at log counts x, [m, m].

    The spread over trials is modelled as a power of n with two parameters for all counts, because
    a bootstrap over seeds gives nothing for one trial and too little for three. Means that share
    seeds are correlated, and so are those of a cross-validation, which share their images.
    """
    known = [index for index, by_seed in enumerate(accuracies) if len(by_seed) > 1]
    spread = np.array(
        [max(float(np.std(list(accuracies[k].values()), ddof=1)), LEAST_SPREAD) for k in known]
    )
    freedom = np.array([len(accuracies[index]) - 1.0 for index in known])
    # The log of a sample's standard deviation is about 1 / (2 freedom) too low on average, which
    # is also its variance.
    design = np.stack([np.ones(len(known)), x[known]], axis=1)
    weighted = design * (2 * freedom)[:, None]
    prior = np.diag([1e-3, SPREAD_SLOPE_SD**-2])
    target = weighted.T @ (np.log(spread) + 0.5 / freedom) + prior @ [np.log(SPREAD), SPREAD_SLOPE]
    level, slope = np.linalg.solve(design.T @ weighted + prior, target)
    sd = np.exp(level + slope * x)
    shared = [
        [
            len(one.keys() & other.keys()) / len(one) / len(other) + one.test_to_train
            for other in accuracies
        ]
        for one in accuracies
    ]
    distance = np.abs(np.subtract.outer(x, x)) / np.log(2)
    return np.outer(sd, sd) * TOGETHER**distance * np.array(shared)
