"""The class folders of a tree, of each part, and what to say about them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from episodes.datasets.class_names import matches
from episodes.datasets.folders.class_files import (
    MASKS,
    PICTURES,
    ClassFiles,
    Remarks,
    files_of_class,
)
from episodes.datasets.folders.class_parts import (
    find_parts,
    holds_classes,
    inner,
    loose_images,
    paths,
    remedy,
    unwrapped,
)
from episodes.datasets.folders.folder_tree import Folder
from episodes.datasets.part_names import part_of, parts_among
from episodes.datasets.source import few, images
from episodes.errors import NoClasses, UserError

_UNLABELLED = re.compile(r"(un|not)[ _-]?label+ed([ _-]?(data|set|images|pictures|photos))?$")
_NUMBERED = re.compile(
    r"(k[ _-]?)?(fold|split|cv|set|subset|part|batch|chunk|shard|session|day|site|domain|cam|"
    r"camera)s?[ _-]?\d+"
)
# Folders of the same classes in different versions, such as those of PlantVillage.
_VERSIONS = re.compile(
    r"(colou?r|rgb|gr[ae]y(scale)?|segmented|cropped|resized|raw|orig(inal)?s?"
    r"|aug(mented|mentation)?|non[ _-]?augmented|(pre[ _-]?)?processed"
    r"|enhanced|denoised|normali[sz]ed)"
    r"([ _-]?(data|data ?set|images?|pictures|photos))?"
)


@dataclass
class Layout:
    """The files of each class of a tree.

    Attributes:
        train: class name -> its files in the training part, or of the whole.
        test: the same of the test part; None without one.
        notes: sentences about what is not used, and about what was decided.
    """

    train: dict[str, ClassFiles] = field(default_factory=dict)
    test: dict[str, ClassFiles] | None = None
    notes: list[str] = field(default_factory=list)


def layout(root: Folder, place: str, *, is_archive: bool = False) -> Layout | None:
    """Decide which folders are classes, and which are parts, by their names and content.

    Args:
        root: the tree.
        place: its path, for messages.
        is_archive: whether a single folder that holds class folders is not a class, but the folder
            that was packed.

    Returns:
        None if there are no class folders with files.

    Raises:
        NoClasses: there are images, but no class folders.
        UserError: the parts have no class folders, there are several training parts, or there is
            only one class, which holds class folders.
    """
    notes: list[str] = []
    root = unwrapped(root, place, is_archive, notes)
    parts = find_parts(root, place, notes)
    if parts is not None:
        train = inner(parts[0])
        _check_folds(train, place)
        return _of_parts(train, parts[1] and inner(parts[1]), notes)
    if not root.with_files():
        if root.n_own_images:
            raise NoClasses(
                f"{place} holds {images(root.n_own_images)} but no class folders: {remedy(root)}."
            )
        return None
    _check_single_class(root, place)
    _check_folds(root, place)
    notes += loose_images(root)
    return _with_parts_inside(root, notes) or _of_classes(root, notes)


def _of_parts(train: Folder, test: Folder | None, notes: list[str]) -> Layout:
    """Return the classes of a training part and of a test part, which may be missing."""
    remarks = Remarks()
    notes += loose_images(train)
    result = Layout({own.name: files_of_class(own, remarks) for own in train.folders})
    if test is not None:
        notes += loose_images(test)
        names = matches([own.name for own in test.folders], result.train)
        if changed := [f"{name} ({names[name]})" for name in names if name != names[name]]:
            notes.append(
                f"{test.path}/ spells classes of {train.path}/ differently: {few(changed)}"
            )
        result.test = {
            names.get(own.name, own.name): files_of_class(own, remarks) for own in test.folders
        }
    result.notes = [*notes, *remarks.notes()]
    return result


def _of_classes(root: Folder, notes: list[str]) -> Layout:
    """Take all folders in a folder for classes of a data set without a test part."""
    remarks = Remarks()
    unlabelled = [own for own in root.folders if _UNLABELLED.match(own.name.lower())]
    if len(root.with_images()) < len(unlabelled) + 2:
        unlabelled = []
    for own in unlabelled:
        notes.append(f"{own.path}/ is not used ({images(own.n_images)}): it has no label")
    labelled = [own for own in root.folders if own not in unlabelled]
    classes = {own.name: files_of_class(own, remarks) for own in labelled}
    if len(common := _common_folders(root)) > 1:
        remarks.subfolders.clear()
        notes.append(
            f"all classes hold the folders {few(common)}: if these are the classes, give "
            f"one folder as the data, such as {root.with_images()[0].path}/"
        )
    return Layout(classes, None, [*notes, *remarks.notes()])


def _with_parts_inside(root: Folder, notes: list[str]) -> Layout | None:
    """Return the classes of folders that hold their parts, as in `cat/train/` and `cat/test/`."""
    remarks = Remarks()
    result = Layout(test={}, notes=notes)
    train_path = test_path = ""
    unused: list[str] = []
    for folder in root.with_files():
        named = parts_among(own.name for own in folder.folders)
        of_part = {named[own.name]: own for own in folder.with_files() if own.name in named}
        train, test = of_part.get("train"), of_part.get("test", of_part.get("validation"))
        if train is None or test is None or result.test is None:
            return None
        result.train[folder.name] = files_of_class(train, remarks)
        result.test[folder.name] = files_of_class(test, remarks)
        train_path, test_path = train.path, test.path
        if n_unused := folder.n_images - train.n_images - test.n_images:
            unused.append(f"{folder.path}/ ({n_unused:,})")
    notes.append(f"each class holds its parts, such as {train_path}/ and {test_path}/")
    if unused:
        notes.append(f"images of no part are not used: {few(unused)}")
    result.notes += remarks.notes()
    return result


def _common_folders(root: Folder) -> list[str]:
    """Return the names of the folders that all class folders hold, if these are most of them."""
    names = [{own.name for own in folder.folders if own.n_images} for folder in root.with_images()]
    if len(names) < 2:
        return []
    common, distinct = set.intersection(*names), set.union(*names)
    content = sorted(name for name in common if name.lower() not in PICTURES | MASKS)
    return content if 2 * len(common) >= len(distinct) else []


def _check_single_class(root: Folder, place: str) -> None:
    """Raise UserError if the only class holds class folders; NoClasses if it is all images."""
    folders = root.with_images()
    pictures = [own for own in folders if own.name.lower() in PICTURES] or folders
    if not holds_classes(root) or (len(folders) == 1 and part_of(folders[0].name)):
        raise NoClasses(
            f"{place}/{pictures[0].path} holds {images(pictures[0].n_images)} but no class "
            f"folders: {remedy(root)}."
        )
    if len(folders) > 1:
        return
    folder = folders[0]
    while len(folder.with_images()) == 1 and not folder.n_own_images:
        folder = folder.with_images()[0]
    if inside := folder.with_images():
        raise UserError(
            f"{place}: its one class would be {folders[0].path}, which holds class folders "
            f"({few([own.name for own in inside])}): give {place}/{folder.path}."
        )


def _check_folds(root: Folder, place: str) -> None:
    """Raise UserError if the folders are folds, batches or versions of the same classes."""
    folders, common = root.with_images(), _common_folders(root)
    if len(common) > 1 and all(
        _NUMBERED.fullmatch(own.name.lower()) or _VERSIONS.fullmatch(own.name.lower())
        for own in folders
    ):
        raise UserError(
            f"{place}: {paths(folders)} are not classes, because each holds the folders "
            f"{few(common)}: merge them into one folder per class, or give one of them."
        )
