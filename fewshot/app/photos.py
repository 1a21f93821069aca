"""Read photos once: their features for the classifier, and a small picture for the page."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor

from episodes.datasets import copies
from episodes.datasets.decoding.decode import decode_upright
from episodes.datasets.decoding.image_formats import (
    broken_image_errors,
    quiet_pillow,
    why_skipped,
)
from episodes.datasets.decoding.parallel_decode import decoded_chunks
from episodes.types import Decoding
from fewshot import backbones, progress
from fewshot.backbones import Backbone
from fewshot.config import BackboneSettings
from fewshot.errors import UserError, one_line
from fewshot.model import candidates, inputs
from fewshot.model.classifier import ImageClassifier, features_of
from fewshot.model.image_listing import NotRead

CHUNK = 32  # photos that are in memory at once
LARGEST_FILE = 64 * 2**20  # bytes
THUMBNAIL = 320  # pixels of the longer side
QUALITY = 85  # of the JPEG files of the small pictures


class File(NamedTuple):
    """A file to read.

    Attributes:
        path: where it lies.
        name: how messages and tables name it.
        is_upload: whether it is a copy that the browser sent, which is removed when it is read.
    """

    path: Path
    name: str
    is_upload: bool = False


@dataclass(frozen=True, eq=False)
class Photo:
    """A photo that was read.

    Attributes:
        key: hash of the file's content, which identifies the photo.
        name: how messages and tables name it.
        features: float32 [d].
        pixels: the network's input at 32 pixels or fewer, uint8 [3, h, w], which shows copies.
        thumbnail: file of a small picture of it.
        place: where its file lies; None for an upload.
        label: name of its class; None without a label.
    """

    key: str
    name: str
    features: Tensor
    pixels: Tensor
    thumbnail: Path
    place: Path | None = None
    label: str | None = None


class Body(NamedTuple):
    """The network of the page, and how files become its input.

    Attributes:
        settings: the network by name.
        backbone: the network, in evaluation mode, on its device.
        decoding: how image files become pixels.
    """

    settings: BackboneSettings
    backbone: Backbone
    decoding: Decoding


class Reading(NamedTuple):
    """What came of reading files: the photos, and the files that are none."""

    photos: list[Photo]
    broken: list[NotRead]


def stacked(photos: Sequence[Photo]) -> Tensor:
    """Return the features of one photo or more, float32 [n, d]."""
    return torch.stack([photo.features for photo in photos])


def body_of(classifier: ImageClassifier) -> Body:
    """Return the network of a classifier."""
    return Body(classifier.settings, classifier.backbone, classifier.decoding)


def body_for(files: Sequence[File], device: str) -> Body:
    """Choose the network by the size of photos, as `fewshot fit` does.

    Args:
        files: the first photos.
        device: cpu, cuda and so on.
    """
    images = inputs.images_of([file.path for file in files])
    settings = backbones.default(inputs.natural_side(images))
    no_labels = torch.zeros(len(files), dtype=torch.int64)
    side = backbones.input_side(settings)
    decoding, _ = inputs.decoding_of(images, no_labels, side, "crop")
    return Body(settings, candidates.build(settings, device), decoding)


def read(files: Sequence[File], body: Body, folder: Path) -> Reading:
    """Read files, and write their small pictures to a folder; memory holds some at a time.

    Args:
        files: the files.
        body: the network.
        folder: existing folder for the small pictures.

    Raises:
        UserError: a small picture cannot be written.
    """
    result = Reading([], [])
    done = 0
    with quiet_pillow():
        for chunk in _chunks(files):
            progress.update(f"{done:,} of {len(files):,} photos")
            part = _read_chunk(chunk, body, folder)
            result.photos.extend(part.photos)
            result.broken.extend(part.broken)
            done += len(chunk)
            for file in chunk:
                if file.is_upload:
                    file.path.unlink(missing_ok=True)
    return result


def _chunks(files: Sequence[File]) -> Iterator[Sequence[File]]:
    for start in range(0, len(files), CHUNK):
        yield files[start : start + CHUNK]


def _read_chunk(files: Sequence[File], body: Body, folder: Path) -> Reading:
    contents: list[tuple[File, bytes]] = []
    broken: list[NotRead] = []
    for file in files:
        try:
            if file.path.stat().st_size > LARGEST_FILE:
                broken.append(NotRead(file.name, f"larger than {LARGEST_FILE >> 20} MB"))
            else:
                contents.append((file, file.path.read_bytes()))
        except OSError as error:
            broken.append(NotRead(file.name, error.strerror or one_line(error)))
    if not contents:
        return Reading([], broken)
    decoded = next(decoded_chunks([[content for _, content in contents]], body.decoding))
    pixels = torch.from_numpy(decoded.pixels)
    good = zip(features_of(body.backbone, pixels), copies.reduced(pixels), strict=True)
    photos = []
    for (file, content), reason in zip(contents, decoded.reasons, strict=True):
        if reason is not None:
            broken.append(NotRead(file.name, reason))
            continue
        key = hashlib.sha256(content).hexdigest()
        features, own_pixels = next(good)
        try:
            small = _thumbnail(content)
        except broken_image_errors() as error:
            broken.append(NotRead(file.name, why_skipped(content, error)))
            continue
        thumbnail = folder / f"{key}.jpg"
        try:
            thumbnail.write_bytes(small)
        except OSError as error:
            raise UserError(
                f"{thumbnail} could not be written ({error.strerror}): free some space, or set "
                "TMPDIR to another folder."
            ) from None
        place = None if file.is_upload else file.path.absolute()
        photos.append(Photo(key, file.name, features, own_pixels, thumbnail, place))
    return Reading(photos, broken)


def _thumbnail(content: bytes) -> bytes:
    """Return a small picture of an image file, as a JPEG file."""
    pixels = decode_upright(content, Decoding(THUMBNAIL // 2))
    image = Image.fromarray(pixels)
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    stream = BytesIO()
    image.save(stream, "JPEG", quality=QUALITY)
    return stream.getvalue()
