"""Add the labelled images of a folder to a model file."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from episodes.datasets import copies
from episodes.datasets.source import few
from fewshot import progress
from fewshot.errors import UserError
from fewshot.model import file_format, growing, hub, image_listing, model_card, model_output
from fewshot.model.classifier import ImageClassifier
from fewshot.model.labelled_files import LabelledFiles
from fewshot.model.model_output import Saved

log = logging.getLogger("fewshot")


class Added(NamedTuple):
    """What was added to a classifier.

    Attributes:
        classifier: the new classifier.
        n_images: images that were added.
        new_classes: classes that were added.
        n_known: images that the classifier had learned from before, which were not added.
        saved: where the new classifier is.
    """

    classifier: ImageClassifier
    n_images: int
    new_classes: tuple[str, ...]
    n_known: int
    saved: Saved

    def __str__(self) -> str:
        text = f"{self.n_images:,} image{'' if self.n_images == 1 else 's'} added"
        if self.new_classes:
            text += f", new classes: {few(list(self.new_classes))}"
        return f"{text}; {self.n_known:,} learned from before" if self.n_known else text


def add(path: Path, data: str, out: Path, device: str | None = None) -> Added:
    """Write a model file as if the classifier had been fitted to further images as well.

    Args:
        path: a model file, which stays as it is unless it is also `out`, or hf:user/name for
            the one in a repository of the hub.
        data: a folder or file of labelled images, whose classes are matched by name; others are new
            classes. Its training part is used.
        out: the file to write, or hf:user/name for a repository of the hub.
        device: cpu, cuda and so on; None for a GPU if there is one.

    Raises:
        UserError: a file is missing or broken, the classifier cannot be fitted again, or there is
            no new image.
    """
    file = hub.local_file(path)
    progress.update("loading the model")
    classifier = file_format.load(file, device)
    files = LabelledFiles(data, test=False)
    label_of = files.labels_among(classifier.classes)
    new = tuple(name for name, at in zip(files.classes, label_of, strict=True) if at is None)
    classes = (*classifier.classes, *new)
    names = files.labels_among(classes)
    new_labels = torch.tensor([-1 if label is None else label for label in names])
    features, labels, image_names = [torch.empty(0, classifier.backbone.n_features)], [], []
    pixels = []
    for chunk in files.chunks(classifier.decoding):
        pixels.append(copies.reduced(chunk.pixels))
        features.append(classifier.features(chunk.pixels))
        labels.append(new_labels[chunk.labels])
        image_names += chunk.names
    if files.left_out:
        n = len(files.left_out)
        log.warning("left out %d: %s.", n, image_listing.summary(files.left_out))
    if not image_names:
        raise UserError(f"{data} has no image that can be read, so nothing was added.")
    all_features, all_labels = torch.cat(features), torch.cat(labels)
    is_new = _is_new(classifier, all_features, all_labels, image_names)
    if not is_new.any():
        raise UserError(f"{path} has learned from all images of {data} already: nothing was added.")
    progress.update("fitting")
    chosen = [name for name, own in zip(image_names, is_new.tolist(), strict=True) if own]
    chosen_labels = all_labels[is_new]
    clusters = copies.clusters_of_copies([torch.cat(pixels)[is_new]], chosen_labels)
    grown = growing.add(
        classifier,
        all_features[is_new],
        chosen_labels,
        chosen,
        classes,
        torch.from_numpy(clusters),
    )
    standalone = model_card.read(file).weights_inside or None
    saved = model_output.save(grown, out, standalone=standalone)
    return Added(grown, len(chosen), new, len(image_names) - len(chosen), saved)


def _is_new(
    classifier: ImageClassifier, features: Tensor, labels: Tensor, names: list[str]
) -> Tensor:
    """Return which images the classifier has not learned from, bool [n].

    An image that it learned from as another class is an error of the labels.

    Raises:
        UserError: there is such an image.
    """
    old = growing.learned_from(classifier, features)
    was = classifier.support.labels[old.clamp_min(0)]
    conflicts = [
        f"{names[position]} ({classifier.classes[was[position]]})"
        for position in ((old >= 0) & (was != labels)).nonzero().flatten().tolist()
    ]
    if conflicts:
        raise UserError(
            f"the model has learned from {len(conflicts)} of these images as another class: "
            f"{few(conflicts)}; correct the folders, and use fewshot fit on all images if the "
            "model is wrong."
        )
    return old < 0
