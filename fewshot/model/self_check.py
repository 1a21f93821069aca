"""Images on which a model file checks that it still gives the probabilities it was saved with."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from episodes.streams import as_float
from fewshot.backbones import Backbone
from fewshot.model.classifier import ImageClassifier

N_IMAGES = 3
LARGEST_SIDE = 64  # pixels; networks resize the images themselves
TOLERANCE = 1e-3  # of the probabilities; processors round differently


def side_of(side: int) -> int:
    """Return the side in pixels of the images for a classifier of images of a side."""
    return min(side, LARGEST_SIDE)


def patterns(side: int) -> Tensor:
    """Return smooth patterns of colours, uint8 [N_IMAGES, 3, side, side].

    Args:
        side: side of the images of the classifier in pixels; those of the patterns may be smaller.
    """
    side = side_of(side)
    generator = torch.Generator().manual_seed(0)
    colours = torch.rand(N_IMAGES, 3, 5, 5, generator=generator)
    patterns = F.interpolate(colours, (side, side), mode="bicubic", align_corners=False)
    return (255 * patterns.clamp(0, 1)).round().to(torch.uint8)


@torch.no_grad()
def probabilities(classifier: ImageClassifier, backbone: Backbone, images: Tensor) -> Tensor:
    """Return the probabilities of images by a classifier with a network on the CPU."""
    features = backbone(as_float(images)).float()
    return classifier.log_probabilities(features).exp()


def largest_difference(classifier: ImageClassifier, images: Tensor, expected: Tensor) -> float:
    """Return the largest difference to the expected probabilities; NaN if one is not a number."""
    actual = probabilities(classifier, classifier.backbone, images)
    return float((actual - expected).abs().max())
