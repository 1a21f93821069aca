"""More labelled images, or new classes, for a classifier that is fitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from fewshot.errors import UserError
from fewshot.model import closed_form, doubtful_labels, outlook, reject
from fewshot.model.card import Card
from fewshot.model.classifier import ImageClassifier, LabelledFeatures
from fewshot.model.closed_form import Fitted
from fewshot.model.labels import are_integers
from fewshot.runs.doubtful_labels import sentence

SAME = 1e-4  # distance of the features of one image on two machines, as a share of their length


def learned_from(classifier: ImageClassifier, features: Tensor) -> Tensor:
    """Return the number of the labelled image that each image is, int64 [n]; -1 for a new image.

    Args:
        classifier: the classifier with its labelled images.
        features: of some images, float [n, d], from `classifier.features`.
    """
    return same_images(features, classifier.support.features)


def same_images(features: Tensor, others: Tensor) -> Tensor:
    """Return the number of the other image that each image is, int64 [n]; -1 for a new image.

    Args:
        features: of some images, float [n, d].
        others: of other images, by the same network, float [m, d]; m may be 0.
    """
    if not len(others):
        return torch.full((len(features),), -1)
    numbers = []
    for part in features.split(1024):
        nearest = torch.cdist(part, others).argmin(1)
        # Distances of cdist are too inexact near zero.
        distances = (part - others[nearest]).norm(dim=1)
        is_same = distances < SAME * part.norm(dim=1).clamp_min(1e-12)
        numbers.append(torch.where(is_same, nearest, -1))
    return torch.cat(numbers) if numbers else torch.empty(0, dtype=torch.int64)


def add(
    classifier: ImageClassifier,
    features: Tensor,
    labels: Tensor,
    names: Sequence[str],
    classes: Sequence[str],
) -> ImageClassifier:
    """Return the classifier as if it had been fitted to its labelled images and to new ones.

    The head, the temperature, the rejection and the fold scores are computed again from the
    features of all labelled images.

    Args:
        classifier: the classifier, which stays as it is.
        features: of the new images, float [n, d], from `classifier.features`.
        labels: of the new images, int64 [n], positions in `classes`.
        names: paths or numbers of the new images.
        classes: names of all classes in their new order, with those of the classifier.

    Raises:
        UserError: the head was trained together with the network, so that it cannot be fitted
            again; or a class of the classifier is missing in `classes`.
    """
    if missing := set(classifier.classes) - set(classes):
        raise UserError(f"the classes {sorted(missing)} of the classifier must remain in it.")
    position = {name: label for label, name in enumerate(classes)}
    new_labels = torch.tensor([position[name] for name in classifier.classes])
    old = classifier.support
    support = LabelledFeatures(
        torch.cat([old.features, features]),
        torch.cat([new_labels[old.labels], labels]),
        (*old.names, *names),
        _joined_clusters(old.clusters, len(old.labels), len(labels)),
    )
    fitted = closed_form.fit(
        support,
        classes,
        classifier.recipe,
        classifier.rejection.share,
        reject.centre(classifier.settings, support.features, support.labels),
    )
    return replace(
        classifier,
        classes=tuple(classes),
        head=fitted.head,
        temperature=fitted.temperature,
        support=support,
        rejection=fitted.rejection,
        fold_scores=fitted.fold_scores,
        card=_card(classifier, classes, support, fitted),
    )


def _card(
    classifier: ImageClassifier,
    classes: Sequence[str],
    support: LabelledFeatures,
    fitted: Fitted,
) -> Card:
    """Return the card with what the new images change."""
    outdated = reject.notes(classifier.rejection)
    notes = [
        note for note in doubtful_labels.without(classifier.card.notes) if note not in outdated
    ]
    doubt = sentence(fitted.doubtful, support.names, support.labels, classes)
    counts = support.labels.bincount(minlength=len(classes)).tolist()
    choice = classifier.card.choice
    if choice and classifier.card.data_fingerprint:  # nothing was added before
        n_first = sum(classifier.card.class_counts.values())
        choice += f" This was chosen from the first {n_first} images; others were added since."
    return replace(
        classifier.card,
        choice=choice,
        class_counts=dict(zip(classes, counts, strict=True)),
        quality=fitted.quality,
        data_fingerprint="",  # that of the first images says nothing about all
        notes=(*notes, *reject.notes(fitted.rejection), *([doubt] if doubt else [])),
        forecast=outlook.sentences(support, classes, classifier.recipe, fitted.quality),
        integer_classes=classifier.card.integer_classes and are_integers(classes),
    )


def _joined_clusters(clusters: Tensor | None, n_old: int, n_new: int) -> Tensor | None:
    """Return the clusters of all images; each new image is a cluster of its own."""
    if clusters is None:
        return None
    first = int(clusters.max()) + 1 if n_old else 0
    return torch.cat([clusters, torch.arange(first, first + n_new)])
