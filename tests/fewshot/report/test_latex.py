"""LaTeX tables, read back by a parser of the tests, and compiled by a TeX engine."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from fewshot.report import latex
from fewshot.report.formatting import Cell, Table
from tests.fewshot.report import latex_reading

REPORTS = Path(__file__).parents[3] / "reports"
AWKWARD = (
    "-0.5 ± 1% a_b",
    "[flip crop], 50% & more",
    "* a star",
    "--threads 2 #1 $x$ ~/runs C:\\runs {a} x^2",
    'a "quoted" word < 3 > 2 | 1',
    "caf\u00e9, 3 \u00d7 3, \u03bb = 0.1, 20 \u00b0, 1 \u2013 2, \u2018x\u2019 \u201cy\u201d",
    "\u2026 \u2264 \u2265 \u2192",
)


def table(n_columns: int, n_rows: int, words: int = 3) -> Table:
    """Return a table: settings of some words, means with intervals, numbers, and runs."""
    chance = random.Random(n_columns)
    rows = []
    for row in range(n_rows):
        cells = [Cell(" ".join(f"setting{row}" for _ in range(words)))]
        for column in range(n_columns - 2):
            value = chance.random()
            text = f"{value:.4f} ± 0.0123" if column % 2 else f"{value:.4f}"
            cells.append(Cell(text, value, bold=row == column == 0))
        rows.append([*cells, Cell(f"{row:012x}")])
    names = ["setting", *(f"measure {column}" for column in range(n_columns - 2)), "run"]
    return Table("caption", names, rows, [("data", "re-encoded, 75% quality")])


def test_special_characters_are_escaped() -> None:
    assert latex.escaped("-0.5 ± 1% a_b") == r"$-$0.5 $\pm$ 1\% a\_b"
    assert latex.escaped("--a 1\u20132") == "-{}-a 1--2"


def test_a_small_table_is_written_as_one_would_by_hand() -> None:
    small = Table("", ["a", "b"], [[Cell("x"), Cell("0.5", 0.5, bold=True)]], [("n", "5%")])
    assert latex.table(small, "50% more", "tab:x", "short").splitlines() == [
        "% n: 5%",
        r"\begin{table}[htbp]",
        r"\setlength{\belowcaptionskip}{6pt}",
        r"\centering",
        r"\caption[{short}]{50\% more}",
        r"\label{tab:x}",
        r"\small\setlength{\tabcolsep}{4pt}",
        r"\begin{tabular}{lr}",
        r"\toprule",
        r"a & b \\",
        r"\midrule",
        r"x & \textbf{0.5} \\",
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]


@pytest.mark.parametrize(("columns", "rows"), [(3, 2), (6, 70), (12, 4), (14, 72), (40, 3)])
def test_every_cell_is_written_once_and_each_block_names_its_rows(columns: int, rows: int) -> None:
    ours = table(columns, rows)
    text = latex.table(ours, "caption", "tab:x")
    read = latex_reading.blocks(text)
    names = [name for block in read for name in block.headings[1:]]
    assert names == ours.columns[1:-1]
    for block in read:
        assert block.headings[0] == "setting"
        assert len(block.rows) == rows
        assert {len(cells) for cells in (block.headings, *block.rows)} == {block.columns}
    for number, row in enumerate(ours.rows):
        cells = [cell for block in read for cell in block.rows[number][1:]]
        assert [re.sub(r"\\textbf\{(.*)\}", r"\1", cell) for cell in cells] == [
            cell.text.replace("±", r"$\pm$") for cell in row[1:-1]
        ]
        assert f"% run {number:012x}\n" in text
    assert text.count(r"\caption") == 1
    assert text.count(r"\label{tab:x}") == 1


@pytest.mark.slow
def test_a_tex_engine_sets_every_table_within_the_page(tmp_path: Path) -> None:
    awkward = Table("", ["setting", "n"], [[Cell(one), Cell("1", 1)] for one in AWKWARD], [])
    shapes = ((3, 2), (6, 70), (9, 30), (12, 4), (14, 72), (20, 12))
    tables = [table(*shape, words) for shape in shapes for words in (1, 3, 9)]
    text = "\n\n".join(
        latex.table(one, f"{one.columns}, {AWKWARD[0]}", f"tab:{number}", AWKWARD[1])
        for number, one in enumerate([awkward, *tables])
    )
    output = latex_reading.compile_document(r"\listoftables" + "\n" + text, tmp_path)
    assert "Float too large" not in output
    tables_too_wide = re.findall(r"Overfull \\hbox \((\d+)\..* in (?:alignment|paragraph)", output)
    assert [int(points) for points in tables_too_wide if int(points) > 5] == []


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(REPORTS.glob("*.tex")), ids=lambda path: path.stem)
def test_a_tex_engine_sets_the_published_tables(path: Path, tmp_path: Path) -> None:
    output = latex_reading.compile_document(path.read_text(encoding="utf-8"), tmp_path)
    assert "Float too large" not in output
    assert not re.search(r"Overfull \\hbox \((\d\d+)\.", output)
