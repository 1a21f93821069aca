"""The tables of learners.md against the raw values of the records."""

from __future__ import annotations

import json
import statistics

from scripts import learners
from scripts.pages import RECORDS


def values(name: str) -> list[float]:
    content = json.loads((RECORDS / "learners" / f"{name}.json").read_text())
    return content["scores"]["accuracy"]["values"]


def cells(table: str, first: str) -> list[str]:
    (line,) = [line for line in table.splitlines() if line.startswith(f"| {first} |")]
    return [cell.strip() for cell in line[1:-1].split("|")]


def test_reported_numbers_stand_beside_the_mean() -> None:
    row = cells(learners.at_16(), "finetune")
    mean = statistics.fmean(values("finetune-16"))
    assert row[1].startswith(f"{mean:.4f} ± ")
    assert row[-3:] == ["K8: mini-resnet in ConvNeXt-Tiny's place", "0.63", f"{mean - 0.63:+.2f}"]


def test_no_reported_number_stands_beside_a_learner_that_was_not_trained() -> None:
    lines = [line for line in learners.at_16().splitlines() if "(not trained" in line]
    assert [line.split()[1] for line in lines] == ["maml", "protonet", "siamese"]
    assert all(line.endswith("|  |  |  |") for line in lines)


def test_differences_to_the_probe_are_paired() -> None:
    row = cells(learners.at_128(), "finetune")
    gaps = [a - b for a, b in zip(values("finetune-128"), values("probe-128"), strict=True)]
    assert row[3].startswith(f"{statistics.fmean(gaps):+.4f} ± ")
    assert cells(learners.at_128(), "probe")[3] == ""


def test_fractions_have_their_labels_per_class() -> None:
    row = cells(learners.by_fraction(), "0.02")
    assert row[1] == "100"
    assert row[4] == "0.3388"
    assert row[5].startswith(f"{statistics.fmean(values('scratch-p0.02')):.4f}")


def test_the_page_states_once_what_the_known_faults_change() -> None:
    changes = []
    for file in (RECORDS / "learners").glob("*.json"):
        scores = json.loads(file.read_text())["scores"]
        if "clean_accuracy" in scores:
            changes.append(scores["clean_accuracy"]["mean"] - scores["accuracy"]["mean"])
    sentence = learners.tables()["faults"]
    assert f"by {statistics.fmean(changes):+.4f} on average" in sentence
    assert f"({min(changes):+.4f} to {max(changes):+.4f}; {len(changes)} of " in sentence
    assert sum("lean accuracy" in table for table in learners.tables().values()) == 1


def test_the_preset_accurate_stands_beside_few_trial_by_trial() -> None:
    (row,) = [
        [cell.strip() for cell in line[1:-1].split("|")]
        for line in learners.accurate().splitlines()
        if line.startswith("| probe | 16 |")
    ]
    content = json.loads((RECORDS / "accurate" / "probe-16.json").read_text())
    accurate, few = content["scores"]["accuracy"]["values"], values("probe-16")
    gaps = [a - b for a, b in zip(accurate, few, strict=True)]
    assert row[2].startswith(f"{statistics.fmean(few):.4f} ± ")
    assert row[3].startswith(f"{statistics.fmean(accurate):.4f} ± ")
    assert row[4].startswith(f"{statistics.fmean(gaps):+.4f} ± ")
