"""An easy task with a known answer: every class is a colour with noise."""

from __future__ import annotations

import torch
from torch import Tensor

from episodes import augment, streams
from episodes.rng import generator
from episodes.types import ImageSet, Labelled
from fewshot import backbones
from fewshot.learners.base import Classifier, Learner, Task

COLOURS = torch.tensor([[0.9, 0.2, 0.2], [0.2, 0.8, 0.3], [0.2, 0.3, 0.9], [0.8, 0.8, 0.2]])
N_WAY = len(COLOURS)
TASK = Task(
    N_WAY, torch.tensor([1, 0, 0, 1])
)  # not in the order of the classes; the colours most alike apart


class Stub(Learner):
    """A learner that does nothing; a test replaces the method or the attribute that it is about."""

    feed = None

    def __init__(self) -> None:
        super().__init__(backbones.build("conv4", options={"width": 4}))

    def loss(self, item: object) -> Tensor:
        raise NotImplementedError

    def adapt(self, support: Labelled) -> Classifier:
        raise NotImplementedError


def images(per_class: int, seed: int) -> ImageSet:
    labels = torch.arange(N_WAY).repeat_interleave(per_class)
    noise = torch.rand(len(labels), 3, 32, 32, generator=generator(seed, "easy"))
    pixels = (0.7 * COLOURS[labels][:, :, None, None] + 0.3 * noise).mul(255).to(torch.uint8)
    return ImageSet("easy", pixels, labels, tuple("abcd"), f"easy-{per_class}-{seed}", {})


def labelled(per_class: int, seed: int) -> Labelled:
    image_set = images(per_class, seed)
    return streams.labelled(image_set, torch.arange(len(image_set)), "cpu")


def stream(feed: str, per_class: int = 6, seed: int = 0):
    """Return step -> item of the kind that a learner trains on."""
    image_set = images(per_class, seed)
    pool = streams.pool(image_set, torch.arange(len(image_set)), "cpu")
    change = augment.build(["flip"], N_WAY)
    if feed == "episodes":
        return streams.episodes(pool, N_WAY, per_class // 2, per_class // 2, change, seed)
    if feed == "pairs":
        return streams.pairs(pool, 16, change, seed)
    return streams.batches(pool, 16, change, seed)
