"""The map from a body to the features of a pretrained network, against numpy formulas."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import softmax

from fewshot.backbones import Finish


def levels() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(5, 2, 4, generator=generator), torch.randn(5, 2, 3, generator=generator)]


def tensors() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    shapes = {
        "shift": (4,), "mix": (4, 4), "shift_before": (3,), "mix_before": (3, 3),
        "weight": (6, 4), "bias": (6,),
    }  # fmt: skip
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def mapped(level: torch.Tensor, shift: torch.Tensor, mix: torch.Tensor) -> np.ndarray:
    values = level.numpy()
    roots = np.sign(values) * (np.sqrt(np.abs(values) + 0.01) - 0.1)
    rows = ((roots - shift.numpy()) @ mix.numpy()).reshape(len(values), -1)
    return rows / np.sqrt(rows.shape[1])


def test_the_three_parts() -> None:
    state, (last, previous) = tensors(), levels()
    finish = Finish(**state)
    logits = last.numpy().mean(1) @ state["weight"].numpy().T + state["bias"].numpy()
    expected = np.sqrt(4) * np.concatenate(
        [
            mapped(last, state["shift"], state["mix"]),
            0.7 * mapped(previous, state["shift_before"], state["mix_before"]),
            0.8 * np.sqrt(softmax(logits, axis=1)),
        ],
        axis=1,
    )
    np.testing.assert_allclose(finish([last, previous]), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(finish.class_logits([last]), logits, rtol=1e-4, atol=1e-5)
    assert (finish.n_features, finish.n_classes) == (expected.shape[1], 6)


@pytest.mark.parametrize("without", [["weight", "bias"], ["shift_before", "mix_before"]])
def test_optional_parts_are_left_out(without: list[str]) -> None:
    state = {name: tensor for name, tensor in tensors().items() if name not in without}
    finish = Finish(**state)
    if "weight" in without:
        assert finish.n_classes == 0
        assert finish(levels()).shape == (5, finish.n_features)
    else:  # a body that is not pooled has one place
        assert finish([levels()[0][:, :1]]).shape == (5, 4 + 6)


def test_a_state_round_trip() -> None:
    finish, other = Finish(**tensors()), Finish(**{k: 0 * v for k, v in tensors().items()})
    other.load_state_dict(finish.state_dict())
    assert torch.equal(other(levels()), finish(levels()))
