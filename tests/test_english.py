"""Holds texts and names to the word list of scripts/english.py.

Oracle: sentences with and without words of the list, written here by hand.
"""

from __future__ import annotations

from collections import defaultdict

import pytest

from scripts import english
from scripts.counts import LONGEST_LINE, room_of


def rooms() -> dict[str, list[str]]:
    """Return the files of every room."""
    files = defaultdict(list)
    for name in english.files():
        files[room_of(name)].append(name)
    return files


@pytest.mark.parametrize(("room", "names"), rooms().items(), ids=rooms())
def test_texts_and_names_are_plain_english(room: str, names: list[str]):
    offences = [
        str(finding)
        for name in names
        for finding in english.findings(name, (english.ROOT / name).read_text())
    ]
    assert not offences, "\n" + "\n".join(offences)


@pytest.mark.parametrize(("room", "names"), rooms().items(), ids=rooms())
def test_lines_have_at_most_100_columns(room: str, names: list[str]):
    long = [
        f"{name}:{number}: {len(line)} columns"
        for name in names
        if name.endswith(".py")
        for number, line in enumerate((english.ROOT / name).read_text().splitlines(), 1)
        if len(line) > LONGEST_LINE
    ]
    assert not long, "\n" + "\n".join(long)


@pytest.mark.parametrize(("room", "names"), rooms().items(), ids=rooms())
def test_no_conflict_of_a_merge_is_left(room: str, names: list[str]):
    marks = tuple(7 * mark for mark in "<>")
    left = [
        f"{name}:{number}"
        for name in names
        for number, line in enumerate((english.ROOT / name).read_text().splitlines(), 1)
        if line.lstrip().startswith(marks)
    ]
    assert not left, "\n" + "\n".join(left)


@pytest.mark.parametrize(
    ("name", "source", "line", "kind"),
    [
        ("a.py", '"""Is judged."""', 1, "judge"),
        ("a.py", 'def f():\n    """Do it.\n\n    It is said.\n    """', 4, "said"),
        ("a.py", "x = 1  # what was told", 1, "told"),
        ("a.py", 'raise ValueError(f"{x} was handed over")', 1, "handed"),
        ("a.py", "for each in []:\n    pass", 1, "variable"),
        ("a.py", "def f(tell):\n    pass", 1, "name"),
        ("a.py", "def test_it_is_told():\n    pass", 1, "name"),
        ("a.md", "The images were\nlooked at.", 2, "looked at"),
        ("a.md", "ten draws of 16 labels", 1, "draw (a trial)"),
        ("a.yaml", "lr: 0.1  # of those of the paper", 1, "of those of"),
        ("a.sh", "# leave it away", 1, "leave away"),
    ],
)
def test_an_offence_is_reported_with_its_line(name: str, source: str, line: int, kind: str):
    assert [(found.line, found.kind) for found in english.findings(name, source)] == [(line, kind)]


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("a.py", 'record["kept"] = "found"'),
        ("a.py", "def draw(generator):\n    '''Draw a random crop, which is kept in memory.'''"),
        ("a.md", "`fewshot judge` is code\n```\nno draws\n```\nThe file was found and is kept."),
        ("a.yaml", "seeds: 10  # the generator draws the crop"),
    ],
)
def test_plain_sentences_pass(name: str, source: str):
    assert english.findings(name, source) == []
