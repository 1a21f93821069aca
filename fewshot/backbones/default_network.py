"""The network that turns images into features where the user names none."""

from __future__ import annotations

from fewshot.backbones import imagenet_packages
from fewshot.config import BackboneSettings

SMALL_UP_TO = 64  # pixels; larger images are for a network of larger images
SMALL = BackboneSettings(name="mini-resnet", weights="pretrained", views="flip-crop")
# Chosen among lite0, lite1 and lite2, sides, views and layers on photos: docs/log.md.
LARGE = BackboneSettings(name="tf_efficientnet_lite2", weights="pretrained", input_size=224)


def default(side: int) -> BackboneSettings:
    """Return the network for images of a natural side in pixels.

    It is the ImageNet network for images beyond SMALL_UP_TO pixels where its package is installed,
    and otherwise the network that is shipped, with the views of the probe.
    """
    has_large = imagenet_packages.weights_file(LARGE.name) is not None
    return LARGE if side > SMALL_UP_TO and has_large else SMALL
