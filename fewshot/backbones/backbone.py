"""The wrapper of every feature extractor: resizing, normalisation, precision, views, and what follows the body."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fewshot.config import Views
from fewshot.functional import rooted

CHUNK_PIXELS = 512 * 32 * 32
N_VIEWS: dict[Views, int] = {
    "none": 1,
    "flip": 2,
    "flip-crop": 4,
    "flip-shift": 6,
    "flip-crops": 12,
}
SMALLER = 0.875  # the share of the side that the second view of `flip-crop` sees
PLACES = 2  # of a pooled stage: its upper half and its lower half
BEFORE_SHARE = 0.7  # the length of what comes from the stage before the last, over that of what comes from the last
CLASS_SHARE = 0.8  # the same of the class probabilities' roots


class Finish(nn.Module):
    """What follows the body of a pretrained network of our own: its levels -> features [n, n_features].

    The roots of the last stage's features at each place (`functional.rooted`), minus `shift` [c], times `mix` [c, c],
    which pretraining finds (`functional.decorrelation`); the same of the stage before, where the body has one
    (`shift_before`, `mix_before`), BEFORE_SHARE times as long, whatever the two stages' widths; then, where the
    classifier of the body's features is known (`weight` [classes, c], `bias` [classes]), the square roots of its class
    probabilities, CLASS_SHARE times as long: classes as features (Torresani et al., Classemes, ECCV 2010), the inner
    product of the roots being Bhattacharyya's coefficient of two images' probabilities.
    """

    def __init__(
        self,
        shift: Tensor,
        mix: Tensor,
        shift_before: Tensor | None = None,
        mix_before: Tensor | None = None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
    ) -> None:
        super().__init__()
        given = {"shift": shift, "mix": mix, "shift_before": shift_before, "mix_before": mix_before}
        for key, each in {**given, "weight": weight, "bias": bias}.items():
            self.register_buffer(key, each)

    shift: Tensor
    mix: Tensor
    shift_before: Tensor | None
    mix_before: Tensor | None
    weight: Tensor | None
    bias: Tensor | None

    @property
    def n_classes(self) -> int:
        return 0 if self.weight is None else len(self.weight)

    @property
    def n_features(self) -> int:
        n_mapped = (
            len(self.mix)
            if self.mix_before is None
            else PLACES * (len(self.mix) + len(self.mix_before))
        )
        return n_mapped + self.n_classes

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        length = len(self.mix) ** 0.5
        parts = [_mapped(levels[0], self.shift, self.mix)]
        if self.shift_before is not None and self.mix_before is not None:
            parts.append(BEFORE_SHARE * _mapped(levels[1], self.shift_before, self.mix_before))
        if self.weight is not None:
            parts.append(CLASS_SHARE * (self.class_logits(levels).log_softmax(1) / 2).exp())
        return length * torch.cat(parts, 1)

    def class_logits(self, levels: Sequence[Tensor]) -> Tensor:
        """Of the pretraining's classes, [n, n_classes]."""
        return F.linear(levels[0].mean(1), self.weight, self.bias)  # type: ignore[arg-type]


def _mapped(level: Tensor, shift: Tensor, mix: Tensor) -> Tensor:
    """Roots [n, places, c] mapped, [n, places * c], of length one where each mapped value has a mean square of one."""
    mapped = ((rooted(level) - shift) @ mix).flatten(1)
    return mapped / mapped.shape[1] ** 0.5


class Backbone(nn.Module):
    """Images float [n, 3, h, w] in [0, 1] -> features [n, n_features].

    input_size: side in pixels that images are resized to; train_side: the same while training, where the trainer
    sets it; stages: parameter names of each stage, first to last;
    form: what tells one network from another of the same weights; finish: what follows the body, or nothing.
    another: builds the same once more, with the same weights where they were loaded and new ones where random.
    precision: `bfloat16` runs the body under autocast and gives float32 features; otherwise the dtype of the
    weights is kept, so heads and losses never see half precision.
    In evaluation mode alone: crop, the middle share of the side that is seen; views, where `flip` gives the mean of
    the features of an image and of its mirror image, `flip-crop` that of both and of the middle of both, 7/8 of the
    side, `flip-crops` also that of the four corners of both, of the same side (ten-crop testing, Krizhevsky et al.,
    NeurIPS 2012, and the whole image), and `flip-shift` that of both, and with the same weight that of both moved by a
    pixel along a diagonal each way (Jordan, arXiv 2404.00498, section 3.5).
    """

    mean: Tensor
    std: Tensor
    another: Callable[[], Backbone]

    def __init__(
        self,
        body: nn.Module,
        n_features: int,
        input_size: int,
        statistics: tuple[tuple[float, ...], tuple[float, ...]],
        stages: list[list[str]],
        form: str,
        views: Views = "none",
        crop: float = 1.0,
    ) -> None:
        super().__init__()
        self.form = form
        self.views, self.crop = views, crop
        self.body = body
        self.finish: Finish | _Finishes | None = None
        self.n_body_features = n_features
        self.input_size = input_size
        self.train_side: int | None = None
        self.stages = [[f"body.{name}" for name in stage] for stage in stages]
        self.precision: Literal["float32", "bfloat16"] = "float32"
        self.channels_last = False
        for key, values in zip(("mean", "std"), statistics, strict=True):
            self.register_buffer(key, torch.tensor(values)[:, None, None], persistent=False)

    @property
    def n_features(self) -> int:
        return self.n_body_features if self.finish is None else self.finish.n_features

    @property
    def n_views(self) -> int:
        """How often each image goes through the body in evaluation mode."""
        return N_VIEWS[self.views]

    def set_compute(self, precision: Literal["float32", "bfloat16"], channels_last: bool) -> None:
        """Precision and memory layout, as measured for this machine."""
        self.precision = precision
        self.channels_last = channels_last
        if channels_last:
            self.body.to(memory_format=torch.channels_last)

    def begin(self, images: Tensor) -> None:
        """Before a training from random weights: what a body finds from training images once, where it does."""
        bodies = self.body.bodies if isinstance(self.body, _SideBySide) else [self.body]
        that_begin = [body for body in bodies if hasattr(body, "begin")]
        if that_begin:
            prepared = self._prepared(images, self.input_size)
            for body in that_begin:
                body.begin(prepared)  # type: ignore[operator]

    def forward(self, images: Tensor) -> Tensor:
        if self.training:
            return self._features(self._prepared(images, self.train_side or self.input_size))
        if self.crop < 1:
            images = _middle(images, self.crop)
        groups = [[images]]
        if self.views in ("flip-crop", "flip-crops"):
            groups[0].append(_middle(images, SMALLER))
        if self.views == "flip-crops":
            groups[0] += _corners(images, SMALLER)
        if self.views == "flip-shift":
            padded = F.pad(images, (1, 1, 1, 1), mode="reflect")
            groups.append([padded[..., :-2, :-2], padded[..., 2:, 2:]])
        return torch.stack([self._seen(group) for group in groups]).mean(0)

    def _seen(self, views: Sequence[Tensor]) -> Tensor:
        """The mean features of views [n, c, h, w], and where so configured of their mirror images."""
        views = [self._prepared(each, self.input_size) for each in views]
        if self.views != "none":
            views += [each.flip(-1) for each in views]
        n = len(views[0])
        together = max(
            1, _at_once(self.input_size**2) // max(1, n)
        )  # a few larger batches take less time
        parts = [
            torch.cat(views[first : first + together]) for first in range(0, len(views), together)
        ]
        return (
            torch.cat([self._features(part) for part in parts])
            .unflatten(0, (len(views), n))
            .mean(0)
        )

    def class_logits(self, images: Tensor) -> Tensor:
        """Of the classes that pretraining told apart, [n, n_classes]; only where `finish` holds its classifier."""
        assert isinstance(self.finish, Finish)
        return self.finish.class_logits(self._levels(self._prepared(images, self.input_size)))

    def _prepared(self, images: Tensor, side: int) -> Tensor:
        """Resized and normalised."""
        if images.shape[-2:] != (side, side):
            images = F.interpolate(images, (side, side), mode="bilinear", antialias=True).clamp_(
                0, 1
            )
        return (images - self.mean) / self.std

    def _features(self, images: Tensor) -> Tensor:
        if self.finish is not None:
            return self.finish(self._levels(images))
        return self._run(lambda each: [self.body(each)], images)[0]

    def _levels(self, images: Tensor) -> list[Tensor]:
        return self._run(self.body.levels, images)  # type: ignore[arg-type]

    def _run(self, function: Callable[[Tensor], list[Tensor]], images: Tensor) -> list[Tensor]:
        """A function of the body, in the precision and layout that were set."""
        if self.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        if self.precision == "float32":
            return function(images)
        with torch.autocast(images.device.type, dtype=torch.bfloat16):
            return [each.float() for each in function(images)]


class _SideBySide(nn.Module):
    """Bodies on the same images, or in training each on its part of them, their features one after the other."""

    def __init__(self, bodies: Sequence[nn.Module], parted: bool) -> None:
        super().__init__()
        self.bodies = nn.ModuleList(bodies)
        self.parted = parted

    def _seen(self, images: Tensor) -> list[Tensor]:
        """What each body sees; what is left over of as many images each is dropped."""
        m = len(self.bodies)
        if self.parted and self.training and len(images) >= m:
            return list(images[: len(images) // m * m].chunk(m))
        return [images] * m

    def forward(self, images: Tensor) -> Tensor:
        return torch.cat(
            [body(own) for body, own in zip(self.bodies, self._seen(images), strict=True)], 1
        )

    def levels(self, images: Tensor) -> list[Tensor]:
        return [
            level
            for body, own in zip(self.bodies, self._seen(images), strict=True)
            for level in body.levels(own)  # type: ignore[operator]
        ]


class _Finishes(nn.Module):
    """What follows each of the bodies, on its part of the levels."""

    def __init__(self, finishes: Sequence[Finish]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(finishes)
        self.n_features = sum(each.n_features for each in finishes)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        each = len(levels) // len(self.parts)
        return torch.cat(
            [part(levels[number * each :][:each]) for number, part in enumerate(self.parts)], 1
        )


def side_by_side(networks: Sequence[Backbone], parted: bool = False) -> Backbone:
    """Networks of one form, each with its own weights, as one that gives [n, features of the first, the second, ...].

    parted: in training each of m networks sees an m-th of the images, in order, and n is that many. Its stages are
    those of all, so that what is said of a stage (frozen, its rate) holds for each network.
    """
    first = networks[0]
    stages = [
        [
            name.replace("body.", f"bodies.{number}.", 1)
            for number in range(len(networks))
            for name in stage
        ]
        for stage in first.stages
    ]
    statistics = (tuple(first.mean.flatten().tolist()), tuple(first.std.flatten().tolist()))
    body = _SideBySide([each.body for each in networks], parted)
    form, n_features = f"{first.form} x{len(networks)}", first.n_body_features * len(networks)
    joined = Backbone(
        body, n_features, first.input_size, statistics, stages, form, first.views, first.crop
    )
    finishes = [each.finish for each in networks if isinstance(each.finish, Finish)]
    joined.finish = _Finishes(finishes) if finishes else None
    return joined


def _middle(images: Tensor, share: float) -> Tensor:
    """The middle of the images, a share of each side in whole pixels."""
    height, width = _shared(images, share)
    top, left = (images.shape[-2] - height) // 2, (images.shape[-1] - width) // 2
    return images[..., top : top + height, left : left + width]


def _corners(images: Tensor, share: float) -> list[Tensor]:
    """The four corners of the images, each a share of both sides."""
    height, width = _shared(images, share)
    return [images[..., rows, columns] for rows in (slice(height), slice(-height, None))
            for columns in (slice(width), slice(-width, None))]  # fmt: skip


def _shared(images: Tensor, share: float) -> tuple[int, int]:
    h, w = images.shape[-2:]
    return max(1, round(share * h)), max(1, round(share * w))


def embed(backbone: nn.Module, images: Tensor) -> Tensor:
    """Features [n, d] of images [n, c, h, w], in chunks of bounded memory where no gradient is wanted.

    What is features already (float [n, d], computed once and kept) is passed on.
    """
    if images.ndim == 2:
        return images
    if torch.is_grad_enabled():
        return backbone(images)
    return torch.cat([backbone(part) for part in images.split(chunk_size(backbone, images))])


def chunk_size(backbone: nn.Module, images: Tensor) -> int:
    """How many images of this size the backbone takes at once, for memory that does not depend on their size."""
    side = getattr(backbone, "input_size", 1)
    return _at_once(max(images.shape[-1] * images.shape[-2], side * side))


def _at_once(pixels: int) -> int:
    """How many images of so many pixels go through a body at once."""
    return max(16, CHUNK_PIXELS // pixels)


def hold_batch_norm(module: nn.Module) -> None:
    """Batch norm uses and keeps its running statistics: a small support has none worth learning."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d | nn.SyncBatchNorm):
            part.eval()
