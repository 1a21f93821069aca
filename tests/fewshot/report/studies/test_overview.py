"""The questions that a page begins with. Oracle: numbers of the raw result files."""

from __future__ import annotations

import re
import shutil
import statistics
from pathlib import Path

import pytest

from fewshot.report.studies import overview
from fewshot.report.studies.pages import Overview
from tests.fewshot.report.studies.reading import study
from tests.fewshot.study_results import E11, E12, FRACTIONS, RECORDS, Planned, record

NAMES = ("kshot", "experts", "hyperparameters")


@pytest.fixture(scope="module")
def about(reported: tuple[Planned, Path, Path]) -> Overview:
    planned, saved, _ = reported
    made = overview.of([study(planned, saved, name) for name in NAMES], saved)
    assert made is not None
    return made


def test_several_studies_have_four_questions_with_a_figure_each(about: Overview):
    assert about.name == "overview"
    assert [one.name for one in about.questions] == ["answer", "reported", "settings", "cost"]
    assert all(one.figure is not None for one in about.questions)
    assert all(1 <= len(one.sentences) <= 6 for one in about.questions)


def test_the_answer_counts_a_fraction_by_its_labels(about: Overview):
    table = about.questions[0].table
    assert table is not None
    shown = {row[0].text for row in table.rows}
    few = {f"{5000 * fraction:,g}" for fraction in FRACTIONS} - {"5"}
    assert shown == {"5", "16"}
    left_out = dict(table.notes)["left out"].split(", where")[0]
    assert {words.split(" labels")[0] for words in re.split(", | and ", left_out)} == few


def test_reported_numbers_are_counted_once(about: Overview):
    question = about.questions[1]
    numbers = {"finetune-16": 0.63, "experts-16": 0.60, "probe-16": 0.71, "scratch-16": 0.50}
    numbers |= {"protonet-16": 0.46, "siamese-16": 0.51, "maml-16": 0.14}
    for method, of_method in (("finetune", E11), ("scratch", E12)):
        for fraction, number in zip(FRACTIONS, of_method, strict=True):
            numbers[f"{method}-p{fraction}"] = number
    above = sum(
        record(name)["scores"]["accuracy"]["mean"] > number for name, number in numbers.items()
    )
    assert question.figure is not None
    assert len(question.figure.table.rows) == 14 + 7
    assert f"{above} of 21 reported" in question.sentences[0]


def test_settings_are_compared_within_a_row(about: Overview):
    question = about.questions[2]
    assert question.figure is not None
    rows = {row[0].text: row for row in question.figure.table.rows}
    means = sorted(
        100 * record(f"{method}-16")["scores"]["accuracy"]["mean"]
        for method in ("finetune", "experts", "probe", "scratch")
    )
    k8 = rows["K8, ConvNeXt-Tiny, fine-tuned"]
    assert [k8[3].text, k8[5].text] == [f"{means[0]:.2f}", f"{means[-1]:.2f}"]
    assert k8[4].text == "method scratch"
    widths = [float(row[5].text) - float(row[3].text) for row in rows.values()]
    middle = float(question.sentences[0].partition("(median ")[2].partition(")")[0])
    assert 100 * middle == pytest.approx(statistics.median(widths), abs=0.016)


def test_cost_names_the_cheapest_near_the_best(about: Overview):
    sentences = about.questions[3].sentences
    assert sentences[0].startswith("With 16 labels per class of cifar10")
    assert "seconds per trial" in sentences[1]


def test_one_study_has_its_own_figures_and_smoke_has_none(reported: tuple[Planned, Path, Path]):
    planned, saved, _ = reported
    kshot = study(planned, saved, "kshot")
    alone = overview.of([kshot], saved)
    assert alone is not None
    assert alone.name == "kshot"
    assert "reported" not in [one.name for one in alone.questions]
    assert overview.of([kshot._replace(scale="smoke")], saved) is None


def test_records_beside_the_studies_compete(
    reported: tuple[Planned, Path, Path], tmp_path: Path
) -> None:
    planned, saved, _ = reported
    copied = shutil.copytree(saved, tmp_path / "results")
    (copied / "learners").mkdir()
    for method in ("probe", "finetune", "experts", "scratch"):
        shutil.copy(RECORDS / f"{method}-128.json", copied / "learners")
    made = overview.of([study(planned, copied, "kshot")], copied)
    assert made is not None
    table = made.questions[0].table
    assert table is not None
    last = table.rows[-1]
    assert [last[0].text, last[-1].text] == ["128", "records/learners"]
