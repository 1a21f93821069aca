"""A folder or ZIP file as a tree of folders and files, without what systems leave in folders."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from episodes.datasets.source import few, images
from episodes.datasets.stamps import Stamp, stamp

_SUFFIXES = (
    "jpg jpeg jpe jfif png gif bmp webp tif tiff heic heif avif jp2 ppm pgm pbm pnm tga ico jxl"
)
IMAGE_SUFFIXES = frozenset(f".{suffix}" for suffix in _SUFFIXES.split())
# Folders of network drives, waste bins, archives and notebooks, in lower case.
_OF_THE_SYSTEM = {
    *("@eadir", "#recycle", "#snapshot", "@recycle", "@recently-snapshot", "$recycle.bin"),
    *("recycler", "system volume information", "lost+found", "__macosx", "__pycache__"),
}
_FILES_OF_THE_SYSTEM = {".ds_store", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"}
DEEPEST = 100  # folders inside each other that are read; a tree of more is no data set
_OF_VERSION_CONTROL = {".git", ".hg", ".svn", ".dvc"}


@dataclass(frozen=True, slots=True)
class File:
    """One file of a tree.

    Attributes:
        path: path relative to the root of the tree, with `/`.
        stamp: its state, or that of the ZIP file that it is in.
    """

    path: str
    stamp: Stamp

    @property
    def name(self) -> str:
        """The last component of the path."""
        return self.path.rsplit("/", 1)[-1]

    @property
    def is_named_as_image(self) -> bool:
        """Whether the name has the suffix of an image."""
        return is_image(self.path)


@dataclass(frozen=True, eq=False)
class Folder:
    """One folder of a tree.

    Attributes:
        path: path relative to the root of the tree, with `/`; empty for the root.
        folders: its folders, sorted by name.
        files: its own files, sorted by name.
    """

    path: str
    folders: tuple[Folder, ...]
    files: tuple[File, ...]

    @property
    def name(self) -> str:
        """The last component of the path."""
        return self.path.rsplit("/", 1)[-1]

    def all_files(self) -> list[File]:
        """Return the files of the folder and of all folders below it, sorted by path."""
        return sorted(self._walk(), key=lambda file: file.path)

    @cached_property
    def has_files(self) -> bool:
        """Whether there are files in the folder or below it."""
        return bool(self.files) or any(folder.has_files for folder in self.folders)

    @cached_property
    def n_images(self) -> int:
        """The number of files in the folder and below it that are named as images."""
        return self.n_own_images + sum(folder.n_images for folder in self.folders)

    @cached_property
    def n_own_images(self) -> int:
        """The number of files directly in the folder that are named as images."""
        return sum(file.is_named_as_image for file in self.files)

    def with_files(self) -> list[Folder]:
        """Return the folders in this folder that have files."""
        return [folder for folder in self.folders if folder.has_files]

    def with_images(self) -> list[Folder]:
        """Return the folders in this folder that have images, or else those that have files."""
        return [folder for folder in self.folders if folder.n_images] or self.with_files()

    def _walk(self) -> Iterator[File]:
        yield from self.files
        for folder in self.folders:
            yield from folder._walk()


@dataclass
class LeftOut:
    """What a tree does not have although it lies in the folder.

    Attributes:
        system: path of each folder of the system -> number of images in it.
        hidden: path of each hidden folder with images -> number of images in it.
        hidden_files: paths of hidden image files.
        broken_links: paths of links that lead nowhere.
        not_files: paths of pipes, sockets and devices that are named as images.
        repeated: paths of links to a folder that is read already, or that contains the link.
        linked: paths of the linked folders that were read; they are part of the tree.
        deep: paths of folders that are inside too many others.
        linked_inside: identities of the folders that were read by a link inside a linked folder.
    """

    system: dict[str, int] = field(default_factory=dict)
    hidden: dict[str, int] = field(default_factory=dict)
    hidden_files: list[str] = field(default_factory=list)
    broken_links: list[str] = field(default_factory=list)
    not_files: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    linked: list[str] = field(default_factory=list)
    deep: list[str] = field(default_factory=list)
    linked_inside: set[tuple[int, int]] = field(default_factory=set)

    def count(self, folder_name: str, path: str, n_images: int) -> None:
        """Count images in a folder that is not read."""
        if n_images:
            counts = self.system if is_of_the_system(folder_name) else self.hidden
            counts[path] = counts.get(path, 0) + n_images

    def notes(self) -> list[str]:
        """Return a sentence with counts for everything that was left out."""
        sentences = []
        for what, counts in (
            ("system folders", self.system),
            ("hidden folders", self.hidden),
        ):
            if counts:
                names = few(
                    [f"{path}/" for path in sorted(counts, key=lambda p: (p.count("/"), p))]
                )
                total = sum(counts.values())
                sentences.append(f"left out {what}: {names}, with {images(total)}")
        if self.hidden_files:
            number = images(len(self.hidden_files), "hidden image")
            sentences.append(f"left out {number}: {few(self.hidden_files)}")
        if self.broken_links:
            n_links = len(self.broken_links)
            what = "1 link leads" if n_links == 1 else f"{n_links:,} links lead"
            sentences.append(f"{what} nowhere: {few(self.broken_links)}")
        if self.not_files:
            sentences.append(f"left out pipes, sockets and devices: {few(self.not_files)}")
        if self.repeated:
            sentences.append(
                "left out links to folders that are read already: "
                f"{few([f'{path}/' for path in self.repeated])}"
            )
        if self.deep:
            sentences.append(
                f"left out folders inside more than {DEEPEST} others: {few(self.deep)}"
            )
        if self.linked:
            sentences.append(f"followed links: {few([f'{path}/' for path in self.linked])}")
        return sentences


def is_image(path: str) -> bool:
    """Return whether a file is named as an image and is not made by the system."""
    suffix = re.match(r"\.[a-z0-9]+", os.path.splitext(path)[1].lower())  # .jpg_large, .png?x=1
    return bool(suffix and suffix[0] in IMAGE_SUFFIXES) and not is_system_file(
        path.rsplit("/", 1)[-1]
    )


def is_of_the_system(folder_name: str) -> bool:
    """Return whether a folder of this name is not content, such as thumbnails or a waste bin."""
    return folder_name.lower() in _OF_THE_SYSTEM


def is_system_file(name: str) -> bool:
    """Return whether a file of this name is made by the system, such as `Thumbs.db`."""
    return name.lower() in _FILES_OF_THE_SYSTEM or name.startswith("._")


def scan(root: Path) -> tuple[Folder, LeftOut]:
    """Read the names in a folder and in all folders below it; links are followed.

    Raises:
        OSError: a folder cannot be read.
    """
    left_out = LeftOut()
    above = {_identity(os.stat(root))}
    return _scan(str(root), "", above, left_out, is_linked=False), left_out


def _scan(
    place: str, path: str, above: set[tuple[int, int]], left_out: LeftOut, is_linked: bool
) -> Folder:
    """Read one folder.

    Args:
        place: where it is.
        path: its path in the tree.
        above: identities of the folder and of those that contain it.
        left_out: receives what is left out.
        is_linked: whether a link led to it, or to one that contains it. Of further links below it,
            only the first to each folder is followed: links between n folders have n! ways.
    """
    files, folders = [], []
    with os.scandir(place) as entries:
        sorted_entries = sorted(entries, key=lambda entry: entry.name)
    read: set[tuple[int, int]] = set()
    # Real folders come first, so that a link to one of them is the repetition.
    for entry in sorted(sorted_entries, key=lambda entry: entry.is_symlink()):
        own_path = f"{path}/{entry.name}" if path else entry.name
        try:
            stat = entry.stat()
        except FileNotFoundError:
            left_out.broken_links.append(own_path)
            continue
        except OSError as error:
            if not entry.is_symlink():
                raise
            left_out.broken_links.append(f"{own_path} ({error.strerror})")
            continue
        if not entry.is_dir():
            if not entry.is_file():
                if is_image(own_path):
                    left_out.not_files.append(own_path)
            elif not is_system_file(entry.name):
                file = File(own_path, stamp(stat))
                if not entry.name.startswith("."):
                    files.append(file)
                elif file.is_named_as_image:
                    left_out.hidden_files.append(own_path)
            continue
        if is_of_the_system(entry.name) or entry.name.startswith("."):
            if entry.name not in _OF_VERSION_CONTROL:
                left_out.count(entry.name, own_path, _n_images_below(entry.path))
            continue
        if len(above) > DEEPEST:
            left_out.deep.append(own_path)
            continue
        identity = _identity(stat)
        is_link = entry.is_symlink()
        if is_link:
            is_known = is_linked and identity in left_out.linked_inside
            if identity in above or identity in read or is_known:
                left_out.repeated.append(own_path)
                continue
            left_out.linked.append(own_path)
            if is_linked:
                left_out.linked_inside.add(identity)
        read.add(identity)
        inner = above | {identity}
        folders.append(_scan(entry.path, own_path, inner, left_out, is_linked or is_link))
    return Folder(
        path,
        tuple(sorted(folders, key=lambda folder: folder.name)),
        tuple(sorted(files, key=lambda file: file.path)),
    )


def tree_of(files: Iterable[File]) -> tuple[Folder, LeftOut]:
    """Return the tree of files whose paths are known, as in an archive."""
    left_out = LeftOut()
    visible = []
    for file in files:
        *folders, name = file.path.split("/")
        if len(folders) > DEEPEST:
            left_out.deep.append("/".join(folders[:DEEPEST]))
            continue
        is_unread = [is_of_the_system(folder) or folder.startswith(".") for folder in folders]
        if any(is_unread):
            first = is_unread.index(True)
            path = "/".join(folders[: first + 1])
            left_out.count(folders[first], path, int(file.is_named_as_image))
        elif not name.startswith("."):
            visible += [] if is_system_file(name) else [file]
        elif file.is_named_as_image:
            left_out.hidden_files.append(file.path)
    return _folder_of("", visible), left_out


def _folder_of(path: str, files: list[File]) -> Folder:
    """Return the folder at a path that holds the files, directly or below it."""
    start = len(path) + 1 if path else 0
    own: list[File] = []
    below: dict[str, list[File]] = {}
    for file in files:
        name, slash, _ = file.path[start:].partition("/")
        if slash:
            below.setdefault(name, []).append(file)
        else:
            own.append(file)
    folders = [
        _folder_of(f"{path}/{name}" if path else name, below[name]) for name in sorted(below)
    ]
    return Folder(path, tuple(folders), tuple(sorted(own, key=lambda file: file.path)))


def _n_images_below(folder: str) -> int:
    """Return the number of images in a folder of a disk that is not read."""
    return sum(is_image(name) for _, _, names in os.walk(folder) for name in names)


def _identity(stat: os.stat_result) -> tuple[int, int]:
    return stat.st_dev, stat.st_ino
