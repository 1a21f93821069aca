"""The generated parts of the documentation against a command and settings written by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import pytest
import typer
from pydantic import Field

from fewshot.config import Settings, reference
from scripts import docs


class Example(Settings):
    """Settings of an example."""

    width: int = Field(default=4, description="Number of filters, or a | b. [filters]")
    name: str = Field(description="What it is called.")


def test_a_table_of_settings_has_key_default_meaning_and_unit() -> None:
    lines = docs._settings_table(list(reference.describe(Example, "learner."))).splitlines()
    assert lines[0] == "| setting | values | default | meaning |"
    assert lines[2] == (
        "| `learner.width` | integer | `4` | Number of filters, or a \\| b. [filters] |"
    )
    assert lines[3] == "| `learner.name` | text | required | What it is called. |"


def test_a_command_has_its_arguments_options_and_examples() -> None:
    app = typer.Typer()

    @app.command()
    def cook(
        dish: Annotated[str, typer.Argument(help="What to cook.")],
        salt: Annotated[int, typer.Option(help="Grains.")] = 3,
    ) -> None:
        """Cook a dish.

        Examples:

            fewshot cook soup
        """

    @app.command()
    def eat() -> None:
        """Eat it."""

    cook_text, eat_text = docs._sections(typer.main.get_command(app), "kitchen")
    assert cook_text.startswith("## `kitchen cook`\n\nCook a dish.\n\n```console\n$ fewshot cook")
    assert "| `DISH` | required | What to cook. |" in cook_text
    assert "| `--salt` | 3 | Grains. |" in cook_text
    assert eat_text.startswith("## `kitchen eat`\n\nEat it.")


def test_marks_are_replaced_and_unknown_ones_are_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(docs.GENERATORS, "twice", lambda word: word * 2)
    page = "before\n<!-- generated: twice ab -->\nafter"
    assert docs.on_page_markdown(page) == "before\nabab\nafter"
    with pytest.raises(KeyError):
        docs.on_page_markdown("<!-- generated: nothing -->")


def test_numbers_are_those_of_the_published_record() -> None:
    # probe, 16 labels per class: 0.6970 ± 0.0073 in reports/learners.md
    assert "| 16 | probe | 69.7 ± 0.7 | 10 |" in docs.numbers("probe").splitlines()


def test_rows_state_where_the_report_has_them_and_the_hours_at_scale_full(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    lines = [
        "{title: A probe, question: How good?, source: page 3, base: {method: probe},",
        "grid: [{shots: [1, 4, 16]}], trials: 10, seconds: 600, needs: [weights],",
        "scales: {full: {trials: 2, cuts: [2 of 10 trials]}, small: {seconds: 1}}}",
    ]
    (tmp_path / "mine" / "M1.yaml").write_text("\n".join(lines))
    monkeypatch.setattr(docs, "STUDIES", tmp_path)
    text = docs.rows().splitlines()
    assert text[0] == "### mine"
    assert text[-1] == "| M1 | A probe | page 3 | 3 | 2 | 1.0 | weights |"  # 3 * 2 * 600 s


def test_pairs_of_runs_are_counted_from_their_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = {
        "counts": {"equal to rounding": 3, "equal, bit for bit": 16, docs.OF_MUON: 2, "failed": 1},
        "figures": {"tolerance": 0.001, "largest difference": 0.00042},
    }
    (tmp_path / "numbers-threads.json").write_text(json.dumps(record))
    monkeypatch.setattr(docs, "CAMPAIGN", tmp_path)
    *_, line = docs.equal_numbers().splitlines()
    assert line == "| two threads | 22 | 16 | 3 | 2 | 1 | 0.001 | 0.0004 |"


def test_parts_of_the_campaign_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = {"part": "kills-fit", "seed": 3, "seconds": 61.4, "date": "2026-11-28"}
    record |= {"counts": {"resumed": 1200, "failed": 1}, "share": 0.05}
    (tmp_path / "kills-fit.json").write_text(json.dumps(record), encoding="utf-8")
    (tmp_path / "clock.json").write_text(json.dumps(record), encoding="utf-8")
    monkeypatch.setattr(docs, "CAMPAIGN", tmp_path)
    *_, row = docs.generate("reliability kills").splitlines()
    assert row == "| kills-fit | 1,201 | 5% | 1,200 resumed; 1 failed | 3 | 61 | 2026-11-28 |"
    assert len(docs.generate("reliability").splitlines()) == 4
