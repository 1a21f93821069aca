"""The table of few-shot systems against raw records, and the rule for reported numbers."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import pytest

from scripts import systems
from scripts.pages import RECORDS

STATED = {
    "K9": 46,
    "K10": 51,
    "K11": 14,
}  # seeds/004, slide "other models", test accuracy in percent


def lines() -> list[list[str]]:
    rows = [line for line in systems.table().splitlines() if line.startswith("| K")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in rows]


def raw(path: str) -> dict[str, Any]:
    content = json.loads((RECORDS / path).read_text())
    return content.get("record", content)


def test_a_reported_number_stands_only_beside_a_trained_system() -> None:
    trained, untrained = set(), set()
    for row, words, *_, reported, difference in lines():
        name = row.split(",")[0]
        if "not trained" in words:
            assert (reported, difference) == ("", "")
            untrained.add(name)
        else:
            assert "trained on " in words
            assert " weights" in words
            assert reported == str(STATED[name])
            trained.add(name)
    assert trained == untrained == set(STATED)


def test_the_numbers_are_the_means_of_the_records() -> None:
    places = (RECORDS / "kshot").glob("*/K9/the_slides_*-shots=16.json")  # at each scale
    contents = [raw(str(place.relative_to(RECORDS))) for place in places]
    values = max((one["scores"]["accuracy"]["values"] for one in contents), key=len)
    mean = 100 * statistics.fmean(values)
    (line,) = [line for line in lines() if line[0].startswith("K9") and line[1].endswith("rate")]
    assert line[4].startswith(f"{mean:.1f} ± ")
    assert line[4].endswith(f"({len(values)})")
    assert line[6] == f"{mean - 46:+.1f}"
    means = [100 * raw(f"learners/maml-{n}.json")["scores"]["accuracy"]["mean"] for n in (1, 4, 16)]
    (line,) = [line for line in lines() if line[0].startswith("K11") and "not trained" in line[1]]
    assert [cell.split(" ± ")[0] for cell in line[2:5]] == [f"{mean:.1f}" for mean in means]


def test_the_short_table_has_the_plain_systems_of_the_full_one() -> None:
    full = systems.table().splitlines()
    variants = ("maml (ANIL)", "maml (first order)", "pretrained weights, trained on")
    assert systems.table(in_full=False).splitlines() == [
        line for line in full if not any(words in line for words in variants)
    ]
    assert sum(variant in "".join(full) for variant in variants) == len(variants)


def test_a_meta_trained_record_gets_a_row_beside_the_reported_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("learners", "main", "kshot"):
        (tmp_path / name).symlink_to(RECORDS / name)
    content = raw("learners/protonet-16.json")
    content["config"]["train"] = {"base": "tinyimagenet32", "steps": 5}
    content |= {"preset": "meta", "run_id": "0123456789ab"}
    (tmp_path / "meta").mkdir()
    for weights in ("pretrained", "none"):
        text = json.dumps({**content, "weights": weights})
        (tmp_path / "meta" / f"{weights}.json").write_text(text)
        untrained = {**content, "weights": weights, "config": {**content["config"], "train": None}}
        (tmp_path / "meta" / f"{weights}-untrained.json").write_text(json.dumps(untrained))
    monkeypatch.setattr(systems, "RECORDS", tmp_path)
    rows = [line for line in lines() if "tinyimagenet32" in line[1]]
    mean = 100 * statistics.fmean(content["scores"]["accuracy"]["values"])
    assert {line[1] for line in rows} == {
        f"protonet on mini-resnet, {weights} weights, trained on tasks of tinyimagenet32"
        for weights in ("pretrained", "random")
    }
    assert rows[0][5:] == ["46", f"{mean - 46:+.1f}"]
