"""The means of a heat map against the published result files of A4 and K5."""

from __future__ import annotations

import json
import statistics

import pytest

from fewshot.report.studies import heat_maps
from tests.fewshot.report.studies.test_box_plots import files, published


def test_every_setting_of_a_large_grid_has_its_mean() -> None:
    (figure,) = heat_maps.of_row(published("architectures", "A4"))
    expected = {}
    for content in map(json.loads, files("architectures", "A4")):
        values = content["values"]
        augmentation = values["augmentation"]
        key = (
            f"dropout {values['backbone.options.dropout']:g}, "
            + ("no augmentation" if augmentation == "none" else augmentation),
            f"batch size {values['train.batch_size']}, L2 {values['train.weight_decay']:g}",
            f"{values['train.lr']:g}",
        )
        expected[key] = 100 * statistics.fmean(content["record"]["scores"]["accuracy"]["values"])
    drawn = {
        (line[0].text, line[1].text, line[2].text): float(line[3].text)
        for line in figure.table.rows
    }
    assert len(drawn) == 72
    assert drawn == pytest.approx(expected, abs=0.006)


def test_each_block_of_a_grid_has_a_heat_map_of_its_own() -> None:
    assert [figure.title for figure in heat_maps.of_row(published("kshot", "K5"))] == [
        "K5: mean accuracy by L2 and dropout",
        "K5: mean accuracy by hidden units and learning rate",
    ]


def test_a_grid_with_one_numeric_setting_has_none() -> None:
    assert heat_maps.of_row(published("kshot", "K8")) == []
