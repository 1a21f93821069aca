"""Reports as text, rows, frames and JSON. Oracle: findings written here by hand."""

from __future__ import annotations

import json

import torch

from fewshot.checks.findings import Finding, Place
from fewshot.checks.inspected import Inspected
from fewshot.checks.report import Report, sorted_findings
from fewshot.model.image_listing import NotRead


def inspected(name: str, n: int, classes: tuple[str, ...] = ("cat", "dog")) -> Inspected:
    return Inspected(
        name,
        classes,
        tuple(f"{i}.png" for i in range(n)),
        torch.arange(n) % len(classes),
        torch.zeros(n, 3, 8, 8, dtype=torch.uint8),
        torch.zeros(n, 0),
        torch.full((n, 2), 8),
        None,
        (NotRead("b.png", "truncated"),),
    )


def report() -> Report:
    place = [Place("data", i, f"{i}.png") for i in range(4)]
    findings = [
        Finding("dark", (place[0],), "nearly black", 0.5),
        Finding("broken", (Place("data", None, "b\n.png"),), "truncated"),
        *(Finding("near copy", (place[i], place[0]), f"{i}.png is 0.png", 0.1 * i) for i in (1, 2)),
        *(Finding("near copy", (place[i], place[0]), f"{i}.png is 0.png", 0.9) for i in (3, 2)),
        Finding("dark", (Place("against", 0, "0.png"),), "nearly black", 0.7),
        Finding("shortcut", (), "the size alone gives the class away", 0.8),
    ]
    return Report(inspected("photos", 4), inspected("test", 1), sorted_findings(findings), 1.0)


def test_the_text_has_the_worst_first_examples_and_remedies() -> None:
    lines = str(report()).splitlines()
    assert lines[0] == "photos: 4 images, 2 classes, against 1 test image of test"
    assert lines[3:5] == ["  1 file that cannot be read", "    b\ufffd.png: truncated"]
    start = lines.index("  4 near copies")
    assert lines[start + 1 : start + 5] == [
        "    3.png is 0.png",
        "    2.png is 0.png",
        "    2.png is 0.png",
        "    and 1 more",
    ]
    assert lines[start + 5].startswith("    -> Remove those")
    assert "    the size alone gives the class away" in lines
    assert "    0.png: nearly black (test set)" in lines


def test_rows_frame_and_json_agree() -> None:
    rows = report().rows()
    assert [row["kind"] for row in rows[:2]] == ["broken", "near copy"]
    assert (rows[1]["image"], rows[1]["other"], rows[1]["label"]) == ("3.png", "0.png", "dog")
    assert rows[-2]["part"] == "against"
    assert rows[-2]["label"] == "cat"
    frame = report().to_frame()
    assert frame.to_dict("records") == rows
    written = json.loads(json.dumps(report().to_json()))
    assert written["findings"] == rows
    assert written["counts"] == {"broken": 1, "near copy": 4, "shortcut": 1, "dark": 2}
    assert written["serious"] is True


def test_an_empty_report_is_a_sentence_and_a_frame_with_columns() -> None:
    empty = Report(inspected("photos", 1, ("",)), None, (), 0.0)
    assert str(empty).splitlines() == ["photos: 1 image, no classes", "No fault was detected."]
    assert empty.to_frame().columns[0] == "kind"
    assert not empty.is_serious
