"""Which figures a study has, and the numbers in their tables."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from fewshot.report.studies import figures, gathering, inline_svg, report, results
from tests.fewshot import study_results
from tests.fewshot.report.studies.reading import study
from tests.fewshot.study_results import Planned

ROOT = Path(__file__).parents[4]


def test_figures_are_there_and_do_not_change(
    reported: tuple[Planned, Path, Path], tmp_path: Path
) -> None:
    planned, saved, out = reported
    names = {str(path.relative_to(out / "figures")) for path in (out / "figures").rglob("*.svg")}
    assert names == {
        "overview/methods.svg",
        "overview/reported.svg",
        "overview/settings.svg",
        "overview/cost.svg",
        "kshot/reported.svg",
        "kshot/labels-shots.svg",
        "kshot/K3-times.svg",
        "kshot/K8-curves.svg",
        "experts/reported.svg",
        "experts/labels-fraction.svg",
        "hyperparameters/H5-learning-rate.svg",
        "hyperparameters/H5-batch-size.svg",
    }
    again = tmp_path / "again"
    report.report(planned, again, False, "small", saved)
    for path in out.rglob("*.*"):
        assert (again / path.relative_to(out)).read_bytes() == path.read_bytes(), path


def test_a_row_that_asks_for_it_has_the_confusion_matrix_of_its_best_cell(tmp_path: Path) -> None:
    planned = study_results.kshot(tmp_path)
    (row_results,) = [row for row in study(planned, tmp_path, "kshot").rows if row.name == "K8"]
    assert not any("confusion" in figure.name for figure in figures.of_row(row_results))
    asked = row_results._replace(row=row_results.row.model_copy(update={"confusion": True}))
    first = figures.of_row(asked)[0]
    best = results.best(row_results.scored)
    network = best.measured.backbone
    title = f"K8: confusion matrix, {network}, {best.label}"
    assert (first.name, first.title) == ("K8-confusion", title)
    counts = np.array(best.measured.confusion)
    shares = 100 * counts / counts.sum(1, keepdims=True)
    np.fill_diagonal(shares, 0)
    assert float(first.table.rows[0][3].text) == round(shares.max(), 1)
    (drawn,) = [
        path.read_text() for path in first.save(tmp_path / "matrix") if path.suffix == ".svg"
    ]
    # Numbers keep their colours on the page, whose background is its own.
    shown = inline_svg.inline(drawn, "matrix", first.alt)
    for colour in ("#ffffff", "#111111"):
        assert (
            shown.count(f'<text style="fill: {colour}"')
            == drawn.count(f'<g style="fill: {colour}"')
            > 0
        )
    assert not re.search(r'<path [^>]*style="fill: #ffffff', shown)


@pytest.mark.parametrize("name", ["architectures", "experts", "hyperparameters", "kshot"])
def test_every_figure_of_a_published_study_has_its_own_name(name: str) -> None:
    planned = gathering.read([ROOT / "configs" / "studies" / name], "small")
    (gathered,) = gathering.gather(planned, ROOT / "reports" / "records", "small")
    drawn = figures.of_study(gathered)
    for row in gathered.rows:
        drawn += figures.of_row(row)
    names = [figure.name.lower() for figure in drawn]  # some file systems ignore case
    assert len(set(names)) == len(names)
    for figure in drawn:
        assert re.fullmatch(r"[A-Za-z0-9.-]+", figure.name)
        assert not re.search(r"\b(train|learner|backbone)\.\w", figure.title + figure.alt)
