"""The state of the page: labelled photos, photos without a label, and what is known from them.

It knows nothing of the page itself. Every method may be called from any thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import wraps
from pathlib import Path
from threading import RLock
from typing import Concatenate, NamedTuple, ParamSpec, TypeVar

import torch
from torch import Tensor

from episodes import subsets
from episodes.datasets import copies
from episodes.datasets.class_names import matches
from episodes.datasets.names import readable_line
from fewshot.app import answers as answering
from fewshot.app import photos as reading
from fewshot.app.answers import Answer, Neighbour
from fewshot.app.photos import Body, File, Photo, stacked
from fewshot.errors import UserError
from fewshot.model import choosing, file_format, growing
from fewshot.model import fit as fitting
from fewshot.model.choosing import Choice
from fewshot.model.classifier import ImageClassifier, LabelledFeatures, Recipe
from fewshot.model.image_listing import NotRead
from fewshot.training import devices

REJECT = 0.05  # share of photos of the known classes that may be refused, as for `fewshot fit`
LONGEST_CLASS = 60  # characters
MOST_PHOTOS = 5000  # that a session holds

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class Added(NamedTuple):
    """What came of adding files.

    Attributes:
        added: how many photos are new, or have a new label.
        known: names of photos that were there already.
        broken: files that are not used, and why.
    """

    added: int
    known: list[str]
    broken: list[NotRead]


def _locked(
    method: Callable[Concatenate[Session, Arguments], Result],
) -> Callable[Concatenate[Session, Arguments], Result]:
    """Let one thread at a time run a method of a session."""

    @wraps(method)
    def run(self: Session, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        with self.lock:
            return method(self, *args, **kwargs)

    return run


class Session:
    """What one user does on the page.

    Attributes:
        photos: all photos by their key, in the order in which they came.
        base: the model file that the session began with; None without one.

    Args:
        folder: existing folder for the small pictures.
        base: a model to begin with, whose network then computes the features.
        device: cpu, cuda and so on; None for a GPU if there is one.
    """

    def __init__(
        self, folder: Path, base: ImageClassifier | None = None, device: str | None = None
    ) -> None:
        self.folder, self.base = folder, base
        self.device = devices.pick(device)
        self.photos: dict[str, Photo] = {}
        self.lock = RLock()
        self._body: Body | None = None if base is None else reading.body_of(base)
        self._classifier = base
        self._is_current = True
        self._batch: list[str] = []  # keys of the photos that were suggested last

    @property
    @_locked
    def classes(self) -> tuple[str, ...]:
        """Names of the classes: those of the model, and then others by rising name."""
        own = () if self.base is None else self.base.classes
        names = {photo.label for photo in self.photos.values() if photo.label is not None}
        return (*own, *sorted(names - set(own)))

    @property
    @_locked
    def labelled(self) -> list[Photo]:
        """The photos that were labelled on the page or in the folder."""
        return [photo for photo in self.photos.values() if photo.label is not None]

    @property
    @_locked
    def pile(self) -> list[Photo]:
        """The photos without a label."""
        return [photo for photo in self.photos.values() if photo.label is None]

    @_locked
    def choose_network(self, files: Sequence[File]) -> None:
        """Choose the network by the size of some photos, if nothing has chosen it yet."""
        if self._body is None and files:
            self._body = reading.body_for(files, self.device)

    @_locked
    def add(self, files: Sequence[File], label: str | None = None) -> Added:
        """Read photos and give them a label, or none.

        A photo that is there already is not read as another one; a label that it lacks is given.

        Raises:
            UserError: the name of the class cannot be used, the model cannot learn, or there would
                be too many photos.
        """
        name = None if label is None else self._class_of(label)
        if len(files) + len(self.photos) > MOST_PHOTOS:
            raise UserError(
                f"{len(files):,} more photos would exceed the {MOST_PHOTOS:,} photos that the page "
                "can hold: use `fewshot fit` and `fewshot predict` for so many."
            )
        self.choose_network(files)
        if self._body is None:
            return Added(0, [], [])
        read = reading.read(files, self._body, self.folder)
        n_added, known = 0, []
        for photo in read.photos:
            old = self.photos.get(photo.key)
            if old is not None and (old.label is not None or name is None):
                is_same = old.label == name or name is None
                known.append(photo.name if is_same else f"{photo.name} (labelled {old.label})")
            elif old is None and name is not None and self._was_learned(photo):
                known.append(photo.name)
            else:
                self.photos[photo.key] = replace(photo, label=name)
                n_added += 1
        self._is_current = self._is_current and (name is None or not n_added)
        self._batch = []
        if not self.photos and self.base is None:
            self._body = None  # the next photos choose the network
        return Added(n_added, known, read.broken)

    @_locked
    def label(self, key: str, label: str) -> None:
        """Give a photo a label, or another one.

        Raises:
            UserError: the name cannot be used, or the model cannot learn.
        """
        name = self._class_of(label)
        self.photos[key] = replace(self.photos[key], label=name)
        self._is_current = False

    @_locked
    def unlabel(self, key: str) -> None:
        """Take away the label of a photo."""
        self.photos[key] = replace(self.photos[key], label=None)
        self._is_current = False

    @_locked
    def remove(self, key: str) -> None:
        """Remove a photo from the session; its file stays where it is."""
        photo = self.photos.pop(key)
        photo.thumbnail.unlink(missing_ok=True)
        self._is_current = self._is_current and photo.label is None
        if not self.photos and self.base is None:
            self._body = None

    @_locked
    def classifier(self) -> ImageClassifier | None:
        """Return the classifier of all labelled photos; None with fewer than two classes."""
        if not self._is_current:
            self._classifier = self._fitted()
            self._is_current = True
        return self._classifier

    @_locked
    def suggestions(self, budget: int) -> list[Photo]:
        """Return the photos to label next, the most useful first.

        They stay the same until all of them are labelled, or photos are added.
        """
        left = [self.photos[key] for key in self._batch if key in self.photos]
        left = [photo for photo in left if photo.label is None]
        if not left:
            left = answering.suggestions(self.classifier(), self.labelled, self.pile, budget)
            self._batch = [photo.key for photo in left]
        return left

    @_locked
    def answers(self) -> list[Answer]:
        """Return what the classifier says about each photo without a label; none without it."""
        classifier, pile = self.classifier(), self.pile
        return [] if classifier is None else answering.answers(classifier, pile)

    @_locked
    def neighbours(self, key: str, k: int = 6) -> list[Neighbour]:
        """Return the labelled photos that are most like a photo; none without a classifier."""
        classifier = self.classifier()
        if classifier is None:
            return []
        return answering.neighbours(classifier, self.labelled, self.photos[key], k)

    @_locked
    def write_model(self, path: Path) -> None:
        """Write the classifier to a model file.

        Raises:
            UserError: there is no classifier yet, or the file cannot be written.
        """
        classifier = self.classifier()
        if classifier is None:
            raise UserError("there is no model yet: label photos of at least two classes.")
        file_format.save(classifier, path)

    def _class_of(self, label: str) -> str:
        """Return the name of a class: an existing one that is spelt alike, or a new one."""
        name = readable_line(label).strip()
        if not name:
            raise UserError("name the class of the photos first, such as cat.")
        if len(name) > LONGEST_CLASS:
            raise UserError(f"a class name has at most {LONGEST_CLASS} characters: shorten it.")
        if self.base is not None and self.base.recipe.kind == "trained":
            raise UserError(
                "the network of this model was trained as well, so the page cannot fit the model "
                "to more labels: begin with a folder of photos, or with a model of --method probe."
            )
        return matches([name], self.classes).get(name, name)

    def _was_learned(self, photo: Photo) -> bool:
        """Return whether the model file was fitted to a photo."""
        if self.base is None:
            return False
        return int(growing.learned_from(self.base, photo.features[None])) >= 0

    def _fitted(self) -> ImageClassifier | None:
        """Return the classifier of the labelled photos, or of them and the images of the model."""
        labelled, classes = self.labelled, self.classes
        if self.base is not None and not labelled:
            return self.base
        if self._body is None or len(classes) < 2:
            return None
        started = time.perf_counter()
        position = {name: label for label, name in enumerate(classes)}
        labels = torch.tensor([position[photo.label or ""] for photo in labelled])
        names = tuple(photo.name for photo in labelled)
        clusters = _clusters(labelled, labels)
        if self.base is not None:
            return growing.add(self.base, stacked(labelled), labels, names, classes, clusters)
        settings, backbone, decoding = self._body
        support = LabelledFeatures(stacked(labelled), labels, names, clusters)
        recipe = choosing.recipe_of_probe(len(labelled), len(classes), Recipe("logistic"))
        choice = Choice("probe", "", settings, backbone, support.features, recipe)
        data = fitting.Data("photos of the page")
        return fitting.of_choice(choice, support, classes, decoding, REJECT, data, started)


def _clusters(photos: Sequence[Photo], labels: Tensor) -> Tensor | None:
    """Return the clusters of copies of photos, int64 [n]; None if there are no copies."""
    pixels = torch.stack([photo.pixels for photo in photos])
    clusters = torch.from_numpy(copies.clusters_of_copies([pixels], labels))
    return clusters if subsets.has_shared(clusters) else None
