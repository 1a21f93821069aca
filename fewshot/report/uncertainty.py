"""Captions, cautions and the interval with test images, for tables of accuracies."""

from __future__ import annotations

from collections.abc import Sequence

from fewshot.evaluation.paired_tests import clear_winner
from fewshot.runs.doubtful_scores import FEW_IMAGES
from fewshot.runs.run_record import RunRecord

# What a caption says; docs/concepts.md, "Two intervals", defines both.
HOW_INTERVALS = (
    "Accuracy: mean ± half of its 95% interval over n trials, on these test images. With test "
    "images: the 95% interval that also counts them as a sample."
)
HOW_BOLD = (
    "Bold: better than every other row of the table (paired t-tests of all pairs, Holm, 5%); no "
    "row is bold where the trials cannot show that."
)
MORE_THAN_EQUAL = 1.1  # times the share of equal classes, from which the largest one is mentioned
OF_FOLDS = (
    "± is half of the 95% interval over other training and test images, corrected for the images "
    "that the trials of a cross-validation share (Nadeau and Bengio, 2003)"
)
UNCERTAIN_TRIALS = 5  # with fewer, an interval or a standard deviation is itself uncertain


def with_test_images(record: RunRecord) -> str:
    """Return the 95% interval of the accuracy over trials and test images: "0.6869 to 0.7071"."""
    return record.scores["accuracy"].with_test_images(record.n_test).text()


def winner(rows: Sequence[RunRecord]) -> int | None:
    """Return the record that is better than every other, or None: also if test images are few."""
    if any(record.n_test < FEW_IMAGES for record in rows):
        return None
    return clear_winner([record.by_seed() for record in rows])


def baseline(record: RunRecord) -> str:
    """Return the accuracy of the answer that is right most often: "0.9500 (normal)".

    It is empty where the classes have about as many test images as each other.
    """
    answer = record.baseline
    if answer is None or not record.unequal_test:
        return ""
    if answer.accuracy < MORE_THAN_EQUAL * answer.chance:
        return ""
    return f"{answer.accuracy:.4f} ({answer.name})"


def cautions(rows: Sequence[RunRecord]) -> list[str]:
    """Return cautions about the intervals of records with few trials.

    A record whose trials cannot differ needs no caution for having one trial.
    """
    differing = [row for row in rows if not row.has_one_trial]
    numbers = [len(record.seeds) for record in differing]
    sentences = []
    if 1 in numbers:
        sentences.append(
            "a single trial has no ±, and its interval with test images leaves out how much other "
            "trials would differ"
        )
    if any(1 < n < UNCERTAIN_TRIALS for n in numbers):
        sentences.append("with fewer than five trials, the interval is itself uncertain")
    return sentences
