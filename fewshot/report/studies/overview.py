"""What a page of studies begins with: questions about all of them, answered by their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple

from fewshot.report import formatting
from fewshot.report.formatting import Cell, Table, counted, number
from fewshot.report.plots import overview_plots
from fewshot.report.plots.overview_plots import Point, Span
from fewshot.report.plots.study_plots import Figure
from fewshot.report.studies import answer, contests, reported, results
from fewshot.report.studies.contests import KINDS, Contest, Standing
from fewshot.report.studies.pages import Overview, Question
from fewshot.report.studies.reported import Stated
from fewshot.report.studies.results import CellResult, RowResult, Study
from fewshot.runs import records
from fewshot.runs.run_record import RunRecord

ALL = "overview"  # the folder of the figures about several studies
# Folders beside those of the studies, whose runs compete in the answer
OTHER_RECORDS = ("accurate", "fulldata", "learners", "main", "names")
FEWEST_SETTINGS = 3  # of a row in the figure of settings
NEAR = 0.01  # an accuracy so near to the best is worth its lower cost

AT_SCALE = "the report's kind of network at scale {}"
STAND_IN = "another network in its place"
NETWORKS = (AT_SCALE.format("full"), AT_SCALE.format("small"), STAND_IN)
SAYS_LITTLE = (
    "Scale small uses fewer images, fewer epochs or smaller networks than the report, so a number "
    "that was not reached there says little."
)


class Spread(NamedTuple):
    """The settings of a row that were measured with the same labels, the worst first."""

    study: str
    row: RowResult
    budget: str
    cells: list[CellResult]

    @property
    def width(self) -> float:
        return self.cells[-1].mean - self.cells[0].mean

    @property
    def name(self) -> str:
        return f"{self.row.name}, {self.row.title}"


def of(studies: Sequence[Study], results_folder: Path) -> Overview | None:
    """Return the questions and answers of studies, or None at scale smoke and without numbers.

    Args:
        studies: those of the page.
        results_folder: the folder of their results; runs in its folders of
            OTHER_RECORDS compete too.
    """
    studies = [study for study in studies if not study.explains]
    if not studies or any(study.smoke for study in studies):
        return None
    others = other_records(results_folder)
    questions = [
        answer.question(studies, others),
        _reported(studies),
        _settings(studies),
        _cost(contests.contests(contests.entries(studies, others))),
    ]
    answered = [one for one in questions if one is not None]
    name = ALL if len(studies) > 1 else studies[0].name
    return Overview(name, answered) if answered else None


def other_records(results_folder: Path) -> dict[str, list[RunRecord]]:
    """Return the records that lie beside the results of studies, by folder."""
    folders = [results_folder / name for name in OTHER_RECORDS]
    return {
        folder.name: [record for _, record in records.load([folder])]
        for folder in folders
        if folder.is_dir()
    }


def _reported(studies: Sequence[Study]) -> Question | None:
    """Return whether the numbers of several reports were reached; a study has its own figure."""
    every = [
        (study, one)
        for study in studies
        for one in reported.stated(study)
        if one.metric == "accuracy"
    ]
    if len(studies) < 2 or len(every) < 2:
        return None
    points, rows = [], []
    for study, one in every:
        mean, label = one.lowest.cell.mean, f"{one.row} {one.lowest.label}"
        points.append(Point(label, 100 * one.number, 100 * mean, _network(one)))
        numbers = [number(100 * value, ".2f") for value in (one.number, mean)]
        rows.append([Cell(study.name), Cell(label), *numbers, Cell(one.scale), Cell(one.stand_in)])
    points.sort(key=lambda point: NETWORKS.index(point.kind))
    kinds = list(dict.fromkeys(point.kind for point in points))
    sentences = [_reached([one for _, one in every], kind) for kind in kinds]
    if NETWORKS[1] in kinds:
        sentences.append(SAYS_LITTLE)
    above = sum(point.y > point.x for point in points)
    alt = (
        f"{len(points)} reported test accuracies on the horizontal axis, and the measured ones on "
        f"the vertical axis; {above} are above the diagonal, where measured and reported are equal."
    )
    columns = ["study", "setting", "reported", "measured", "scale", "stand-in"]
    axes = ("reported accuracy, %", "measured accuracy, %")
    return Question(
        name="reported",
        title="Are the accuracies of the reports reached?",
        sentences=sentences,
        table=None,
        figure=Figure(
            "reported",
            "Measured against reported test accuracy",
            alt,
            Table("accuracy in percent", columns, rows, []),
            partial(overview_plots.scatter, points, axes, True),
        ),
    )


def _network(one: Stated) -> str:
    return STAND_IN if one.stand_in else AT_SCALE.format(one.scale)


def _reached(every: Sequence[Stated], kind: str) -> str:
    """Return how many test accuracies were exceeded with one kind of network."""
    some = [one for one in every if _network(one) == kind]
    above = [one for one in some if one.exceeded]
    sure = sum(one.lowest.sure for one in above)
    many = f"{len(above) or 'none'} of {len(some)}"
    noun, verb = "accuracies", "is" if len(above) == 1 else "are"
    if len(some) == 1:
        many, noun, verb = "the one", "accuracy", "is" if above else "is not"
    by_more = f" ({sure} by more than the interval over trials)" if above else ""
    return f"With {kind}, {many} reported test {noun} {verb} exceeded{by_more}."


def spreads(studies: Sequence[Study]) -> list[Spread]:
    """Return for each row its largest group of settings with the same labels, the widest first."""
    result = []
    for study in studies:
        for row in study.rows:
            groups = results.groups(row.cells)
            if not groups:
                continue
            group, cells = max(groups.items(), key=lambda one: len(one[1]))
            if len(cells) >= FEWEST_SETTINGS:
                ordered = sorted(cells, key=lambda cell: cell.mean)
                result.append(Spread(study.name, row, group.budget, ordered))
    return sorted(result, key=lambda one: -one.width)


def _settings(studies: Sequence[Study]) -> Question | None:
    """Return how much the settings of one method matter."""
    every = spreads(studies)
    if not every:
        return None
    widest, middle = every[0], median(one.width for one in every)
    worst, best = widest.cells[0], widest.cells[-1]
    sentences = [
        f"In {counted(len(every), 'row')} with at least {FEWEST_SETTINGS} settings and equal "
        f"labels, the best setting is {every[-1].width:.4f} to {widest.width:.4f} above the worst "
        f"(median {middle:.4f}).",
        f"The widest range is that of {widest.name}, with {widest.budget}: from {worst.mean:.4f} "
        f'("{worst.shown}") to {best.mean:.4f} ("{best.shown}").',
        "Part of each range is chance, since few trials were run, and a row with more settings "
        "has a wider range by chance alone.",
    ]
    spans = [Span(one.name, [100 * cell.mean for cell in one.cells]) for one in every]
    rows = [
        [
            Cell(one.name),
            Cell(one.budget),
            number(len(one.cells), "d"),
            number(100 * one.cells[0].mean, ".2f"),
            Cell(one.cells[0].shown),
            number(100 * one.cells[-1].mean, ".2f"),
            Cell(one.cells[-1].shown),
        ]
        for one in every
    ]
    columns = ["row", "labels", "settings", "lowest", "with", "highest", "with"]
    alt = (
        f"A line for each of {counted(len(every), 'row')}, from its worst to its best setting, "
        "with a mark for each setting."
    )
    table = Table("accuracy in percent", columns, rows, [])
    title = "Accuracy of each setting, row by row"
    figure = Figure("settings", title, alt, table, partial(overview_plots.spans, spans))
    return Question("settings", "How much do settings matter?", sentences, None, figure)


def _cost(every: Sequence[Contest]) -> Question | None:
    """Return what accuracy costs at the number of labels with the most trials of systems."""
    contest = max(every, key=lambda one: one.n_trials, default=None)
    if contest is None or len(contest.standings) < FEWEST_SETTINGS:
        return None
    timed = [one for one in contest.standings if _seconds(one) > 0]
    if len(timed) < FEWEST_SETTINGS:
        return None
    best = timed[0]
    near = [one for one in timed if one.mean >= best.mean - NEAR]
    cheapest = min(near, key=_seconds)
    slowest = max(timed, key=_seconds)
    sentences = [
        f"With {counted(contest.labels, 'label')} per class of {contest.data}, {_priced(best)} is "
        f"the best of {len(timed)} systems, with an accuracy of {best.mean:.4f}."
    ]
    if cheapest is not best:
        sentences.append(
            f"{formatting.sentence_case(_priced(cheapest))} is the cheapest within {NEAR:g} of it, "
            f"with {cheapest.mean:.4f}."
        )
    sentences.append(
        f"The most expensive is {_priced(slowest)}, with {slowest.mean:.4f}. Seconds are those of "
        "the machines and versions that ran each system, without the frozen features, which are "
        "computed once for all trials and methods; only large ratios count."
    )
    points = [Point(one.entry.name, _seconds(one), 100 * one.mean, one.entry.kind) for one in timed]
    points.sort(key=lambda point: KINDS.index(point.kind))
    rows = [
        [Cell(point.label), Cell(point.kind), number(point.x, ",.3f"), number(point.y, ".2f")]
        for point in points
    ]
    columns = ["system", "kind of method", "seconds per trial", "accuracy"]
    alt = (
        f"{len(points)} systems: seconds per trial on a logarithmic axis, and accuracy, with "
        f"{counted(contest.labels, 'label')} per class."
    )
    axes = ("seconds per trial", "accuracy, %")
    return Question(
        name="cost",
        title="What does accuracy cost?",
        sentences=sentences,
        table=None,
        figure=Figure(
            "cost",
            f"Accuracy against seconds, {counted(contest.labels, 'label')} per class",
            alt,
            Table("accuracy in percent", columns, rows, []),
            partial(overview_plots.scatter, points, axes, False),
        ),
    )


def _seconds(standing: Standing) -> float:
    """Return the seconds per trial; 0 if its record does not separate them from the features."""
    return standing.entry.record.cost.seconds or 0.0


def _priced(standing: Standing) -> str:
    seconds = _seconds(standing)
    digits = ",.0f" if seconds >= 10 else ".2g"
    return f"{standing.entry.name} ({seconds:{digits}} seconds per trial)"
