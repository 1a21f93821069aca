"""The measurement of unknown classes and sets. Oracles: counting by hand, scikit-learn's AUROC."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from sklearn.metrics import roc_auc_score

from fewshot import io
from fewshot.config import BackboneSettings
from scripts import unknown


def pool(n_way: int = 8) -> unknown.Pool:
    """Return features of normal classes that are far apart, and others to test on."""
    labels = torch.arange(n_way).repeat(20)
    noise = torch.randn(2, len(labels), 10, generator=torch.Generator().manual_seed(0))
    features = 0.3 * noise + torch.eye(n_way, 10)[labels]
    return unknown.Pool(BackboneSettings(name="conv4"), features[0], labels, features[1], labels)


def test_images_of_each_class_are_chosen_once() -> None:
    labels = torch.arange(3).repeat(7)
    rows = unknown.of_classes(labels, 4, torch.Generator().manual_seed(0))
    assert labels[rows].tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert len(set(rows.tolist())) == 12


def test_trials_have_other_known_classes_and_far_classes_are_separated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(unknown, "TRIALS", 2)
    monkeypatch.setattr(unknown, "SHOTS", (1, 8))
    results = list(unknown.refusals(pool()))
    assert [(one["trial"], one["shots"]) for one in results] == [(0, 1), (0, 8), (1, 1), (1, 8)]
    assert results[0]["known"] == results[1]["known"] != results[2]["known"]
    assert all(len(one["known"]) == unknown.KNOWN for one in results)
    assert results[0]["refused_known"] == results[0]["refused_unknown"] == 0
    assert results[1]["auroc"] > 0.9
    assert results[1]["refused_known"] < 0.2 < results[1]["refused_unknown"]


def test_the_auroc_is_that_of_known_against_unknown_classes() -> None:
    part, known = pool(), torch.arange(6)
    rows = torch.cat([(part.labels == label).nonzero()[:5, 0] for label in range(6)])
    is_known = part.test_labels < 6
    result = unknown._refusal(part, rows, part.labels[rows], is_known, known, 0)
    centre = torch.stack([part.features[rows][i * 5 : i * 5 + 5].mean(0) for i in range(6)]).mean(0)

    def unit(x: torch.Tensor) -> torch.Tensor:
        return (x - centre) / (x - centre).norm(dim=1, keepdim=True)

    means = torch.stack([unit(part.features[rows][i * 5 : i * 5 + 5]).mean(0) for i in range(6)])
    cosines = unit(part.test_features) @ (means / means.norm(dim=1, keepdim=True)).T
    assert result["auroc"] == pytest.approx(roc_auc_score(is_known, cosines.amax(1)), abs=1e-6)


def test_sets_are_counted() -> None:
    sets = torch.tensor([[1, 0, 0], [1, 1, 0], [0, 0, 1], [1, 1, 1]]).bool()
    counted = unknown._counted(sets, torch.tensor([0, 1, 0, 2]), 4, 1, 0.9, exact=True)
    assert (counted["covered"], counted["size"], counted["single"]) == (0.75, 1.75, 0.5)


def test_tables_have_the_means_over_trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unknown, "FOLDER", tmp_path)
    refusals = [
        unknown.Refusal(
            shots=shots,
            trial=trial,
            known=[0],
            auroc=0.8 + 0.1 * trial,
            auroc_of_probability=0.7,
            refused_known=0.05,
            refused_unknown=0.4,
        )
        for shots in unknown.SHOTS
        for trial in (0, 1)
    ]
    sets = [
        unknown.Covered(
            shots=4, trial=t, coverage=0.9, exact=False, covered=0.9, size=1.5 + t, single=0.25
        )
        for t in (0, 1)
    ]
    record = {"data": "cifar10", "backbone": {}, "test_images": 9}
    io.write_json(
        tmp_path / "cifar10-mini-resnet.json", {**record, "refusals": refusals, "sets": sets}
    )
    first = unknown.table_of_refusals().splitlines()[2]
    assert first.startswith("| cifar10 | mini-resnet | 1 | 0.700 ± 0.000 | 0.850 ± ")
    (row,) = unknown.table_of_sets().splitlines()[2:]
    assert row.startswith(
        "| cifar10 | mini-resnet | from folds | 4 | 2 | 0.9 | 0.900 ± 0.000 | 2.00"
    )
