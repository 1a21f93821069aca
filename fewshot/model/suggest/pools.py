"""Read the images of a pool and the labelled ones, as features of one network."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fewshot import backbones, progress
from fewshot.errors import UserError
from fewshot.model import candidates, growing, image_listing
from fewshot.model.classifier import ImageClassifier
from fewshot.model.image_listing import NotRead
from fewshot.model.suggest import uncertainty, unlabelled
from fewshot.model.suggest.picks import Pool
from fewshot.model.suggest.uncertainty import Classify
from fewshot.model.suggest.unlabelled import Files, Payloads, Read, Rows
from fewshot.training import devices


@dataclass(frozen=True, eq=False)
class ImagePool:
    """The images among which some are to be labelled.

    Attributes:
        names: path or number of each image.
        files: its file; None if images are rows of a table.
        pool: their features, and the images that have labels.
        classes: classes of the labels, in their order; empty without labels.
        classifier: the classifier that was given; None without one.
        classify: features -> calibrated probabilities of the classes; None if there are too few
            labels.
        copies: images of one number are the same image, int64 [n].
        payloads: positions -> the encoded images at these positions.
        left_out: files that could not be read.
        n_known: images of the pool that have a label already, which are not in it.
    """

    names: tuple[str, ...]
    files: tuple[Path, ...] | None
    pool: Pool
    classes: tuple[str, ...]
    classifier: ImageClassifier | None
    classify: Classify | None
    copies: Tensor
    payloads: Payloads
    left_out: tuple[NotRead, ...]
    n_known: int

    def __len__(self) -> int:
        return len(self.names)


def read(
    places: Sequence[str | Path] | str | Path,
    *,
    model: ImageClassifier | None = None,
    labelled: str | None = None,
    device: str | None = None,
) -> ImagePool:
    """Read a pool.

    Features are those of the classifier, or of the default network for the size of the images.
    They are cached.

    Args:
        places: image files and folders; or one table or archive, or the name of a data set, whose
            training images are the pool. Labels are not read.
        model: a classifier of the labelled images.
        labelled: in its place, a folder or file of labelled images, or the name of a data set.
        device: cpu, cuda and so on; None for a GPU if there is one.

    Raises:
        UserError: there is no image, or no image without a label.
    """
    if model is not None and labelled is not None:
        raise UserError("give either a model or labelled images: a model has its labelled images.")
    source = unlabelled.located([places] if isinstance(places, str | Path) else places).sampled()
    images, known = _features(source, model, labelled, device)
    if not images.names:
        reasons = image_listing.summary(images.left_out)
        raise UserError(f"the pool has no image that can be read: {reasons}.")
    if model is not None:
        support, labels, classes = model.support.features, model.support.labels, model.classes
        left_out = images.left_out
    elif known is not None:
        support, labels, classes = _with_images(known)
        left_out = (*images.left_out, *known.left_out)
    else:
        support, labels, classes = images.features[:0], images.labels[:0], ()
        left_out = images.left_out
    is_new = growing.same_images(images.features, support) < 0
    if not is_new.any():
        raise UserError("every image of the pool has a label already: there is nothing to suggest.")
    at = is_new.nonzero().flatten().tolist()
    features = images.features if is_new.all() else images.features[is_new]
    classify = _classifier(model, support, labels, len(classes))
    unsure = None if classify is None else uncertainty.one_minus_margin(classify(features))
    return ImagePool(
        names=tuple(images.names[i] for i in at),
        files=None if images.files is None else tuple(images.files[i] for i in at),
        pool=Pool(features, support, labels, unsure),
        classes=classes,
        classifier=model,
        classify=classify,
        copies=equal_rows(features),
        payloads=lambda positions: images.payloads([at[i] for i in positions]),
        left_out=left_out,
        n_known=len(images.names) - len(at),
    )


def _features(
    source: Files | Rows, model: ImageClassifier | None, labelled: str | None, device: str | None
) -> tuple[Read, Read | None]:
    """Return the images of the pool, and the labelled ones if they are not those of a model."""
    device = devices.pick(device)
    devices.keep_freed_memory()
    progress.update("loading the network")
    if model is not None:
        return source.read(model.backbone, model.decoding, device), None
    settings = backbones.default(source.side())
    backbone = candidates.build(settings, device)
    decoding = source.decoding(backbones.input_side(settings))
    known = None
    if labelled is not None:
        known = unlabelled.labelled(labelled).read(backbone, decoding, device)
    return source.read(backbone, decoding, device), known


def _classifier(
    model: ImageClassifier | None, support: Tensor, labels: Tensor, n_way: int
) -> Classify | None:
    if model is None:
        return uncertainty.classifier_of(support, labels, n_way)
    if not uncertainty.are_enough(labels, n_way):
        return None
    return lambda features: model.log_probabilities(features).exp()


def _with_images(known: Read) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    """Return features, labels and classes of labelled images, without classes that have none."""
    present, labels = known.labels.unique(return_inverse=True)
    return known.features, labels, tuple(known.classes[i] for i in present.tolist())


def equal_rows(features: Tensor) -> Tensor:
    """Return a number for each row of [n, d], int64 [n]; equal rows have that of the first."""
    rows = np.ascontiguousarray(features.numpy())
    digests = b"".join(hashlib.blake2b(row, digest_size=16).digest() for row in rows)
    of_rows = np.frombuffer(digests, dtype=np.dtype((np.void, 16)))
    _, first, inverse = np.unique(of_rows, return_index=True, return_inverse=True)
    return torch.from_numpy(first[inverse].astype(np.int64))
