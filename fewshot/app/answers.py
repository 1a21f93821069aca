"""What the labelled photos say about the others: classes, neighbours, and what to label next."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import torch

from episodes.datasets.names import readable
from fewshot.app.photos import Photo, stacked
from fewshot.model import nearest, prediction_formats, reject
from fewshot.model.classifier import ImageClassifier
from fewshot.model.prediction_formats import Content, Prediction
from fewshot.model.suggest import pools, select, uncertainty
from fewshot.model.suggest.picks import Pool


class Answer(NamedTuple):
    """What the classifier says about a photo.

    Attributes:
        photo: the photo.
        labels: positions of the classes, the most probable first.
        probabilities: their probabilities.
        known: similarity to the nearest class, a cosine.
        refused: whether the photo probably belongs to none of the classes.
    """

    photo: Photo
    labels: list[int]
    probabilities: list[float]
    known: float
    refused: bool


class Neighbour(NamedTuple):
    """A labelled photo that is like another.

    Attributes:
        name: its name.
        label: its class.
        similarity: cosine of the centred features.
        thumbnail: file of a small picture; None for a photo of a model file, which has none.
    """

    name: str
    label: str
    similarity: float
    thumbnail: Path | None


def answers(classifier: ImageClassifier, photos: Sequence[Photo]) -> list[Answer]:
    """Return what a classifier says about photos."""
    if not photos:
        return []
    features = stacked(photos)
    ranked = classifier.log_probabilities(features).exp().sort(dim=1, descending=True, stable=True)
    known = reject.known_scores(classifier.rejection, features).tolist()
    threshold = classifier.rejection.threshold
    rows = zip(photos, ranked.indices.tolist(), ranked.values.tolist(), known, strict=True)
    return [
        Answer(photo, labels, probabilities, score, score < threshold)
        for photo, labels, probabilities, score in rows
    ]


def neighbours(
    classifier: ImageClassifier, labelled: Sequence[Photo], photo: Photo, k: int
) -> list[Neighbour]:
    """Return the labelled photos that are most like a photo, without itself, nearest first.

    Args:
        classifier: the classifier.
        labelled: its last labelled images, which are photos of the page.
        photo: the photo.
        k: how many to return, at most.
    """
    support = classifier.support
    n_others = len(support.names) - len(labelled)  # images of a model file
    order, distances = nearest.rank(support.features, photo.features[None], k + 1)
    result = []
    for position, distance in zip(order[0].tolist(), distances[0].tolist(), strict=True):
        other = labelled[position - n_others] if position >= n_others else None
        if other is not None and other.key == photo.key:
            continue
        name, label = support.names[position], classifier.classes[int(support.labels[position])]
        thumbnail = None if other is None else other.thumbnail
        result.append(Neighbour(name, label, 1 - distance, thumbnail))
    return result[:k]


def suggestions(
    classifier: ImageClassifier | None,
    labelled: Sequence[Photo],
    pile: Sequence[Photo],
    budget: int,
) -> list[Photo]:
    """Return the photos of a pile to label next, the most useful first; of equal ones, one.

    Args:
        classifier: of all labelled photos; None if they are of fewer than two classes.
        labelled: the labelled photos, which count if there is no classifier.
        pile: the photos without a label.
        budget: how many to return, at most.
    """
    if not pile:
        return []
    features = stacked(pile)
    if classifier is not None:
        of_labelled, labels = classifier.support.features, classifier.support.labels
    else:
        of_labelled = stacked(labelled) if labelled else features[:0]
        labels = torch.zeros(len(labelled), dtype=torch.int64)  # one class at most
    unsure = None
    if classifier is not None:
        unsure = uncertainty.one_minus_margin(classifier.log_probabilities(features).exp())
    pool = Pool(features, of_labelled, labels, unsure)
    copies = pools.equal_rows(features)
    picks = select.pick(pool, min(budget, len(copies.unique())), copies=copies)
    return [pile[index] for index in picks.indices.tolist()]


def table_of_answers(classes: tuple[str, ...], rows: Sequence[Answer]) -> str:
    """Return the CSV table that `fewshot predict` writes, with the two best classes."""
    lines = prediction_formats.Csv(Content(classes, top=2, knows=True))
    texts = [lines.begin()]
    for row in rows:
        best = Prediction(row.labels[:2], row.probabilities[:2], row.known, row.refused)
        texts.append(lines.line(row.photo.name, best))
    return "".join([*texts, lines.end()])


def table_of_labels(labelled: Sequence[Photo]) -> str:
    """Return a CSV table of the labels, with full paths, which `fewshot fit` reads.

    Uploads are named without a path, so that the table must lie beside them.
    """
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image_path", "label"])
    writer.writerows([readable(str(photo.place or photo.name)), photo.label] for photo in labelled)
    return text.getvalue()
