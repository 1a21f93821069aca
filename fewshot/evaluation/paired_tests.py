"""Compare methods by paired tests, corrected for the number of tests. Imports no torch.

reports/statistics.md shows by simulation how often the tests find a difference where there is none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from fewshot.evaluation.statistics import NEGLIGIBLE, summary

FEWEST_TRIALS = 3  # with fewer trials, no method is called better
SIGNIFICANCE = 0.05  # p-values below it count as a difference
Trials = Mapping[int | None, float]  # the metric of independent trials by seed, or a `BySeed`


class BySeed(dict[int | None, float]):
    """The metric of each trial, by its seed.

    Attributes:
        test_to_train: test images for each training image of a cross-validation, as for
            `statistics.summary`; 0 without one.
    """

    def __init__(self, values: Mapping[int | None, float], test_to_train: float = 0.0) -> None:
        super().__init__(values)
        self.test_to_train = test_to_train


class Difference(NamedTuple):
    """A mean difference over paired trials.

    Args:
        n: number of pairs.
        mean: mean difference; nan without pairs.
        half: half width of its 95% interval; None for fewer than two pairs, and where all pairs
            have the same difference, as these do not show how much others would differ.
        p: two-sided p-value of "there is no difference"; None for fewer than two pairs.
    """

    n: int
    mean: float
    half: float | None
    p: float | None

    @property
    def significant(self) -> bool:
        """Whether enough trials were tested, and the p-value is below the level."""
        return self.p is not None and self.n >= FEWEST_TRIALS and self.p < SIGNIFICANCE

    @property
    def is_clear_lead(self) -> bool:
        """Whether the first is significantly better than the second."""
        return self.significant and self.mean > 0

    def __str__(self) -> str:
        return f"{self.mean:+.4f}" + (f" ± {self.half:.4f}" if self.half else "")


def difference(values: Sequence[float], test_to_train: float = 0.0) -> Difference:
    """Test the mean of differences against 0 (Student's t).

    Accuracies on few test images take few values, so all differences may be equal by chance.
    Student's t then has no error to divide by, and the p-value is that of the sign-flip test: the
    share of all choices of signs whose mean is as far from 0, or farther.

    Args:
        values: the differences.
        test_to_train: as for `statistics.summary`; the test is then the corrected one.
    """
    from scipy.special import stdtr

    n = len(values)
    if n < 2:
        return Difference(n, values[0] if n else float("nan"), None, None)
    score = summary(values, test_to_train)
    assert score.std is not None
    error = score.std * (1 / n + test_to_train) ** 0.5 if test_to_train else score.std / n**0.5
    if error < NEGLIGIBLE:  # every pair has the same difference, except for rounding
        if abs(score.mean) < NEGLIGIBLE:
            return Difference(n, score.mean, 0.0, 1.0)
        return Difference(n, score.mean, None, 2.0 ** (1 - n))
    p = float(2 * stdtr(n - 1, -abs(score.mean) / error))
    return Difference(n, score.mean, score.ci95, p)


def paired_difference(ours: Trials, theirs: Trials) -> Difference:
    """Test `ours` minus `theirs` over the seeds that both have.

    Args:
        ours: seed -> value.
        theirs: seed -> value.
    """
    ratio = max(one.test_to_train if isinstance(one, BySeed) else 0.0 for one in (ours, theirs))
    return difference([ours[seed] - theirs[seed] for seed in ours if seed in theirs], ratio)


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for their number, in the order given.

    If each corrected value below 0.05 is called a finding, the chance of at least one false
    finding is at most 5%.

    Source: Holm, A simple sequentially rejective multiple test procedure, 1979.
    """
    corrected, least = [0.0] * len(p_values), 0.0
    rising = sorted(range(len(p_values)), key=lambda position: p_values[position])
    for rank, position in enumerate(rising):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[position]))
        corrected[position] = least
    return corrected


def holm_corrected(differences: Sequence[Difference]) -> list[Difference]:
    """Return the differences with Holm's p-values.

    Differences of fewer than FEWEST_TRIALS pairs get p = None and do not count as comparisons.
    """
    comparisons = [
        index
        for index, one in enumerate(differences)
        if one.p is not None and one.n >= FEWEST_TRIALS
    ]
    p_values = holm([differences[index].p or 0.0 for index in comparisons])
    by_index = dict(zip(comparisons, p_values, strict=True))
    return [one._replace(p=by_index.get(index)) for index, one in enumerate(differences)]


class AllPairs:
    """The tests of every pair within each of several groups, with one correction for all of them.

    The member with the highest mean may be ahead by chance. Tests of this member against the others
    alone would find a difference among equal members in more than 5% of cases, even if they were
    corrected for their own number. All pairs include the tests of every possible winner.

    Args:
        groups: for each group, seed -> value of each of its members.
    """

    def __init__(self, groups: Sequence[Sequence[Trials]]) -> None:
        self._groups = groups
        self._position: dict[tuple[int, int, int], int] = {}
        differences: list[Difference] = []
        for group, members in enumerate(groups):
            for first, second in combinations(range(len(members)), 2):
                self._position[group, first, second] = len(differences)
                differences.append(paired_difference(members[first], members[second]))
        self._differences = holm_corrected(differences)

    @property
    def comparisons(self) -> int:
        """The number of tests, of pairs with enough common trials."""
        return sum(one.p is not None for one in self._differences)

    def difference(self, first: int, second: int, group: int = 0) -> Difference:
        """Return one member of a group minus another, with the corrected p-value.

        The difference of a member to itself is 0, without an interval or a p-value.
        """
        if first == second:
            return Difference(len(self._groups[group][first]), 0.0, None, None)
        if first < second:
            return self._differences[self._position[group, first, second]]
        other = self._differences[self._position[group, second, first]]
        return other._replace(mean=-other.mean)


def comparable_means(members: Sequence[Trials]) -> list[float]:
    """Return the mean of each member as if all had the trials of the one with the most.

    A member with few trials may have had easy ones. Where it shares trials with the member that has
    the most (of equal ones that with the highest mean), its mean is estimated from the paired
    differences; otherwise it is its own.

    Args:
        members: seed -> value of each, at least one value each.
    """
    means = [sum(member.values()) / len(member) for member in members]
    most = max(range(len(members)), key=lambda one: (len(members[one]), means[one]), default=0)
    for index, member in enumerate(members):
        shared = paired_difference(member, members[most])
        if shared.n:
            means[index] = means[most] + shared.mean
    return means


def clear_winner(members: Sequence[Trials]) -> int | None:
    """Return the member that is significantly better than every other, or None.

    Args:
        members: seed -> value of each.
    """
    pairs, indices = AllPairs([members]), range(len(members))
    for one in indices:
        leads = [pairs.difference(one, other) for other in indices if other != one]
        if leads and all(lead.is_clear_lead for lead in leads):
            return one
    return None
