"""What `fewshot episodes` prints: a short table for each shape of the tasks."""

from __future__ import annotations

from collections.abc import Iterable

from fewshot.report import formatting
from fewshot.report.episodic import groups, tables
from fewshot.report.episodic.groups import Group
from fewshot.report.formatting import Cell
from fewshot.runs.episodic.record import EpisodesRecord

ACCURACY, APART = "accuracy ± 95%", "without replacement ± 95%"
HOW_TO_READ = (
    "Accuracy in percent, mean over tasks ± half of its 95% interval for other tasks of the same "
    "images."
)
OF_APART = (
    " Without replacement: over n tasks of which no two have an image in common; its interval is "
    "for other images, too."
)
OF_PAIRS = (
    " Differences to the best method are paired over identical tasks, in percentage points, with "
    "p-values corrected for all pairs."
)
OF_BOLD = (
    " Bold: better than every other method of its kind, inductive or transductive (5%); no method "
    "is bold where the tasks cannot show that."
)


def text(records: Iterable[EpisodesRecord]) -> str:
    """Return the tables of records and how to read them, in Markdown without escapes."""
    pools = groups.by_tasks(records)
    parts = [_table(group, pool.title) for pool, some in pools.items() for group in some]
    everything = [group for some in pools.values() for group in some]
    how = HOW_TO_READ
    if any(record.without_replacement for group in everything for record in group.records):
        how += OF_APART
    if any(len(group.records) > 1 for group in everything):
        how += OF_PAIRS
    if any(group.winners for group in everything):
        how += OF_BOLD
    return "\n\n".join([*parts, how])


def _table(group: Group, pool: str) -> str:
    """Return the caption, the rows and the remarks of the methods on identical tasks."""
    table = tables.accuracy(group)
    names = groups.labels(group.records)
    rows = []
    for position, (record, name) in enumerate(zip(group.records, names, strict=True)):
        row = {
            "method": Cell(name, bold=position in group.winners),
            "kind": Cell(groups.KINDS[record.transductive]),
            ACCURACY: Cell(record.accuracy.text()),
            APART: _apart(record),
        }
        if len(group.records) > 1:
            row |= _to_the_best(group, position)
        row["seconds"] = Cell(f"{record.cost.evaluation_seconds:.1f}")
        rows.append(row)
    columns = [name for name in rows[0] if any(row[name].text for row in rows)]
    lines = [[_text(row[name]) for name in columns] for row in rows]
    notes = [f"- {subject}: {note}" for subject, note in table.notes]
    body = [f"{pool}: {tables.caption(group)}", formatting.markdown_table(columns, lines)]
    return "\n\n".join(part.rstrip("\n") for part in [*body, "\n".join(notes)] if part)


def _text(cell: Cell) -> str:
    return f"**{cell.text}**" if cell.bold else cell.text


def _apart(record: EpisodesRecord) -> Cell:
    score = record.without_replacement
    return Cell() if score is None else Cell(f"{score.text()} (n = {score.n})")


def _to_the_best(group: Group, position: int) -> dict[str, Cell]:
    if not position:
        return {"minus the best": Cell(), "p": Cell()}
    difference = group.difference(position, 0)
    p = Cell() if difference.p is None else tables.p_cell(difference.p)
    return {"minus the best": Cell(tables.points(difference)), "p": p}
