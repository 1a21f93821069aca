"""What the presets promise, on real images: slow."""

from __future__ import annotations

from pathlib import Path

import pytest

from episodes import datasets
from episodes.errors import UserError
from fewshot import experiment

pytestmark = pytest.mark.slow


def test_protonet_on_sixteen_digits_a_class(tmp_path: Path) -> None:
    record = experiment.run({"method": "protonet", "data": "digits", "shots": 16}, range(5), out=tmp_path)
    assert record["scores"]["accuracy"]["mean"] > 0.93


@pytest.mark.parametrize("method", ["protonet", "scratch"])
def test_sixteen_shots_of_cifar10_from_random_weights(method: str, tmp_path: Path) -> None:
    try:
        datasets.load("cifar10")
    except UserError as error:
        pytest.skip(f"CIFAR-10 is not here: {error}")
    record = experiment.run({"method": method, "shots": 16}, range(3), out=tmp_path)
    assert record["scores"]["accuracy"]["mean"] > 0.36
