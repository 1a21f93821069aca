"""Learning curves: what their tables state, against the curves of a result made by hand."""

from __future__ import annotations

from pathlib import Path

from fewshot.report.studies import epochs
from tests.fewshot import study_results
from tests.fewshot.report.studies.reading import study


def test_the_legend_names_a_stand_in_whose_cell_has_no_settings(tmp_path: Path) -> None:
    planned = study_results.kshot(tmp_path)
    (row,) = [row for row in study(planned, tmp_path, "kshot").rows if row.name == "K8"]
    first = next(cell for cell in row.scored if cell.curves)
    alone = first._replace(label="of two networks", stand_in="mini-resnet in its place")
    renamed = row.row.model_copy(update={"title": "of two networks"})
    row = row._replace(cells=[alone], row=renamed)
    (drawn,) = epochs.of_row(row)
    assert {line[0].text for line in drawn.table.rows} == {"mini-resnet in its place"}


def test_the_loss_of_the_last_batches_is_not_the_final_loss(tmp_path: Path) -> None:
    planned = study_results.kshot(tmp_path)
    (row,) = [row for row in study(planned, tmp_path, "kshot").rows if row.name == "K8"]
    first = next(cell for cell in row.scored if cell.curves)
    curves = {
        "epoch": [1.0, 2.0, 3.0, 3.05],
        "train_loss": [[3.0, 2.0, 1.0, 9.0], [5.0, 4.0, 3.0, 9.0]],
        "validation_loss": [[3.0, 2.5, 2.0, 1.5], [3.0, 2.5, 2.0, 1.5]],
    }
    (drawn,) = epochs.of_row(row._replace(cells=[first._replace(curves=curves)]))
    ends = {line[1].text: (line[3].text, line[4].text) for line in drawn.table.rows}
    assert ends == {"train loss": ("4.0000", "2.0000"), "validation loss": ("3.0000", "1.5000")}
