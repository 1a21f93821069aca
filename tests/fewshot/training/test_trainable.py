"""Oracle: Python's rule that a class with an abstract method cannot be instantiated."""

import pytest
import torch
from torch import Tensor, nn

from fewshot.learners.base import Learner
from fewshot.training.trainable import Trainable


class Line(Trainable):
    """A model with one weight, whose loss is the weight times the item."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(3.0))

    def loss(self, item: float) -> Tensor:
        return self.weight * item


def test_a_model_without_a_loss_cannot_be_built():
    with pytest.raises(TypeError, match="loss"):
        Trainable()  # type: ignore[abstract]


def test_a_loss_is_all_that_a_model_must_define():
    model = Line()
    model.on_step(0.5)  # does nothing unless a model overrides it
    model.loss(2.0).backward()
    assert model.weight.grad == torch.tensor(2.0)
    assert [name for name, _ in model.named_parameters()] == ["weight"]


def test_every_learner_is_trainable():
    assert issubclass(Learner, Trainable)
