"""What the presets promise, on real images: slow."""

from __future__ import annotations

from pathlib import Path

import pytest

from episodes import datasets
from episodes.errors import UserError
from fewshot.runs import experiment

pytestmark = pytest.mark.slow


def test_protonet_on_sixteen_digits_a_class(tmp_path: Path) -> None:
    record = experiment.run(
        {"method": "protonet", "preset": "random", "data": "digits", "shots": 16},
        range(5),
        out=tmp_path,
    )
    assert record.scores["accuracy"].mean > 0.93


@pytest.fixture
def cifar10() -> None:
    try:
        datasets.load("cifar10")
    except UserError as error:
        pytest.skip(f"CIFAR-10 is not here: {error}")


@pytest.mark.usefixtures("cifar10")
@pytest.mark.parametrize(("method", "preset"), [("protonet", "random"), ("scratch", "few")])
def test_sixteen_shots_of_cifar10_from_random_weights(
    method: str, preset: str, tmp_path: Path
) -> None:
    record = experiment.run(
        {"method": method, "preset": preset, "shots": 16}, range(3), out=tmp_path
    )
    assert record.scores["accuracy"].mean > 0.36


@pytest.mark.usefixtures("cifar10")
def test_a_probe_of_the_shipped_weights(tmp_path: Path) -> None:
    for shots, least in ((1, 0.41), (4, 0.565), (16, 0.66)):
        record = experiment.run({"method": "probe", "shots": shots}, range(5), out=tmp_path)
        assert record.scores["accuracy"].mean > least
