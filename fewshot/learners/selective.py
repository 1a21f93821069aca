"""Selective back-propagation: only the images that a small network finds hardest train.

Source: airbench96_faster.py in Keller Jordan's repository cifar10-airbench.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from episodes.types import Labelled
from fewshot import functional
from fewshot.backbones import Backbone, build
from fewshot.learners.base import Learner
from fewshot.learners.variation import Variation

PROXY_SIDE = 20  # pixels; a side at which the small network costs little
PROXY_WIDTHS = [32, 64, 64]


class SelectiveBackprop(Variation[Learner]):
    """A learner that trains on the images of each batch with the greatest loss to a proxy.

    The proxy is a small network of its own that trains on the same images; it is not used after
    the training. Its loss adds its gradient to the loss of the learner, but not its value.

    Args:
        learner: a supervised learner, possibly an ensemble or one with self-distillation.
        n_way: number of classes.
        share: share of each batch that trains.
        until: share of the training in which images are selected; whole batches train after it.
    """

    def __init__(self, learner: Learner, n_way: int, share: float, until: float = 1.0) -> None:
        super().__init__(learner, images=True)
        self.share, self.until = share, until
        self.selecting = True
        network = build("speed-cnn", options={"widths": PROXY_WIDTHS}, input_size=PROXY_SIDE)
        self.proxy = nn.Sequential(network, nn.Linear(network.n_features, n_way, bias=False))

    def on_step(self, progress: float) -> None:
        super().on_step(progress)
        self.selecting = progress < self.until

    def loss(self, item: Labelled) -> Tensor:
        if not self.selecting:
            # Every parameter needs a gradient, which DistributedDataParallel waits for.
            no_loss = sum(0 * parameter.sum() for parameter in self.proxy.parameters())
            return self.learner.loss(item) + no_loss
        network = self.proxy[0]
        assert isinstance(network, Backbone)
        network.set_compute(self.backbone.precision, self.backbone.channels_last)
        with torch.no_grad():
            n_chosen = math.ceil(self.share * len(item.images))
            chosen = functional.hardest(self.proxy(item.images), item.labels, n_chosen)
        indices = None if item.pool_indices is None else item.pool_indices[chosen]
        hardest = Labelled(item.images[chosen], item.labels[chosen], indices)
        proxy_loss = functional.cross_entropy(self.proxy(hardest.images), hardest.labels)
        return self.learner.loss(hardest) + (proxy_loss - proxy_loss.detach())
