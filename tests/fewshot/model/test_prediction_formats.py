"""Oracle: csv and json of the standard library, and text written by hand."""

from __future__ import annotations

import csv
import json
from io import StringIO
from pathlib import Path

import pytest

from fewshot.model.image_listing import NotRead
from fewshot.model.prediction_formats import (
    Content,
    Format,
    Prediction,
    format_of,
    table_of_broken,
)

CONTENT = Content(('an "ant", red', "bee|wasp", "c\\d"), top=2, knows=True, sets=True)
FIRST = Prediction([1, 0], [0.75, 0.25], 0.5, False, [1, 2])
SECOND = Prediction([0, 1], [0.5, 0.5], -0.25, True, [0])


def text_of(lines: Format) -> str:
    """Return the text of two images and of a broken file."""
    parts = [lines.begin(), lines.line("a,b.png", FIRST), lines.broken("c.png", "empty")]
    return "".join([*parts, lines.line("d.png", SECOND), lines.end()])


def test_a_table_has_a_column_for_everything() -> None:
    rows = list(csv.DictReader(StringIO(text_of(format_of(CONTENT, Path("x.csv"), True, False)))))
    assert rows == [
        {
            "file": "a,b.png", "label": "bee|wasp", "probability": "0.750000", "known": "0.500000",
            "refused": "false", "set": "bee\\|wasp|c\\\\d", "label_2": 'an "ant", red',
            "probability_2": "0.250000",
        },
        {
            "file": "d.png", "label": 'an "ant", red', "probability": "0.500000",
            "known": "-0.250000", "refused": "true", "set": 'an "ant", red',
            "label_2": "bee|wasp", "probability_2": "0.500000",
        },
    ]  # fmt: skip


@pytest.mark.parametrize(("out", "as_json"), [("x.json", False), ("x.jsonl", False), (None, True)])
def test_json_is_an_object_in_each_line_also_for_broken_files(
    out: str | None, as_json: bool
) -> None:
    text = text_of(format_of(CONTENT, None if out is None else Path(out), as_json, False))
    if out == "x.jsonl":
        objects = [json.loads(line) for line in text.splitlines()]
    else:
        objects = json.loads(text)
        assert len(text.splitlines()) == 3 + 2
    assert objects[0] == {
        "file": "a,b.png", "label": "bee|wasp", "probability": 0.75, "known": 0.5,
        "refused": False, "set": ["bee|wasp", "c\\d"],
        "top": [
            {"label": "bee|wasp", "probability": 0.75},
            {"label": 'an "ant", red', "probability": 0.25},
        ],
    }  # fmt: skip
    assert objects[1] == {"file": "c.png", "error": "empty"}
    assert objects[2]["refused"] is True


def test_no_image_is_an_empty_array() -> None:
    lines = format_of(CONTENT, None, True, False)
    assert json.loads(lines.begin() + lines.end()) == []


def test_a_submission_has_ids_and_classes() -> None:
    lines = format_of(Content(("a", "b")), Path("x.csv"), False, True)
    assert lines.begin() + lines.line("deep/007.png", FIRST) == "id,label\n7,b\n"


def test_broken_files_have_a_table() -> None:
    text = table_of_broken([NotRead("a,b.png", "empty")])
    assert list(csv.reader(StringIO(text))) == [["file", "reason"], ["a,b.png", "empty"]]


def test_control_characters_of_names_reach_files_but_no_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = "\x1b]0;title\x07\u202e\n1.png"
    prediction = Prediction([0], [1.0])
    content = Content(("=cat\x1b[2J", "dog"))
    stored = format_of(content, Path("x.csv"), False, False).line(name, prediction)
    assert next(csv.reader(StringIO(stored))) == [name, "=cat\x1b[2J", "1.000000"]
    assert format_of(content, None, False, False).line(name, prediction) == stored
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    shown = format_of(content, None, False, False).line(name, prediction)
    assert shown == "\ufffd]0;title\ufffd\ufffd\ufffd1.png,=cat\ufffd[2J,1.000000\n"
