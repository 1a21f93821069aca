"""The layout of LaTeX tables against widths that are counted here by hand."""

from __future__ import annotations

from fewshot.report import latex_layout
from fewshot.report.formatting import Cell, Table


def table(columns: int, rows: int, setting: str = "x") -> Table:
    """Return a table of a setting and numbers with six letters each."""
    numbers = [Cell("0.1234", 0.1234) for _ in range(columns - 1)]
    names = ["setting", *(f"score {column}" for column in range(columns - 1))]
    return Table("", names, [[Cell(setting), *numbers] for _ in range(rows)], [])


def test_a_small_table_is_upright_in_one_block() -> None:
    layout = latex_layout.layout(table(3, 4), "caption")
    assert (layout.size, layout.sideways, layout.long) == ("small", False, False)
    (block,) = layout.blocks
    assert block.columns == [0, 1, 2]
    assert block.types == ["l", "r", "r"]
    assert block.height == 11 * (4 + 2)  # rows, the heading, and the rules


def test_a_high_table_continues_on_the_next_page() -> None:
    layout = latex_layout.layout(table(3, 60), "caption")
    assert (layout.sideways, layout.long, len(layout.blocks)) == (False, True, 1)


def test_columns_beyond_the_page_are_in_a_second_block() -> None:
    layout = latex_layout.layout(table(14, 3), "caption")
    assert [block.columns[0] for block in layout.blocks] == [0] * len(layout.blocks)
    assert len(layout.blocks) == 2
    assert [one for block in layout.blocks for one in block.columns[1:]] == list(range(1, 14))
    for block in layout.blocks:  # 7 letters each at least, of 4.15 points in the smallest size
        assert len(block.columns) * (7 * 4.15 + 8) < 345


def test_a_long_text_continues_on_further_lines_of_its_column() -> None:
    layout = latex_layout.layout(table(4, 2, setting="word " * 30), "caption")
    (block,) = layout.blocks
    assert block.types[0].startswith(r">{\raggedright\arraybackslash}p{")
    share = float(block.types[0].split("p{")[1].split("\\")[0])
    assert 345 * share + 4 * 8 + 3 * 7 * 4.15 < 345


def test_every_block_has_all_texts_that_name_its_rows() -> None:
    numbers = [Cell("0.1234", 0.1234) for _ in range(14)]
    row = [Cell("E1"), Cell("a system of many words " * 3), Cell("a setting"), *numbers]
    columns = ["row", "system", "setting", *(f"score {column}" for column in range(14))]
    layout = latex_layout.layout(Table("", columns, [row] * 3, []), "caption")
    assert len(layout.blocks) > 1
    assert [block.columns[:3] for block in layout.blocks] == [[0, 1, 2]] * len(layout.blocks)


def test_a_word_is_not_broken() -> None:
    layout = latex_layout.layout(table(2, 1, setting="w" * 200), "caption")
    assert layout.sideways
    assert layout.blocks[0].types == ["l", "r"]


def test_headings_are_not_wider_than_numbers_and_means_are_on_the_left() -> None:
    rows = [[Cell("a"), Cell("0.5 ± 0.1", 0.5), Cell("7", 7)]]
    ours = Table("", ["setting", "validation, reported", "seconds per trial"], rows, [])
    assert latex_layout.heading(ours, 1) == ["validation,", "reported"]
    assert latex_layout.heading(ours, 2) == ["seconds", "per trial"]
    assert [latex_layout.side(ours, column) for column in range(3)] == ["l", "l", "r"]
