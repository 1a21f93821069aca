"""The table of methods against the raw records, and the readme's figure against their means."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

import pytest

from scripts import readme
from scripts.pages import RECORDS


def raw(name: str) -> dict:
    return json.loads((RECORDS / "learners" / f"{name}.json").read_text())


@pytest.mark.parametrize("method", [method.key for method in readme.METHODS])
def test_the_table_of_methods_shows_the_records_of_trained_and_untrained_apart(method: str) -> None:
    lines = [line for line in readme.methods().splitlines() if f"(`{method}`" in line]
    shown = set()
    for line in lines:
        for cell, shots in zip(cells(line)[3:], readme.SHOTS, strict=True):
            record = raw(f"{method}-{shots}")
            trains = record["config"].get("train") and record["cost"]["train_seconds"]
            untrained = not trains and method != "probe"
            if ("not trained" in line) != untrained:
                assert cell == "-"
                continue
            score, n = record["scores"]["accuracy"], len(record["seeds"])
            assert cell == f"{100 * score['mean']:.1f} ± {100 * score['ci95']:.1f} ({n})"
            shown.add(shots)
    assert shown == set(readme.SHOTS)


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_figure_has_a_line_for_each_system_through_its_means() -> None:
    (axes,) = readme.figure().axes
    labels = {text.get_text() for text in axes.texts}
    few_shot = {"protonet", "siamese", "maml"}
    assert {f"{method} (not trained)" for method in few_shot} <= labels
    labels.remove("names of the pretraining's classes, no label")
    assert {method.key for method in readme.METHODS} == {label.split(" (")[0] for label in labels}
    means = {round(float(line.get_ydata()[-1]), 6) for line in axes.lines if len(line.get_ydata())}
    for method in readme.METHODS:
        mean = raw(f"{method.key}-128")["scores"]["accuracy"]["mean"]
        assert round(100 * mean, 6) in means


def test_the_lead_of_finetune_is_that_of_common_trials() -> None:
    pairs = zip(
        *(raw(f"{name}-128")["scores"]["accuracy"]["values"] for name in ("finetune", "probe")),
        strict=True,
    )
    lead = statistics.fmean(100 * (finetuned - probed) for finetuned, probed in pairs)
    assert f"`finetune`, which is {lead:.1f} ± " in readme.choices()


def test_every_mark_of_the_readme_has_a_table() -> None:
    marks = set()
    for page in [readme.ROOT / "README.md", *Path(readme.ROOT / "docs").rglob("*.md")]:
        for line in page.read_text().splitlines():
            if line.startswith("<!-- table: "):
                marks.add(line.removeprefix("<!-- table: ").removesuffix(" -->"))
    assert marks <= {*readme.tables(), "errors"}  # the second by scripts.omniglot
