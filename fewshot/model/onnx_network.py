"""A classifier of square images in the operations that an ONNX export reproduces exactly."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from episodes.augment import warping
from fewshot.backbones import Backbone, Body
from fewshot.backbones import views as view_functions
from fewshot.backbones.side_by_side import SideBySide
from fewshot.functional import signed_root
from fewshot.model import reject
from fewshot.model.classifier import ImageClassifier


class SquareClassifier(nn.Module):
    """Square images -> probabilities, known scores and refusals.

    Args:
        classifier: the classifier; its network is shared, not copied.
    """

    def __init__(self, classifier: ImageClassifier) -> None:
        super().__init__()
        self.classifier = classifier
        self.extractor = extractor_of(classifier.backbone, classifier.decoding.size)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Classify images float [n, 3, size, size] in [0, 1].

        Returns:
            Probabilities [n, n_way], known scores [n], and whether images are refused, bool [n].
        """
        features = self.extractor(pixels)
        rejection = self.classifier.rejection
        known = reject.known_scores(rejection, features)
        probabilities = self.classifier.log_probabilities(features).exp()
        return probabilities, known, known < rejection.threshold


def extractor_of(backbone: Backbone, side: int) -> nn.Module:
    """Return the features of a backbone in evaluation mode, for images of one side in pixels."""
    if isinstance(backbone, SideBySide):
        return ExtractorsSideBySide([extractor_of(one, side) for one in backbone.networks])
    return Extractor(backbone, side)


class ExtractorsSideBySide(nn.Module):
    """Several extractors; see `SideBySide`."""

    def __init__(self, extractors: Sequence[nn.Module]) -> None:
        super().__init__()
        self.extractors = nn.ModuleList(extractors)

    def forward(self, images: Tensor) -> Tensor:
        return torch.cat([F.normalize(part(images), dim=1) for part in self.extractors], 1)


class Extractor(nn.Module):
    """A backbone in evaluation mode, for square images of one side in pixels.

    Resizing is two products with the matrix that resizes one axis, because exported antialiased
    interpolation differs between runtimes. The views pass through the network as one batch.
    """

    def __init__(self, backbone: Backbone, side: int) -> None:
        super().__init__()
        self.backbone = backbone
        for views in self._views(torch.zeros(1, 3, side, side)):
            for view in views:
                before = view.shape[-1]
                self.register_buffer(f"from_{before}", resizing(before, backbone.input_size))

    def forward(self, images: Tensor) -> Tensor:
        means = []
        for views in self._views(images):
            batch = torch.cat([self._normalised(view) for view in views])
            if view_functions.mirrored(self.backbone.views):
                batch = torch.cat([batch, batch.flip(-1)])
            features = self._features(batch)
            means.append(features.unflatten(0, (-1, images.shape[0])).mean(0))
        return torch.stack(means).mean(0)

    def _views(self, images: Tensor) -> list[list[Tensor]]:
        if self.backbone.crop < 1:
            images = view_functions.middle(images, self.backbone.crop)
        return view_functions.groups(images, self.backbone.views)

    def _normalised(self, images: Tensor) -> Tensor:
        if self.backbone.centre:
            images = warping.centred(images)
        if images.shape[-1] != self.backbone.input_size:
            matrix = self.get_buffer(f"from_{images.shape[-1]}")
            images = (matrix @ images @ matrix.T).clamp(0, 1)
        return (images - self.backbone.mean) / self.backbone.std

    def _features(self, images: Tensor) -> Tensor:
        finish, body = self.backbone.finish, self.backbone.body
        if finish is None:
            features = body(images)
        else:
            assert isinstance(body, Body)
            features = finish(body.levels(images))
        return signed_root(features) if self.backbone.root else features


def resizing(before: int, after: int) -> Tensor:
    """Return the matrix [after, before] by which a backbone resizes an axis."""
    columns = torch.eye(before)[None, None]
    return F.interpolate(columns, (after, before), mode="bilinear", antialias=True)[0, 0]
