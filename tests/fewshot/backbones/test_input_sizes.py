"""Oracles: the forward pass of the same networks with real weights, and rules written by hand."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import nn

from episodes.errors import UserError
from fewshot.backbones import OWN, input_sizes, networks


def conv(side: int) -> nn.Module:
    return networks.conv4(side, width=4)


class Halving(nn.Module):
    """A network for sides of at least 16 that are divisible by 12."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        side = images.shape[-1]
        if side < 16 or side % 12:
            raise ValueError(f"no {side}")
        return images.mean((1, 2))


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("side", [6, 17, 32])
def test_a_network_is_tried_as_it_runs(name: str, side: int) -> None:
    make: Callable[[], nn.Module] = partial(OWN[name], side)
    try:
        with torch.no_grad():
            shape = tuple(make().eval()(torch.rand(2, 3, side, side)).shape[1:])
    except (AssertionError, RuntimeError, ValueError):
        assert not input_sizes.takes(make, side)
    else:
        assert input_sizes.try_out(make, side) == (shape, None)


def test_a_trial_leaves_the_random_numbers_alone() -> None:
    state = torch.get_rng_state()
    assert input_sizes.takes(partial(conv, 32), 32)
    assert torch.equal(torch.get_rng_state(), state)


def test_outputs_that_are_no_tensor_have_no_shape() -> None:
    class Several(nn.Module):
        def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
            return [images, images]

    assert input_sizes.try_out(Several, 8) == (None, None)


@pytest.mark.parametrize(("side", "near"), [(100, [96, 108]), (13, [24]), (30, [24, 36])])
def test_the_nearest_sides_that_a_network_takes(side: int, near: list[int]) -> None:
    reason = input_sizes.try_out(Halving, side).refusal
    assert reason == f"no {side}"
    assert input_sizes.nearest_sides(partial(input_sizes.takes, Halving), side) == near


def test_the_message_names_what_works() -> None:
    message = str(input_sizes.refusal("x", 100, "no 100", 224, [96, 224]))
    assert message == (
        "backbone 'x' takes no images of 100 pixels (no 100): use --set backbone.input_size=96, or "
        "leave out backbone.input_size for 224."
    )
    assert "): leave out backbone.input_size" in str(input_sizes.refusal("x", 1, "no", 32, []))
    assert isinstance(input_sizes.refusal("x", 1, "no", 32, []), UserError)
