"""A classifier of images that is fitted: what a model file holds, and all that it can compute."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from episodes.types import Decoding, ImageSet
from fewshot.backbones import Backbone
from fewshot.config import BackboneSettings, Prior
from fewshot.features import frozen
from fewshot.heads.affine import AffineHead
from fewshot.model.card import Card
from fewshot.model.reject import Rejection


def for_models(backbone: Backbone) -> Backbone:
    """Let a network compute as in all classifiers, on every machine, and return it.

    It computes in float32, with the channels in the last place in memory, which is faster for
    convolutional networks on every processor that was measured (docs/log.md) and changes only the
    last bits. On a GPU, convolutions do not round to TF32, as they would by default.
    """
    torch.backends.cudnn.allow_tf32 = False
    backbone.set_compute("float32", channels_last=True)
    return backbone


@torch.no_grad()
def features_of(backbone: Backbone, pixels: Tensor) -> Tensor:
    """Return features float32 [n, d] of pixels uint8 [n, 3, side, side], on the CPU.

    An image gets the same features, bit for bit, whatever other images are with it.
    """
    if not len(pixels):
        return torch.empty(0, backbone.n_features)
    labels = torch.zeros(len(pixels), dtype=torch.int64)
    images = ImageSet("", pixels, labels, (), "", {})
    device = str(next(backbone.parameters()).device)
    return frozen.extract(backbone, images, torch.arange(len(pixels)), device)


class Recipe(NamedTuple):
    """How the head is fitted to features, so that it can be fitted again to more of them.

    Attributes:
        kind: classifier on frozen features, as `probe` names them; `trained` for a head that
            was trained together with the network, which more images cannot change.
        c: inverse strength of the regularisation of logistic and ridge regression.
        scale: factor of the logits of the other classifiers.
        centre: whether the mean of the labelled images is subtracted.
        normalise: whether features, after centring, are scaled to unit length.
        prior: how frequent the classes are expected to be; it is in the bias of the head.
        seed: seed of the folds on which the temperature was chosen.
    """

    kind: Literal["logistic", "ridge", "nearest-mean", "cosine", "trained"]
    c: float = 1.0
    scale: float = 10.0
    centre: bool = True
    normalise: bool = True
    prior: Prior = "balanced"
    seed: int = 0


class LabelledFeatures(NamedTuple):
    """The labelled images of a classifier, as features of its network.

    Attributes:
        features: float32 [n, d].
        labels: int64 [n].
        names: path or number of each image, for `kneighbors` and messages.
        clusters: number of the cluster of each image, such as copies, int64 [n]; images of one
            cluster are in one fold. None if each is on its own.
    """

    features: Tensor
    labels: Tensor
    names: tuple[str, ...]
    clusters: Tensor | None = None


@dataclass(frozen=True, eq=False)
class ImageClassifier:
    """A fitted classifier of images.

    Attributes:
        classes: class names, in the order of the logits.
        decoding: how image files become pixels.
        settings: the network by name, as `backbones.build` takes it.
        backbone: the network with its weights, in evaluation mode.
        head: features -> logits; the prior is in its bias.
        temperature: divides the logits.
        recipe: how the head was fitted.
        support: the labelled images.
        rejection: what refuses images of no known class.
        fold_scores: one minus the probability of the true class, of labelled images that were held
            out, float [n]; empty if there were none.
        card: how it was made.
    """

    classes: tuple[str, ...]
    decoding: Decoding
    settings: BackboneSettings
    backbone: Backbone
    head: AffineHead
    temperature: float
    recipe: Recipe
    support: LabelledFeatures
    rejection: Rejection
    fold_scores: Tensor
    card: Card

    def features(self, pixels: Tensor) -> Tensor:
        """Return features float32 [n, d] of pixels uint8 [n, 3, side, side], on the CPU.

        An image gets the same features, bit for bit, whatever other images are with it.
        """
        return features_of(self.backbone, pixels)

    def log_probabilities(self, features: Tensor) -> Tensor:
        """Return calibrated log probabilities [n, n_way] of features [n, d]."""
        return (self.head(features) / self.temperature).log_softmax(1)
