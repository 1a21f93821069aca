"""More labelled images, or new classes, for a classifier that is fitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from episodes import subsets
from episodes.datasets import copies
from fewshot.errors import UserError
from fewshot.model import closed_form, doubtful_labels, outlook, reject
from fewshot.model.card import Card
from fewshot.model.classifier import ImageClassifier, LabelledFeatures
from fewshot.model.closed_form import Fitted
from fewshot.model.labels import are_integers
from fewshot.runs.doubtful_labels import sentence

SAME = 1e-4  # distance of the features of one image on two machines, as a share of their length
# Correlation of the features of copies where those of ordinary images have none. None of the
# different images of CIFAR-10, Tiny ImageNet, Imagenette and digits is joined with 0.9 or more.
COPIES = 0.95


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
    clusters: Tensor | None = None,
) -> ImageClassifier:
    """Return the classifier as if it had been fitted to its labelled images and to new ones.

    The head, the temperature, the rejection and the fold scores are computed again from the
    features of all labelled images. A new image is held out together with those whose features are
    nearly the same, as copies of an image have them.

    Args:
        classifier: the classifier, which stays as it is.
        features: of the new images, float [n, d], from `classifier.features`.
        labels: of the new images, int64 [n], positions in `classes`.
        names: paths or numbers of the new images.
        classes: names of all classes in their new order, with those of the classifier.
        clusters: of the new images, int64 [n]; images of one cluster, such as copies, are also held
            out together. None if nothing but their features is known.

    Raises:
        UserError: the head was trained together with the network, so that it cannot be fitted
            again; or a class of the classifier is missing in `classes`.
    """
    if missing := set(classifier.classes) - set(classes):
        raise UserError(f"the classes {sorted(missing)} of the classifier must remain in it.")
    position = {name: label for label, name in enumerate(classes)}
    new_labels = torch.tensor([position[name] for name in classifier.classes])
    old = classifier.support
    all_features = torch.cat([old.features, features])
    all_labels = torch.cat([new_labels[old.labels], labels])
    numbers = _numbered(old.clusters, len(old.labels)), _numbered(clusters, len(labels))
    support = LabelledFeatures(
        all_features,
        all_labels,
        (*old.names, *names),
        _joined_clusters(*numbers, _pairs_of_copies(all_features, all_labels, len(old.labels))),
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


def _numbered(clusters: Tensor | None, n: int) -> Tensor:
    """Return the clusters of n images from 0, without gaps; None if each is on its own."""
    return torch.arange(n) if clusters is None else clusters.unique(return_inverse=True)[1]


def _joined_clusters(old: Tensor, new: Tensor, pairs: Tensor) -> Tensor | None:
    """Return the clusters of all images, int64 [n]; None if each image is on its own.

    Args:
        old: clusters of the first images, from 0 without gaps.
        new: clusters of the others, likewise.
        pairs: of images, int64 [m, 2], whose clusters become one.
    """
    first = int(old.max()) + 1 if len(old) else 0
    clusters = torch.cat([old, first + new])
    joined = copies.joined(clusters[pairs].numpy(), int(clusters.max()) + 1)
    result = torch.from_numpy(joined)[clusters]
    return result if subsets.has_shared(result) else None


def _pairs_of_copies(features: Tensor, labels: Tensor, n_old: int) -> Tensor:
    """Return pairs of a new image and one before it whose features are nearly the same.

    As in a search among pixels, copies are much more alike than ordinary images of their class.

    Args:
        features: of all images, float [n, d], the new ones last.
        labels: int64 [n].
        n_old: number of images that are not new.

    Returns:
        int64 [m, 2].
    """
    unit = F.normalize(features - features.mean(0), dim=1)
    usual = copies.Measure(lambda indices: unit[indices], COPIES, labels.numpy()).usual
    most = torch.from_numpy((1 - COPIES) * (1 - usual) ** 2).float()
    most = most.clamp_min(copies.EQUAL)[labels]
    pairs = [torch.empty(0, 2, dtype=torch.int64)]
    for rows in torch.arange(n_old, len(unit)).split(256):
        is_copy = 1 - unit[rows] @ unit.T <= torch.minimum(most[rows, None], most)
        row, other = is_copy.nonzero(as_tuple=True)
        pairs.append(torch.stack([rows[row], other], 1)[other < rows[row]])
    return torch.cat(pairs)
