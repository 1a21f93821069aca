"""Oracles: repeated calls, torch's own global state, and tests of uniformity and correlation."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from episodes.rng import generator, seeded


def numbers(seed: int, *purpose: object, n: int = 8) -> Tensor:
    return torch.rand(n, generator=generator(seed, *purpose))


def test_equal_arguments_give_equal_numbers_regardless_of_earlier_calls():
    first = numbers(3, "batches", 17)
    numbers(3, "batches", 16)
    torch.rand(5)
    assert torch.equal(numbers(3, "batches", 17), first)


@pytest.mark.parametrize(
    "other", [(4, "a", 1), (3, "b", 1), (3, "a", 2), (3, "a"), (3,), (3, 1, "a"), (3, "a", 11)]
)
def test_a_different_seed_or_purpose_gives_different_numbers(other: tuple):
    assert not torch.isclose(numbers(*other), numbers(3, "a", 1)).any()


@pytest.mark.parametrize("varied", ["seed", "step"])
def test_neighbouring_streams_are_uniform_and_uncorrelated(varied: str):
    streams = [
        numbers(i, "a", n=64) if varied == "seed" else numbers(0, "a", i, n=64) for i in range(300)
    ]
    table = torch.stack(streams).double().numpy()
    assert stats.kstest(table[:, 0], "uniform").pvalue > 1e-3
    correlations = np.corrcoef(table)[np.triu_indices(300, 1)]
    assert abs(correlations.mean()) < 0.005
    # The standard deviation that independent rows of 64 numbers would give.
    assert correlations.std() == pytest.approx(1 / 63**0.5, rel=0.03)


def test_a_generator_does_not_change_the_global_state():
    before = torch.get_rng_state()
    numbers(0, "a")
    assert torch.equal(torch.get_rng_state(), before)


def test_seeded_repeats_its_numbers_and_restores_the_global_state():
    torch.manual_seed(5)
    expected_after = torch.rand(3)

    def numbers_inside(*arguments: object) -> Tensor:
        torch.manual_seed(5)
        with seeded(*arguments):
            return torch.rand(3)

    first = numbers_inside(0, "fit")
    assert torch.equal(torch.rand(3), expected_after)
    torch.rand(100)
    assert torch.equal(numbers_inside(0, "fit"), first)
    assert not torch.equal(numbers_inside(1, "fit"), first)
    assert not torch.equal(numbers_inside(0, "initialise"), first)


def test_seeded_restores_the_global_state_after_an_error():
    def fail_inside() -> None:
        with seeded(0, "fit"):
            torch.rand(3)
            raise RuntimeError("inside")

    before = torch.get_rng_state()
    with pytest.raises(RuntimeError, match="inside"):
        fail_inside()
    assert torch.equal(torch.get_rng_state(), before)
