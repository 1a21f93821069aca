"""The page of the episodic regime: records by data set and shape of the tasks, or by study row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from fewshot.report import formatting
from fewshot.report.episodic import figures, groups, tables
from fewshot.report.episodic.groups import KINDS, Group, Pool
from fewshot.report.formatting import Cell, Table, number
from fewshot.report.plots.study_plots import Figure
from fewshot.report.studies.pages import Page, Section
from fewshot.runs.episodic.record import EpisodesRecord

MOST_SENTENCES = (
    4  # about single groups of tasks; of more groups, the headline table has a row each
)
NAME = "episodes"  # of the page and its files
TITLE = "Many N-way k-shot tasks"
INTRODUCTION = (
    "Each task has some classes (*ways*), some labelled images of each (*shots*), and other images "
    "of these classes, the queries. All methods of a table saw identical tasks. No table has "
    "results of the low-data regime, which `fewshot run` measures."
)


def page(sections: Sequence[Section], records: Sequence[EpisodesRecord], name: str = NAME) -> Page:
    """Return a page of these sections.

    Args:
        sections: what `of_records` or a study returned.
        records: all records of the page, which are counted.
        name: of its files.
    """
    tasks = sum(len(record.correct) for record in records)
    pools = groups.by_tasks(records)
    return Page(
        name=name,
        title=TITLE,
        introduction=INTRODUCTION,
        scale="",
        counts=f"{formatting.counted(len(records), 'result')} on "
        f"{formatting.counted(tasks, 'task')} in all",
        faults="",
        headline=headline(pools),
        findings=_findings(pools),
        figures=[],
        winners=[],
        compared=[],
        details="The tables",
        how=tables.HOW_TO_READ,
        sections=list(sections),
    )


def headline(pools: Mapping[Pool, Sequence[Group]]) -> Table | None:
    """Return the best method of each kind on each group of tasks, or None without a comparison."""
    rows = []
    for pool, some in pools.items():
        for group in some:
            names = groups.labels(group.records)
            for kind, places in _by_kind(group).items():
                best, second = places[:2]
                accuracy = group.records[best].accuracy
                lead = group.difference(best, second)
                rows.append(
                    [
                        Cell(pool.title),
                        Cell(groups.shape(group.tasks)),
                        Cell(kind),
                        Cell(names[best]),
                        Cell(accuracy.text(), accuracy.mean),
                        number(group.n_tasks, ",d"),
                        Cell(names[second]),
                        Cell(tables.points(lead), lead.mean),
                        Cell("yes" if best in group.winners else "no"),
                    ]
                )
    if not rows:
        return None
    columns = ["images", "tasks", "kind", "best method", "accuracy ± 95%", "number of tasks"]
    columns += ["second", "lead", "better than all others"]
    caption = (
        "The best method of each kind on identical tasks, and its lead in percentage points. "
        "Better than all others: paired t-tests of all pairs of methods on these tasks (Holm, 5%)"
    )
    return Table(caption, columns, rows, [])


def _by_kind(group: Group) -> dict[str, list[int]]:
    """Return the positions of the methods of each kind that has several, the best first."""
    kinds = {
        kind: [
            place
            for place, record in enumerate(group.records)
            if record.transductive == transductive
        ]
        for transductive, kind in KINDS.items()
    }
    return {kind: places for kind, places in kinds.items() if len(places) > 1}


def _findings(pools: Mapping[Pool, Sequence[Group]]) -> list[str]:
    """Return a sentence on each group of tasks; on many, how often the best method is certain."""
    sentences = [
        sentence
        for pool, some in pools.items()
        for group in some
        for sentence in best_of(pool, group)
    ]
    if len(sentences) <= MOST_SENTENCES:
        return sentences
    certain = [
        places[0] in group.winners
        for some in pools.values()
        for group in some
        for places in _by_kind(group).values()
    ]
    return [
        f"In {sum(certain)} of {formatting.counted(len(certain), 'comparison')} the best method is "
        "significantly better than all others of its kind; the table names it for each kind of "
        "tasks."
    ]


def of_records(records: Iterable[EpisodesRecord]) -> list[Section]:
    """Return a section for each data set and part of its classes."""
    by_name: dict[str, Section] = {}
    for pool, some in groups.by_tasks(records).items():
        name = pool.data if pool.split is None else f"{pool.data}-{pool.part}"
        if name in by_name:
            name = f"{name}-{len(by_name) + 1}"
        by_name[name] = section(
            name, pool.of_classes, "", tables_of(some), figures.of_pool(pool, some)
        )
    return list(by_name.values())


def section(
    name: str,
    title: str,
    question: str,
    shown: list[Table],
    drawn: list[Figure],
    absent: Sequence[str] = (),
    remarks: Sequence[tuple[str, str]] = (),
) -> Section:
    """Return a section without findings; those of the page name the best methods."""
    return Section(name, title, question, [], shown, list(absent), list(remarks), drawn)


def tables_of(some: Sequence[Group], pool: Pool | None = None) -> list[Table]:
    """Return the tables of one pool: accuracy, paired differences, and changes with the queries.

    Args:
        some: the groups of the pool.
        pool: the images, for captions of tables that stand among those of other images.
    """
    result = tables_of_groups(some, pool)
    for balanced, other, rows in tables.changes(some):
        result.append(tables.change(balanced, other, rows, pool))
    return result


def tables_of_groups(some: Sequence[Group], pool: Pool | None = None) -> list[Table]:
    """Return the tables of accuracy and of paired differences of one pool; see `tables_of`."""
    result = []
    for group in some:
        result.append(tables.accuracy(group, pool))
        differences = tables.differences(group, pool)
        if differences is not None:
            result.append(differences)
    return result


def best_of(pool: Pool, group: Group) -> list[str]:
    """Return a sentence about the best inductive and the best transductive method of a group."""
    names = groups.labels(group.records)
    parts = []
    for kind, places in _by_kind(group).items():
        best = places[0]
        lead = "" if best in group.winners else ", not significantly better than all others"
        accuracy = group.records[best].accuracy.text()
        parts.append(f"{names[best]} {accuracy} (best of {len(places)} {kind} methods{lead})")
    if not parts:
        return []
    return [f"{pool.title}, {groups.shape(group.tasks)}: {formatting.joined(parts)}."]
