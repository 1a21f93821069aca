"""Which images a network takes, tried on torch's meta device: without weights and without work."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from fewshot.errors import UserError, one_line

STEPS = (32, 16, 14, 12, 8)  # pixels; sides are multiples of the stride or of the side of a patch


class Tried(NamedTuple):
    """What a network makes of images.

    Attributes:
        shape: shape of its output for one image; None if it gives no tensor.
        refusal: why it refuses the images; None if it takes them.
    """

    shape: tuple[int, ...] | None
    refusal: str | None


def try_out(make: Callable[[], nn.Module], side: int) -> Tried:
    """Give a network images of a side.

    Args:
        make: builds the network.
        side: the side of the images in pixels.
    """
    try:
        body = on_meta(make)
        with torch.device("meta"), torch.no_grad():
            output = body(torch.zeros(2, 3, side, side))
    except UserError:
        raise
    except Exception as error:  # networks check their input by exceptions of any kind
        return Tried(None, one_line(error) or type(error).__name__)
    return Tried(tuple(output.shape[1:]) if isinstance(output, Tensor) else None, None)


def takes(make: Callable[[], nn.Module], side: int) -> bool:
    """Return whether a network takes images of a side in pixels."""
    return try_out(make, side).refusal is None


def on_meta(make: Callable[[], nn.Module]) -> nn.Module:
    """Return a network without memory for its weights, in evaluation mode."""
    with warnings.catch_warnings(), torch.device("meta"), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")  # timm warns about models that it has renamed
        return make().eval()


def nearest_sides(is_taken: Callable[[int], bool], side: int) -> list[int]:
    """Return the nearest sides below and above one that a network takes, if there are any.

    Args:
        is_taken: whether the network takes a side.
        side: the side in pixels that it does not take.
    """
    below = {side // step * step for step in STEPS} - {0, side}
    above = {side // step * step + step for step in STEPS}
    smaller = next((one for one in sorted(below, reverse=True) if is_taken(one)), None)
    larger = next((one for one in sorted(above) if is_taken(one)), None)
    return [one for one in (smaller, larger) if one is not None]


def refusal(name: str, side: int, reason: str, default: int, near: list[int]) -> UserError:
    """Return the error for a side that a network does not take.

    Args:
        name: name of the network.
        side: the side in pixels.
        reason: why it does not take it.
        default: the side that it takes by default.
        near: the nearest sides that it takes.
    """
    others = " or ".join(str(one) for one in near if one != default)
    use = f"use --set backbone.input_size={others}, or " if others else ""
    return UserError(
        f"backbone '{name}' takes no images of {side} pixels ({reason}): {use}"
        f"leave out backbone.input_size for {default}."
    )
