"""Begin a session from what the command line names: a model file, a folder, both, or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from episodes.datasets.folders import class_layout
from episodes.datasets.folders.folder_tree import Folder, is_image, scan
from episodes.datasets.names import readable
from fewshot import progress
from fewshot.app.photos import File
from fewshot.app.session import MOST_PHOTOS, Session
from fewshot.errors import UserError
from fewshot.model import file_format, hub, image_listing
from fewshot.model.image_listing import NotRead

MOST_IN_PILE = 1000  # photos without a label that are read from a folder, spread evenly over it
WITHOUT_LABEL = {"unlabelled", "unlabeled", "unsorted"}  # names of folders, in any case


class Started(NamedTuple):
    """A session, and sentences for the user about how it began."""

    session: Session
    notes: list[str]


class _Content(NamedTuple):
    """The photos of a folder: those of each class, and those without a label."""

    labelled: dict[str, list[File]]
    pile: list[File]
    notes: list[str]

    def files(self) -> list[File]:
        """Return all files."""
        return [file for files in self.labelled.values() for file in files] + self.pile


def start(places: Sequence[Path], folder: Path, device: str | None = None) -> Started:
    """Return a session that begins with what lies in some places.

    Args:
        places: model files, of which there is one at most, and folders of photos. In a folder, the
            folders are classes; images that lie in it directly, or in a folder with one of the
            names WITHOUT_LABEL, have no label.
        folder: existing folder for small pictures.
        device: cpu, cuda and so on; None for a GPU if there is one.

    Raises:
        UserError: a place does not exist or cannot be read, holds no image, or there are too many.
    """
    for place in places:
        if not place.exists() and not hub.is_hub(place):
            raise UserError(f"{place} does not exist: name a model file, or a folder of photos.")
    models = [place for place in places if not place.is_dir()]
    if len(models) > 1:
        raise UserError(
            f"{models[1]} would be a second model file: name one at most, and give "
            "photos as folders."
        )
    if models:
        progress.update("loading the model")
    base = file_format.load(hub.local_file(models[0]), device) if models else None
    contents = [_content(place) for place in places if place.is_dir()]
    session = Session(folder, base, device)
    notes = [note for content in contents for note in content.notes]
    session.choose_network([file for content in contents for file in content.files()])
    for content in contents:
        for name, files in content.labelled.items():
            with progress.within(f"class {name}"):
                notes += _notes(session.add(files, name).broken)
        with progress.within("photos without a label"):
            notes += _notes(session.add(content.pile).broken)
    return Started(session, notes)


def _notes(broken: list[NotRead]) -> list[str]:
    n = len(broken)
    return [f"left out {n:,}: {image_listing.summary(broken)}"] if n else []


def _content(place: Path) -> _Content:
    """Sort the photos of a folder."""
    try:
        tree, left_out = scan(place)
    except OSError as error:
        raise UserError(f"{place} cannot be read ({error.strerror}).") from None
    notes = left_out.notes()
    with_label = [own for own in tree.with_files() if not _is_pile(own)]
    labelled: dict[str, list[File]] = {}
    if with_label:
        layout = class_layout.layout(Folder(tree.path, tuple(with_label), ()), str(place))
        assert layout is not None
        labelled = {
            readable(name): [_file(place, file.path) for file in own.files]
            for name, own in layout.train.items()
            if own.files
        }
        notes += layout.notes
    loose = [file for file in tree.files if is_image(file.path)]
    piles = [own for own in tree.with_files() if _is_pile(own)]
    for own in piles:
        photos = [file for file in own.all_files() if is_image(file.path)]
        if not photos:
            continue
        loose += photos
        notes.append(f"photos in the folder {readable(own.name)} have no label")
    pile = [_file(place, file.path) for file in loose]
    if len(pile) > MOST_IN_PILE:
        notes.append(
            f"{MOST_IN_PILE:,} of {len(pile):,} photos without a label are used, spread evenly"
        )
        chosen = np.linspace(0, len(pile) - 1, MOST_IN_PILE).round().astype(int)
        pile = [pile[position] for position in chosen.tolist()]
    n_labelled = sum(map(len, labelled.values()))
    if not n_labelled and not pile:
        raise UserError(
            f"{place} holds no images: name a folder of photos, or leave it out and drop photos "
            "onto the page."
        )
    if n_labelled + len(pile) > MOST_PHOTOS:
        raise UserError(
            f"{place} holds {n_labelled:,} labelled photos, which together with those without a "
            f"label are more than the {MOST_PHOTOS:,} photos that the page can hold: use `fewshot "
            "fit`, and open the model with `fewshot demo`."
        )
    return _Content(labelled, pile, notes)


def _is_pile(folder: Folder) -> bool:
    """Return whether a folder is named as one of photos without a label."""
    return folder.name.lower() in WITHOUT_LABEL


def _file(place: Path, path: str) -> File:
    return File(place / path, readable(path))
