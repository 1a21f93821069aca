"""The tables of the prior from names against the raw values of the records."""

from __future__ import annotations

import json
import statistics

from scripts import learners, names, readme, systems
from scripts.pages import RECORDS


def values(folder: str, name: str) -> list[float]:
    content = json.loads((RECORDS / folder / f"{name}.json").read_text())
    return content["scores"]["accuracy"]["values"]


def cells(table: str, first: str) -> list[str]:
    (line,) = [line for line in table.splitlines() if line.startswith(f"| {first} |")]
    return [cell.strip() for cell in line[1:-1].split("|")]


def test_gains_are_paired_with_the_probe() -> None:
    bring = cells(names.prior(), "gain from names")
    mixed = cells(names.prior(), "probe (prior from names)")
    for place, shots in enumerate(names.PRIOR_SHOTS, start=2):
        with_names, alone = values("names", f"prior-{shots}"), values("learners", f"probe-{shots}")
        gaps = [100 * (a - b) for a, b in zip(with_names, alone, strict=True)]
        assert bring[place].startswith(f"{statistics.fmean(gaps):+.1f} ± ")
        assert bring[place].endswith("(10)")
        assert mixed[place].startswith(f"{100 * statistics.fmean(with_names):.1f} ± ")


def test_the_cost_of_leaving_out_the_classes_in_common_is_paired() -> None:
    row = cells(names.overlap(), "difference between the last two")
    for place, shots in enumerate(names.SHOTS, start=1):
        without, control = (
            values("names", f"without-{name}-{shots}") for name in ("cifar10", "random")
        )
        gaps = [100 * (a - b) for a, b in zip(without, control, strict=True)]
        assert row[place].startswith(f"{statistics.fmean(gaps):+.1f} ± ")


def test_the_accuracy_without_labels_stands_in_every_table_of_the_shipped_backbone() -> None:
    content = json.loads(names.NO_LABELS.read_text())
    assert (content["labels"], content["shots"]) == (0, 0)
    (accuracy,) = content["scores"]["accuracy"]["values"]
    for text in (names.prior(), names.sentence(), systems.table(), readme.methods()):
        assert f"{100 * accuracy:.1f}" in text
    for text in (learners.at_16(), learners.at_128(), readme.tables()["pretrained"]):
        assert f"{accuracy:.4f}" in text


def test_the_record_warns_of_the_classes_in_common() -> None:
    record = names.read("imagenette160", 16)
    assert record is not None
    (warning,) = names.no_labels().warnings
    assert "23 of 200 classes of tinyimagenet32 that show 7 of the 10 classes" in warning
    assert not any("classes of tinyimagenet32" in text for text in record.warnings)
