"""Write the tables, sentences and figures of reports/episodes.md from reports/records/episodes.

python -m scripts.episodes           # write them
python -m scripts.episodes --check   # exit with an error if one is stale; figures are not compared

`fewshot sweep configs/studies/episodes` and `fewshot episodes` measure the records. A sentence that
states an order is written from the records, so it cannot contradict them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from fewshot import io
from fewshot.report import formatting
from fewshot.report.episodic import figures, groups, page, tables
from fewshot.report.episodic.groups import KINDS, Group
from fewshot.report.episodic.tables import Change
from fewshot.report.formatting import Table
from fewshot.runs.episodic import record
from fewshot.runs.episodic.record import EpisodesRecord
from scripts import episode_speed, episodes_reported, pages
from scripts.episodes_reported import NOT_MEASURED
from scripts.pages import RECORDS, ROOT

PAGE = ROOT / "reports" / "episodes.md"
FIGURES = ROOT / "reports" / "figures" / "episodes"
FOLDER = RECORDS / "episodes"
FINDERS = "Veilleux et al. (arXiv 2204.11181)"
FALLS_MOST = "pt-map"  # of the methods of their table 1
MADE_FOR_IT = "alpha-tim"  # theirs; the table has no balanced accuracy of it


def read(topic: str) -> list[EpisodesRecord]:
    """Return the published records of a topic; none if it was not measured."""
    folder = FOLDER / topic
    return [one for _, one in record.load([folder])] if folder.is_dir() else []


def shown(some: Iterable[Table]) -> str:
    """Return tables in Markdown, each below its caption."""
    parts = []
    for table in some:
        rows = [[formatting.markdown_cell(cell) for cell in row] for row in table.rows]
        parts += [f"**{formatting.escaped(table.caption)}**"]
        parts += [formatting.markdown_table(table.columns, rows)]
        if table.notes:
            notes = (f"- {formatting.escaped(f'{name}: {note}')}" for name, note in table.notes)
            parts.append("\n".join(notes))
    return "\n\n".join(parts) or NOT_MEASURED


def by_network(records: Sequence[EpisodesRecord]) -> str:
    """Return the accuracy of every method by network and shots, balanced tasks only.

    A number over fewer tasks than the others says so.
    """
    cells: dict[str, dict[tuple[str, int], EpisodesRecord]] = {}
    for one in records:
        if one.tasks.balance == "balanced":
            cells.setdefault(one.name, {})[one.backbone, one.tasks.shots] = one
    if not cells:
        return NOT_MEASURED
    keys = sorted({key for by_key in cells.values() for key in by_key})
    most = max(one.accuracy.n for by_key in cells.values() for one in by_key.values())

    def text(one: EpisodesRecord | None) -> str:
        if one is None:
            return ""
        n = one.accuracy.n
        return one.accuracy.text() + (f" ({n:,} tasks)" if n < most else "")

    rows = []
    for name, by_key in cells.items():
        texts = [text(by_key.get(key)) for key in keys]
        rows.append([name, KINDS[next(iter(by_key.values())).transductive], *texts])
    rows.sort(key=lambda row: row[2:], reverse=True)
    columns = [f"{network}, {shots}-shot" for network, shots in keys]
    table = formatting.markdown_table(["method", "kind", *columns], rows)
    return (
        f"{table}\n\nOn {most:,} tasks where no other number is stated. No row is bold here; the "
        "tables at the end of the section have the paired differences."
    )


def cross_domain() -> str:
    """Return one table per data set: each method at each shape and balance of the tasks."""
    parts = []
    for pool, some in groups.by_tasks(read("cross-domain")).items():
        cells: dict[str, dict[int, EpisodesRecord]] = {}
        for place, group in enumerate(some):
            for one, name in zip(group.records, groups.labels(group.records), strict=True):
                cells.setdefault(name, {})[place] = one
        rows = []
        for name, by_place in cells.items():
            texts = [_cell(some[place], by_place.get(place)) for place in range(len(some))]
            rows.append([name, KINDS[next(iter(by_place.values())).transductive], *texts])
        rows.sort(key=lambda row: row[2].strip("*"), reverse=True)
        columns = [f"{group.tasks.shots}-shot, {group.tasks.balance}" for group in some]
        notes = {note for group in some for one in group.records for note in one.data_notes}
        networks = {groups.network(one) for group in some for one in group.records}
        head = f"**{pool.title}: {some[0].tasks.ways}-way, {some[0].n_tasks:,} tasks; "
        parts.append(f"{head}{formatting.joined(sorted(networks))}**")
        parts.append(formatting.markdown_table(["method", "kind", *columns], rows))
        parts += [f"- data: {note}" for note in sorted(notes)]
    return "\n\n".join(parts) or NOT_MEASURED


def _cell(group: Group, one: EpisodesRecord | None) -> str:
    if one is None:
        return ""
    text = one.accuracy.text()
    return f"**{text}**" if group.records.index(one) in group.winners else text


def changes() -> str:
    """Return the change with Dirichlet queries by method, below a sentence on the extremes."""
    parts = []
    for pool, some in groups.by_tasks(read("cross-domain")).items():
        for balanced, other, rows in tables.changes(some):
            parts.append(f"{pool.title}, {balanced.tasks.shots}-shot: {extremes(rows)}")
            parts.append(shown([tables.change(balanced, other, rows, pool)]))
    return "\n\n".join(parts) or NOT_MEASURED


def extremes(rows: Sequence[Change]) -> str:
    """Return which transductive methods fall most and least, beside what Veilleux et al. found.

    TIM with the weights of its own paper is named apart, because they take others.
    """
    others = [row for row in rows if row.transductive and not has_weights_for_balance(row)]
    if len(others) < 2:
        return "there is no second transductive method to compare."
    most, least = others[0], others[-1]
    verb = "least" if least.difference.mean < 0 else "not at all"
    falls = f"{tables.points(most.difference)} points{_open(most, others, 'more')}"
    falls_least = f"{tables.points(least.difference)}{_open(least, others, 'less')}"
    left_out = any(map(has_weights_for_balance, rows))
    without = ", not counting TIM with the weights of its own paper" if left_out else ""
    sentence = (
        f"of {len(others)} transductive methods{without}, {most.label} falls most ({falls}), and "
        f"{least.label} falls {verb} ({falls_least}). {FINDERS} found that {FALLS_MOST} falls most"
    )
    sentence += ", too." if most.other.method == FALLS_MOST else "."
    for row in rows:
        if row.other.method == MADE_FOR_IT and row is not least:
            text = tables.points(row.difference)
            sentence += f" Their {row.label}, made for such queries, changes by {text}."
        if has_weights_for_balance(row):
            text = tables.points(row.difference)
            sentence += (
                f" TIM with the weights of its own paper, for balanced queries, changes by {text}"
            )
            sentence += ", the largest fall of the table." if row is rows[0] else "."
    return sentence


def has_weights_for_balance(row: Change) -> bool:
    """Return whether a row is TIM with a light weight of the mean entropy, as in its own paper."""
    head = row.other.config.get("head") or {}
    return row.other.method == "tim" and head.get("conditional_weight", 1.0) < 1.0


def _open(one: Change, some: Sequence[Change], words: str) -> str:
    """Return whether one method falls significantly more, or less, than all others."""
    others = [row for row in some if row is not one]
    alike = [
        other.label
        for other, difference in zip(others, tables.beyond(one, others), strict=True)
        if not difference.significant
    ]
    if not alike:
        return f", significantly {words} than all others"
    return f", not significantly {words} than {formatting.joined(alike)}"


def details(topic: str) -> str:
    """Return the full tables of a topic: accuracy, cost and paired differences."""
    parts = [
        table
        for pool, some in groups.by_tasks(read(topic)).items()
        for table in page.tables_of_groups(some, pool)
    ]
    return shown(parts)


def drawn(topic: str) -> str:
    """Write the figures of a topic, unless pages are only checked, and return their links."""
    links = []
    for pool, some in groups.by_tasks(read(topic)).items():
        for figure in figures.of_pool(pool, some):
            name = f"{topic}-{figure.name}"
            if "--check" not in sys.argv:
                io.make_folder(FIGURES)
                figure.save(FIGURES / name)
            links.append(f"![{figure.alt}](figures/episodes/{name}.svg)")
    return "\n\n".join(links) or NOT_MEASURED


def contents() -> dict[str, str]:
    """Return every generated part of the page by its mark."""
    characters, tinyimagenet = read("omniglot"), read("tinyimagenet")
    return {
        "omniglot": episodes_reported.omniglot(characters),
        "omniglot-sentence": episodes_reported.below_the_anchor(characters),
        "tinyimagenet": by_network(tinyimagenet),
        "tinyimagenet-order": episodes_reported.order(tinyimagenet),
        "tinyimagenet-details": details("tinyimagenet"),
        "tinyimagenet-figures": drawn("tinyimagenet"),
        "cross-domain": cross_domain(),
        "cross-domain-changes": changes(),
        "cross-domain-figures": drawn("cross-domain"),
        "cross-domain-details": details("cross-domain"),
        "speed": episode_speed.table(),
    }


if __name__ == "__main__":
    pages.update([PAGE], contents, "scripts.episodes")
