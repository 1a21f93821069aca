"""The measurement of suggested labels. Oracles: counting by hand, means and differences by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fewshot import io
from fewshot.model.suggest.simulate import LabelledSet
from scripts import suggest


def images(n: int = 600, n_way: int = 4) -> suggest.Images:
    """Return images of classes that are far apart."""
    labels = torch.arange(n) % n_way
    noise = torch.randn(n, 6, generator=torch.Generator().manual_seed(0))
    features = noise + 4 * torch.eye(n_way, 6)[labels]
    return suggest.Images(LabelledSet(features, labels), features)


def test_pools_are_random_parts_and_unbalanced_ones_have_rare_classes() -> None:
    train = images()
    pools = [suggest.pool_of("cifar10", train, trial) for trial in (0, 0, 1)]
    assert [len(pool.compared) for pool in pools] == [480] * 3
    assert torch.equal(pools[0].compared, pools[1].compared)
    assert not torch.equal(pools[0].compared, pools[2].compared)
    counts = suggest.pool_of("unbalanced", images(40_000), 0).known.labels.bincount()
    expected = [8000 * suggest.RAREST ** (-label / 3) for label in range(4)]
    assert counts.tolist() == pytest.approx(expected, rel=0.15)


@pytest.mark.parametrize("way", ["default", "margin", "random", "bandwidth 0.4"])
def test_every_image_is_labelled_once(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suggest, "BUDGETS", (4, 12, 20))
    before = suggest.max_herding.BANDWIDTH
    chosen = suggest.picked(images(), way, 4, 0).tolist()
    assert len(set(chosen)) == len(chosen) == 20
    assert before == suggest.max_herding.BANDWIDTH


def test_the_bandwidth_is_that_of_the_way() -> None:
    with suggest.bandwidth_of("bandwidth 0.45"):
        assert suggest.max_herding.BANDWIDTH == 0.45


def test_the_table_has_means_and_paired_differences(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suggest, "FOLDER", tmp_path)
    monkeypatch.setattr(suggest, "BUDGETS", (10, 20))
    accuracies = {"default": [(0.6, 0.7), (0.7, 0.9)], "random": [(0.4, 0.6), (0.45, 0.7)]}
    for way, trials in accuracies.items():
        rows = [
            suggest.Trial(trial=trial, accuracy=list(pair), classes=[9 + trial, 10])
            for trial, pair in enumerate(trials)
        ]
        io.write_json(tmp_path / f"digits-{way}.json", {"trials": rows})
    lines = suggest.table("digits").splitlines()
    default, random = (lines[row].split(" | ") for row in (2, 3))
    assert default[0] == "| default"
    assert default[1].startswith("0.650 ± ")
    assert default[1].endswith("(+0.225 ± 0.318)")
    assert "(+0.150 ± " in default[2]
    assert default[3] == "9.5 |"
    assert "(" not in random[1]
    assert "not run" in lines[4]
