"""The wrapper of every feature extractor: resizing, normalisation, precision and views."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from episodes.augment import warping
from episodes.types import Features
from fewshot.backbones import views as view_functions
from fewshot.backbones.class_names import ClassNames
from fewshot.backbones.finish import FeatureMap, Finish
from fewshot.backbones.networks import Body, Statistics
from fewshot.config import Views
from fewshot.functional import signed_root

CHUNK_PIXELS = 512 * 32 * 32  # of the images that go through a body at once
LEAST_CHUNK = 16  # images, however large they are


class Backbone(nn.Module):
    """Images float [n, 3, h, w] in [0, 1] -> features float [n, n_features].

    In evaluation mode the features of an image may be the mean over several views of it; in
    training mode the whole image is always seen once.

    Args:
        body: the network, from normalised images to features.
        n_features: the number of features of the body.
        input_size: side in pixels to which images are resized.
        statistics: mean and standard deviation of each channel, for the normalisation.
        stages: names of the parameters of each stage of the body, first to last.
        form: text that distinguishes networks which could hold the same weights.
        views: the views that are averaged in evaluation mode; see `views.groups`. With all values
            but `none` and `turn-zoom`, the mirror image of each view is another view.
        crop: the middle share of the side that is seen in evaluation mode.
        centre: whether the centre of an image's brightness is moved to its middle.
        root: whether features are replaced by their signed square roots.

    Attributes:
        finish: the map from the levels of the body to the features, or None for the body's own.
        classifier: of a teacher's pretraining, if `finish` has none; see `factory.from_file`.
        pretraining: the classes that the weights were trained on; None if they are not known.
        train_side: side in pixels in training mode; None for `input_size`. The trainer sets it.
        precision: `bfloat16` runs the body under autocast and returns float32 features. With
            `float32` everything has the dtype of the weights.
        build_again: builds the same network once more, with the same weights if they were loaded
            and with new ones if they are random.
    """

    mean: Tensor
    std: Tensor
    build_again: Callable[[], Backbone]

    def __init__(
        self,
        body: nn.Module,
        n_features: int,
        input_size: int,
        statistics: Statistics,
        stages: Sequence[Sequence[str]],
        form: str,
        views: Views = "none",
        crop: float = 1.0,
        centre: bool = False,
        root: bool = False,
    ) -> None:
        super().__init__()
        self.form = f"{form} root" if root else form
        self.views, self.crop, self.centre, self.root = views, crop, centre, root
        self.body = body
        self.finish: FeatureMap | None = None
        self.classifier: nn.Linear | None = None
        self.pretraining: ClassNames | None = None
        self.n_body_features = n_features
        self.input_size = input_size
        self.train_side: int | None = None
        self.stages = [[f"body.{name}" for name in stage] for stage in stages]
        self.precision: Literal["float32", "bfloat16"] = "float32"
        self.channels_last = False
        mean, std = statistics
        # On the CPU even where the body is built without memory for its weights.
        for name, values in (("mean", mean), ("std", std)):
            numbers = torch.tensor(values, device="cpu")[:, None, None]
            self.register_buffer(name, numbers, persistent=False)

    @property
    def n_features(self) -> int:
        """The number of features of an image."""
        return self.n_body_features if self.finish is None else self.finish.n_features

    @property
    def n_views(self) -> int:
        """How many times each image passes through the body in evaluation mode."""
        return view_functions.N_VIEWS[self.views]

    @property
    def image_side(self) -> int:
        """The side in pixels that images need so that no part of them is enlarged."""
        return view_functions.image_side(self.input_size, self.crop, self.views)

    def set_compute(self, precision: Literal["float32", "bfloat16"], channels_last: bool) -> None:
        """Set the precision and the memory layout, as chosen by `training.devices.resolve`."""
        self.precision = precision
        self.channels_last = channels_last
        layout = torch.channels_last if channels_last else torch.contiguous_format
        self.body.to(memory_format=layout)

    def initialise(self, images: Tensor) -> None:
        """Compute what some networks take from training images before they train from scratch.

        Args:
            images: float [n, 3, h, w] in [0, 1].
        """
        if isinstance(self.body, Body) and self.body.uses_initial_images:
            self.body.initialise(self._normalised(images, self.input_size))

    def forward(self, images: Tensor) -> Tensor:
        if self.training:
            return self._features(self._normalised(images, self.train_side or self.input_size))
        if self.crop < 1:
            images = view_functions.middle(images, self.crop)
        groups = view_functions.groups(images, self.views)
        return torch.stack([self._mean_features(group) for group in groups]).mean(0)

    def _mean_features(self, views: Sequence[Tensor]) -> Tensor:
        """Return the mean features of views [n, c, h, w], also of their mirror images if set so."""
        views = [self._normalised(view, self.input_size) for view in views]
        if view_functions.mirrored(self.views):
            views += [view.flip(-1) for view in views]
        n = len(views[0])
        # A few larger batches take less time than a batch for each view.
        together = max(1, _chunk_of_pixels(self.input_size**2) // max(1, n))
        features = [
            self._features(torch.cat(views[first : first + together]))
            for first in range(0, len(views), together)
        ]
        return torch.cat(features).unflatten(0, (len(views), n)).mean(0)

    @property
    def n_classes(self) -> int:
        """The number of classes of the pretraining, 0 if its classifier is not known."""
        if self.classifier is not None:
            return self.classifier.out_features
        return self.finish.n_classes if isinstance(self.finish, Finish) else 0

    def class_logits(self, images: Tensor) -> Tensor:
        """Return logits [n, n_classes] of the classes of the pretraining.

        The network must have its classifier, or a `Finish` that holds it.
        """
        images = self._normalised(images, self.input_size)
        if self.classifier is not None:
            return self.classifier(self._features(images))
        assert isinstance(self.finish, Finish)
        return self.finish.class_logits(self._levels(images))

    def _normalised(self, images: Tensor, side: int) -> Tensor:
        """Return images centred if set so, resized to a side in pixels and normalised."""
        if self.centre:
            images = warping.centred(images)
        if images.shape[-2:] != (side, side):
            resized = F.interpolate(images, (side, side), mode="bilinear", antialias=True)
            images = resized.clamp_(0, 1)
        return (images - self.mean) / self.std

    def _features(self, images: Tensor) -> Tensor:
        if self.finish is not None:
            features = self.finish(self._levels(images))
        else:
            features = self._run(lambda normalised: [self.body(normalised)], images)[0]
        return signed_root(features) if self.root else features

    def _levels(self, images: Tensor) -> list[Tensor]:
        assert isinstance(self.body, Body)
        return self._run(self.body.levels, images)

    def _run(self, function: Callable[[Tensor], list[Tensor]], images: Tensor) -> list[Tensor]:
        """Apply a function of the body in the precision and the layout of `set_compute`."""
        if self.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        if self.precision == "float32":
            return function(images)
        with torch.autocast(images.device.type, dtype=torch.bfloat16):
            return [output.float() for output in function(images)]


def embed(backbone: Backbone, images: Tensor) -> Tensor:
    """Return features [n, d] of images [n, c, h, w], in bounded chunks if gradients are off.

    `Features` [n, d] that were computed before pass through unchanged.
    """
    if isinstance(images, Features):
        return images.as_subclass(Tensor)
    if torch.is_grad_enabled():
        return backbone(images)
    return torch.cat([backbone(part) for part in images.split(chunk_size(backbone, images))])


def chunk_size(backbone: Backbone, images: Tensor) -> int:
    """Return how many images the backbone takes at once, so that memory is bounded at any size.

    Args:
        backbone: the network, whose input may be larger than the images.
        images: [n, c, h, w], of which only the size is read.
    """
    return _chunk_of_pixels(max(images.shape[-1] * images.shape[-2], backbone.input_size**2))


def _chunk_of_pixels(pixels: int) -> int:
    """Return how many images of so many pixels go through a body at once."""
    return max(LEAST_CHUNK, CHUNK_PIXELS // pixels)


def hold_batch_norm(module: nn.Module) -> Sequence[nn.Module]:
    """Make batch norm use its running statistics and leave them as they are.

    The statistics of a small support set would be poor.

    Returns:
        The layers that were in training mode.
    """
    kinds = nn.BatchNorm1d | nn.BatchNorm2d | nn.SyncBatchNorm
    layers = [layer for layer in module.modules() if isinstance(layer, kinds) and layer.training]
    for layer in layers:
        layer.eval()
    return layers
