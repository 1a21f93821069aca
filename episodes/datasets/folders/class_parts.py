"""Which folders of a tree are the parts of a data set, and which are classes named like parts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from episodes.datasets.class_names import matches
from episodes.datasets.folders.class_files import MASKS, PICTURES
from episodes.datasets.folders.folder_tree import Folder
from episodes.datasets.part_names import PartName, part_in, part_of, parts_among
from episodes.datasets.source import few, images
from episodes.errors import UserError

_REMEDY = "make one folder of images per class, or list the labels in a CSV file"
_SPREADSHEETS = (".xlsx", ".xls", ".ods", ".numbers")
# Other files in which people keep labels, and names of those that are about something else.
_LISTS = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".mat")
_CONTAINERS = PICTURES | {"data", "dataset", "classes", "all", "raw"}
_ABOUT = re.compile(r"read.?me|licen[cs]e|requirements|data\.ya?ml|.*metadata\.ya?ml")
# Folders beside parts that are not classes, in lower case.
_NO_CLASS = re.compile(
    r"(un_?label+ed|unsup(ervised)?|extra|pred(ict(ions?)?)?|to_predict|inference|submissions?)"
    r"([ _-]?(data|set|images|pictures|photos))?"
)


@dataclass
class _Candidates:
    """The folders of a tree by what they may be.

    Attributes:
        with_classes: part -> folders with its name that hold class folders.
        flat: part -> folders with its name that hold none.
        others: folders whose names are not parts.
    """

    with_classes: dict[PartName, list[Folder]] = field(default_factory=dict)
    flat: dict[PartName, list[Folder]] = field(default_factory=dict)
    others: list[Folder] = field(default_factory=list)

    @classmethod
    def of(cls, root: Folder) -> _Candidates:
        """Sort the folders in a folder."""
        named = parts_among(folder.name for folder in root.folders)
        result = cls()
        for folder in root.with_files():
            part = named.get(folder.name)
            if part is not None and holds_classes(folder):
                result.with_classes.setdefault(part, []).append(folder)
            elif part is not None and part_in(folder.name):
                result.flat.setdefault(part, []).append(folder)
            else:
                result.others.append(folder)
        return result

    def tests(self, by_part: dict[PartName, list[Folder]]) -> list[Folder]:
        """Return the test and validation folders."""
        return [*by_part.get("test", []), *by_part.get("validation", [])]


def unwrapped(root: Folder, place: str, is_archive: bool, notes: list[str]) -> Folder:
    """Return the folder that holds the classes or parts: the root, or the only folder in it.

    Args:
        root: the tree.
        place: its path, for messages.
        is_archive: whether the only folder is not a class, but the folder that was packed.
        notes: receives a sentence if the root is not the folder.
    """
    name = re.split(r"[/\\]", place)[-1].lower()
    while True:
        folder = _only_folder(root)
        if folder is None or not folder.with_files() or part_of(folder.name):
            return root
        is_wrapper = folder.name.lower() in {*_CONTAINERS, name}
        if not (is_archive or is_wrapper or _has_parts(folder)):
            return root
        notes += _unused(root.folders, {folder}, f"{folder.path}/ is read")
        notes += loose_images(root)
        notes.append(f"the class folders are those in {folder.path}/")
        root = folder


def find_parts(root: Folder, place: str, notes: list[str]) -> tuple[Folder, Folder | None] | None:
    """Return the training part and the test part, if there is one; None if there are no parts.

    Args:
        root: the folder that may hold parts.
        place: its path, for messages.
        notes: receives sentences about what was decided and what is not used.

    Raises:
        UserError: it has several training parts, or a part without class folders or without
            training images.
    """
    candidates = _Candidates.of(root)
    tests = candidates.tests(candidates.with_classes)
    flat_tests = candidates.tests(candidates.flat)
    if not candidates.with_classes.get("train"):
        _check_without_training_part(root, candidates, place, notes)
        return None
    train = _single(candidates.with_classes["train"], "training", place, notes)
    rivals = _rivals(candidates.others, train)
    if len(rivals) > 1 and not tests and not flat_tests:
        notes.append(
            f"{train.name}/ is read as a class, because {paths(rivals)} beside it hold images; "
            f"if its folders are the classes, give {train.path}/ as the data"
        )
        return None
    test = _test_part(candidates.with_classes, inner(train), place, notes)
    for folder in (*flat_tests, *candidates.flat.get("train", [])):
        content = images(folder.n_images) if folder.n_images else "files"
        notes.append(f"{folder.path}/ is not used: it holds {content} but no class folders")
    used = f"{train.path}/ and {test.path}/ are the parts" if test else f"{train.path}/ is read"
    notes += _unused(candidates.others, set(), used)
    notes += loose_images(root)
    return train, test


def _check_without_training_part(
    root: Folder, candidates: _Candidates, place: str, notes: list[str]
) -> None:
    """Raise UserError if there are parts all the same; otherwise say that they are classes."""
    tests = candidates.tests(candidates.with_classes)
    if candidates.flat.get("train") and (tests or candidates.tests(candidates.flat)):
        train = candidates.flat["train"][0]
        raise UserError(
            f"{place}/{train.path} holds {images(train.n_images)} but no class folders: "
            f"{remedy(root)}."
        )
    if tests and not _rivals([*candidates.others, *candidates.flat.get("train", [])], tests[0]):
        raise UserError(
            f"{place} has {tests[0].name}/ but no train/ with class folders: add train/, or give "
            f"{place}/{tests[0].path}."
        )
    if tests:
        notes.append(f"{paths(tests)} is read as a class: there is no training part")


def _test_part(
    by_part: dict[PartName, list[Folder]], train: Folder, place: str, notes: list[str]
) -> Folder | None:
    """Return the test part: test images if they are of the training classes, or validation."""
    known = [folder.name for folder in train.folders]
    test: Folder | None = None
    parts: tuple[PartName, ...] = ("test", "validation")
    for part in parts:
        if part not in by_part:
            continue
        folder = _single(by_part[part], part, place, notes)
        names = [own.name for own in inner(folder).with_files()]
        if not matches(names, known):
            reason = f"none of its folders ({few(names)}) is a class of {train.path}/"
            notes += _unused([folder], set(), reason)
        elif test is not None:
            notes += _unused([folder], set(), f"{test.path}/ is the test set")
        else:
            test = folder
    return test


def _single(folders: list[Folder], part: str, place: str, notes: list[str]) -> Folder:
    """Return the only folder of a part: of several, the one with the shortest name."""
    first, *rest = sorted(folders, key=lambda folder: len(folder.name))
    if rest and len(rest[0].name) == len(first.name):
        raise UserError(
            f"{place} has several {part} parts, {paths(folders)}: "
            "merge them, or rename all but one."
        )
    notes += _unused(rest, set(), f"{first.path}/ is the {part} part")
    return first


def _rivals(others: list[Folder], part: Folder) -> list[Folder]:
    """Return the folders beside a part that may be classes: with images, but not of its classes."""
    classes = {folder.name for folder in inner(part).folders}
    return [
        folder
        for folder in others
        if folder.n_images
        and not _NO_CLASS.fullmatch(folder.name.lower())
        and not classes & {own.name for own in folder.folders}
    ]


def inner(part: Folder) -> Folder:
    """Return the folder that holds the classes of a part, as in `seg_train/seg_train/CLASS`."""
    while True:
        folder = _only_folder(part)
        if folder is None or not folder.with_files():
            return part
        name = folder.name.lower()
        if not (name == part.name.lower() or name in _CONTAINERS or part_of(name)):
            return part
        part = folder


def holds_classes(folder: Folder) -> bool:
    """Return whether there are class folders in a folder, and not only `images/` and `labels/`."""
    names = {own.name.lower() for own in inner(folder).with_images()}
    return bool(names - PICTURES - MASKS)


def _only_folder(root: Folder) -> Folder | None:
    """Return the only folder with images, apart from masks; None if there are several or none."""
    folders = root.with_images()
    pictures = [folder for folder in folders if folder.name.lower() in PICTURES]
    if len(pictures) == 1 and all(
        folder in pictures or folder.name.lower() in MASKS for folder in folders
    ):
        return pictures[0]
    return folders[0] if len(folders) == 1 else None


def _has_parts(folder: Folder) -> bool:
    """Return whether a folder, or the only folder in it, holds a training and another part."""
    parts = set(parts_among(own.name for own in folder.with_files()).values())
    if "train" in parts and len(parts) > 1:
        return True
    only = _only_folder(folder)
    return only is not None and _has_parts(only)


def _unused(folders: Iterable[Folder], used: set[Folder], reason: str) -> list[str]:
    """Return a sentence for each folder with images that is not used."""
    return [
        f"{folder.path}/ is not used ({images(folder.n_images)}): {reason}"
        for folder in folders
        if folder not in used and folder.n_images
    ]


def remedy(root: Folder) -> str:
    """Return what to do about images without class folders, given the files beside them."""
    names = [file.path for file in root.files if not _ABOUT.match(file.path.lower())]
    spreadsheets = [name for name in names if name.lower().endswith(_SPREADSHEETS)]
    others = [name for name in names if name.lower().endswith(_LISTS)]
    if spreadsheets:
        return f"{_REMEDY} (save {few(spreadsheets)} as CSV with the columns image_path,label)"
    if others:
        return f"{_REMEDY} with the columns image_path,label ({few(others)} could not be read so)"
    return _REMEDY


def loose_images(folder: Folder) -> list[str]:
    """Return a sentence about the images that lie beside the folders in a folder."""
    names = [file.path for file in folder.files if file.is_named_as_image]
    if not names:
        return []
    verb = "is" if len(names) == 1 else "are"
    return [f"{images(len(names))} beside the class folders {verb} not used: {few(names)}"]


def paths(folders: list[Folder]) -> str:
    """Return the paths of some folders in words."""
    return few([f"{folder.path}/" for folder in folders])
