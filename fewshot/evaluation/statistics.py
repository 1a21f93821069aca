"""The mean of a metric over trials and its two 95% intervals. Imports no torch.

`Score.over_trials` is the interval for more trials on the same test images, and
`Score.with_test_images` the one for other test images too. docs/concepts.md ("Two intervals")
defines both, and reports/statistics.md shows by simulation how often they contain the truth.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

NEGLIGIBLE = 1e-12  # spreads and differences below it are rounding
NORMAL_95 = 1.959963984540054  # 97.5% quantile of the normal distribution


class Interval(NamedTuple):
    """The lower and the upper end of a 95% interval."""

    low: float
    high: float

    def text(self, form: str = ".4f", scale: float = 1.0) -> str:
        """Return both ends in a number format, multiplied by `scale`."""
        return f"{scale * self.low:{form}} to {scale * self.high:{form}}"


@dataclass(frozen=True)
class Score:
    """One metric over the trials of a run.

    Args:
        mean: mean of `values`.
        std: standard deviation with n - 1; None for a single trial.
        ci95: half width of the 95% interval of the mean (Student's t); None for a single trial.
        values: the metric of each trial, in the order of the record's seeds.
        image_std: standard deviation, over the test images, of the share of trials that classify
            the image correctly; for the accuracy of several trials, in records that have it.
        test_to_train: test images for each training image of a cross-validation, for which
            `ci95` is corrected; 0 without one.
    """

    mean: float
    std: float | None
    ci95: float | None
    values: list[float]
    image_std: float | None = None
    test_to_train: float = 0.0

    @property
    def n(self) -> int:
        """Number of trials."""
        return len(self.values)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Score:
        """Return the score that `to_json` described."""
        required = (content["mean"], content["std"], content["ci95"], list(content["values"]))
        return cls(*required, content.get("image_std"), content.get("test_to_train", 0.0))

    def to_json(self) -> dict[str, Any]:
        """Return the score as plain JSON values, without the last two where they are unknown."""
        content = asdict(self)
        if self.image_std is None:
            del content["image_std"]
        if not self.test_to_train:
            del content["test_to_train"]
        return content

    @property
    def half(self) -> float | None:
        """Half of the interval over trials, which follows "±"; None if the trials do not differ."""
        return self.ci95 if self.ci95 is not None and self.ci95 > NEGLIGIBLE else None

    def over_trials(self) -> Interval | None:
        """Return the 95% interval of a share over more trials, on the same test images.

        It is the mean ± `ci95`. Where that leaves the range from 0 to 1, it is Wilson's interval
        with the same variance. None if there is one trial, or if all trials are equal.
        """
        if self.half is None:
            return None
        low, high = self.mean - self.half, self.mean + self.half
        if low >= 0 and high <= 1:
            return Interval(low, high)
        return _wilson(self.mean, self.half)

    def with_test_images(self, n_test: int) -> Interval:
        """Return the 95% interval of a share over more trials and over other test images.

        The half widths over trials and over images are added as squares, and the result has the
        form of Wilson's interval, which stays between 0 and 1. For one trial it is Wilson's
        interval, which leaves out that other trials differ. In a cross-validation each trial has
        other test images, so the half width over trials contains that over images, and the larger
        of both counts.

        Args:
            n_test: number of test images.

        Source: Wilson, Probable inference, the law of succession, and statistical inference, 1927.
        With an effective sample size: Franco, Little, Louis and Slud, Comparative study of
        confidence intervals for proportions in complex sample surveys, 2019.
        """
        binomial = self.mean * (1 - self.mean)
        # Without the images' own shares, as if every trial classified the same images correctly:
        # no variance over images is larger.
        variance = binomial if self.image_std is None else self.image_std**2
        by_images = NORMAL_95 * math.sqrt(variance / n_test)
        if not binomial:
            return _wilson(self.mean, 0.0, NORMAL_95**2 / n_test)
        if self.test_to_train:
            return _wilson(self.mean, max(self.half or 0.0, by_images))
        return _wilson(self.mean, math.hypot(self.half or 0.0, by_images))

    def text(self, form: str = ".4f", scale: float = 1.0, *, share: bool = True) -> str:
        """Return the mean and the 95% interval over trials, or the mean alone if there is none.

        Args:
            form: format of the numbers.
            scale: factor of the numbers, for example 100 for percent.
            share: the metric lies between 0 and 1. If the mean ± half of the interval does not,
                the ends of the interval stand in brackets.
        """
        mean = f"{scale * self.mean:{form}}"
        if self.half is None:
            return mean
        if share and not self.half <= self.mean <= 1 - self.half:
            interval = self.over_trials()
            assert interval is not None
            return f"{mean} ({interval.text(form, scale)})"
        return f"{mean} ± {scale * self.half:{form}}"

    def __str__(self) -> str:
        return self.text()


def _wilson(mean: float, half: float, weight: float | None = None) -> Interval:
    """Return Wilson's interval of a share, whose half width would be `half` without its form.

    Args:
        mean: the share.
        half: quantile times standard error.
        weight: squared quantile over the effective sample size; by default that which gives `half`.
    """
    binomial = mean * (1 - mean)
    if weight is None:
        weight = half**2 / binomial if binomial else 0.0
    middle = (mean + weight / 2) / (1 + weight)
    reach = math.sqrt(weight * binomial + weight**2 / 4) / (1 + weight)
    return Interval(min(mean, max(0.0, middle - reach)), max(mean, min(1.0, middle + reach)))


def summary(values: Sequence[float], test_to_train: float = 0.0) -> Score:
    """Return mean, standard deviation and 95% interval of the values of several trials.

    Args:
        values: the values of independent trials; or of the trials of a cross-validation, which
            share training images and are therefore more alike than independent ones.
        test_to_train: test images for each training image of a cross-validation: 1 / (folds - 1).
            The variance of the mean is then 1 / n + test_to_train times the variance of the
            values, and not 1 / n times (the corrected resampled t-test).

    Source: Nadeau and Bengio, Inference for the generalization error, Machine Learning 52, 2003.
    """
    n = len(values)
    if n == 1:
        return Score(values[0], None, None, list(values), test_to_train=test_to_train)
    from scipy.stats import t

    std = float(np.std(values, ddof=1))
    error = std / n**0.5 if not test_to_train else std * (1 / n + test_to_train) ** 0.5
    half = float(t.ppf(0.975, n - 1)) * error
    return Score(float(np.mean(values)), std, half, list(values), test_to_train=test_to_train)


def image_std(correct: np.ndarray) -> float | None:
    """Return the standard deviation over images of the share of trials that are correct.

    Args:
        correct: whether each trial classified each image correctly [n_trials, n_test].

    Returns:
        The standard deviation with n_test - 1; None for a single trial or image.
    """
    if min(correct.shape) < 2:
        return None
    return float(np.std(correct.mean(0), ddof=1))
