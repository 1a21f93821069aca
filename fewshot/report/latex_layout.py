"""Choose how a table fits a LaTeX page: size of letters, widths, blocks of columns, orientation."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from typing import NamedTuple

from fewshot.report.formatting import Cell, Table

LINEWIDTH, TEXTHEIGHT = 345.0, 550.0  # points: a page of the class article at 10 points
# Points of a letter and of a line, for each size. Digits are wider than most letters.
SIZES = {"small": (4.85, 11.0), "footnotesize": (4.4, 9.5), "scriptsize": (4.15, 8.5)}
COLUMN_GAP = 8.0  # points between two columns
CAPTION_LINE, CAPTION_LETTERS = 13.0, 75
HEADING = 10  # letters in a line of a heading, if no cell of its column is longer
NARROWEST = (40, 24, 16, 11)  # letters in a line of a text that continues on further lines
KEYS = 0.6  # largest share of a block's width for the texts that name its rows


class Block(NamedTuple):
    """Columns that stand side by side.

    Attributes:
        columns: their positions in the table.
        types: their types in the argument of a `tabular`.
        height: in points.
    """

    columns: list[int]
    types: list[str]
    height: float


class Layout(NamedTuple):
    """How a table is set.

    Attributes:
        size: the name of the size of its letters.
        blocks: its columns; of several blocks, each begins with the columns that name the rows.
        sideways: whether the page is turned.
        long: whether it continues on further pages.
        names: the columns that name the rows.
    """

    size: str
    blocks: list[Block]
    sideways: bool
    long: bool
    names: frozenset[int]


def layout(table: Table, caption: str) -> Layout:
    """Return the layout that takes the least room: upright rather than sideways, large letters."""
    above = CAPTION_LINE * (3 + len(caption) / CAPTION_LETTERS)
    names = frozenset(_names(table))
    layouts = [
        Layout(size, blocks, sideways, _height(blocks) > room - above, names)
        for sideways, width, room in ((False, LINEWIDTH, TEXTHEIGHT), (True, TEXTHEIGHT, LINEWIDTH))
        for size in SIZES
        for narrowest in NARROWEST
        if (blocks := _in_blocks(table, width, size, narrowest)) is not None
    ]
    if not layouts:
        columns = list(range(len(table.columns)))
        widths = [_width(table, column) for column in columns]
        block = _block(table, columns, widths, TEXTHEIGHT, "scriptsize")
        return Layout("scriptsize", [block], True, block.height > LINEWIDTH - above, names)
    return min(layouts, key=_cost)


def _height(blocks: Sequence[Block]) -> float:
    return sum(block.height for block in blocks)


def _cost(layout: Layout) -> float:
    """Return the pages that a layout takes, and more for what is harder to read."""
    pages = _height(layout.blocks) / (LINEWIDTH if layout.sideways else TEXTHEIGHT)
    small = 0.05 * list(SIZES).index(layout.size)
    repeated = set.intersection(*(set(block.columns) for block in layout.blocks))
    unnamed = len(layout.names - repeated)  # texts that name rows, and are in one block alone
    return pages + 0.3 * layout.sideways + 0.15 * (len(layout.blocks) - 1) + small + unnamed


def heading(table: Table, column: int) -> list[str]:
    """Return the lines of a heading: not wider than the cells below, or than `HEADING`."""
    longest = max([HEADING, *map(len, _texts(table, column))])
    return textwrap.wrap(table.columns[column], longest, break_long_words=False) or [""]


def side(table: Table, column: int) -> str:
    """Return "l" for texts and for means with intervals, whose points are then aligned, or "r"."""
    intervals = any("±" in text or " to " in text for text in _texts(table, column))
    return "l" if intervals or _is_text(table, column) else "r"


def _in_blocks(table: Table, width: float, size: str, narrowest: int) -> list[Block] | None:
    """Return blocks of columns that fit one after the other; each has those that name the rows.

    One block has all columns if they fit side by side. The result is None if a column does not fit
    beside those that name the rows.
    """
    n = len(table.columns)
    keys = _names(table)
    while len(keys) > 1 and _shrunk(table, keys, KEYS * width, size, narrowest) is None:
        keys.pop()
    some, blocks = list(range(n)), []
    while some:
        fitted = _shrunk(table, some, width, size, narrowest)
        rest: list[int] = []
        while fitted is None and len(some) > len(keys) + 1:
            rest.insert(0, some.pop())
            fitted = _shrunk(table, some, width, size, narrowest)
        if fitted is None:
            return None
        blocks.append(_block(table, some, fitted, width, size))
        some = [*keys, *rest] if rest else []
    return blocks


def _names(table: Table) -> list[int]:
    """Return the columns that name the rows: the texts before the first number."""
    names = [0]
    while len(names) < len(table.columns) - 1 and _is_text(table, len(names)):
        names.append(len(names))
    return names


def _shrunk(
    table: Table, columns: Sequence[int], width: float, size: str, narrowest: int
) -> list[int] | None:
    """Return widths in letters that fit, after making the widest texts narrower, or None."""
    letters = (width - COLUMN_GAP * len(columns)) / SIZES[size][0]
    fitted = [_width(table, column) for column in columns]
    least = [max(narrowest, _longest_word(table, column)) for column in columns]
    texts = [place for place, column in enumerate(columns) if _is_text(table, column)]
    while sum(fitted) > letters:
        wide = [place for place in texts if fitted[place] > least[place]]
        if not wide:
            return None
        fitted[max(wide, key=lambda place: fitted[place])] -= 1
    return fitted


def _block(
    table: Table, columns: list[int], fitted: Sequence[int], width: float, size: str
) -> Block:
    letter, line = SIZES[size]
    types = []
    for column, letters in zip(columns, fitted, strict=True):
        if letters < _width(table, column):
            share = letters * letter / width
            types.append(rf">{{\raggedright\arraybackslash}}p{{{share:.3f}\linewidth}}")
        else:
            types.append(side(table, column))
    lines = max(len(heading(table, column)) for column in columns) + 1
    for row in table.rows:
        cells = [row[column] for column in columns]
        lines += max(map(_lines, cells, fitted))
    return Block(columns, types, line * lines)


def _width(table: Table, column: int) -> int:
    return max(map(_letters, [*heading(table, column), *_texts(table, column)]))


def _longest_word(table: Table, column: int) -> int:
    words = " ".join([*heading(table, column), *_texts(table, column)]).split()
    return max(map(_letters, words), default=0)


def _letters(text: str) -> int:
    """Return the width of a text in letters; signs are as wide as two."""
    return len(text) + len(re.findall("[±+<>\u2212]|^-", text))


def _lines(cell: Cell, letters: int) -> int:
    """Return the number of lines of a cell in a column of this many letters."""
    return max(1, len(textwrap.wrap(cell.text, letters)))


def _texts(table: Table, column: int) -> list[str]:
    return [row[column].text for row in table.rows]


def _is_text(table: Table, column: int) -> bool:
    return all(row[column].sort is None for row in table.rows)
