"""The images of one class folder: without masks, and with a note on the sub-folders they are in."""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass, field

from episodes.datasets.folders.folder_tree import File, Folder
from episodes.datasets.source import few, images

PICTURES = {
    *("image", "images", "img", "imgs", "photo", "photos", "picture", "pictures", "pics"),
    "jpegimages",
}
MASKS = {
    *("mask", "masks", "label", "labels", "annotation", "annotations", "annots", "trimaps", "gt"),
    *("segmentation", "segmentations", "seg", "groundtruth", "ground_truth", "ground truth"),
}
_MASK_STEM = re.compile(r"(.+?)[ _-](mask|masks|segmentation|seg|gt|groundtruth)([ _-]?\d+)?")


@dataclass(frozen=True)
class ClassFiles:
    """The files of one class in one part.

    Attributes:
        path: path of the class folder in the tree.
        files: its files and those of the folders below it, sorted by path.
    """

    path: str
    files: list[File]

    def subfolder_of(self, file: File) -> str:
        """Return the folder below the class folder in which a file lies; may be empty."""
        return file.path[len(self.path) + 1 :].rpartition("/")[0]


@dataclass
class Remarks:
    """What the user should know about the files of the classes.

    Attributes:
        empty: paths of class folders without files.
        masks: paths of the masks that are left out.
        subfolders: name of each class whose images come from several sub-folders -> sub-folder ->
            number of images.
    """

    empty: list[str] = field(default_factory=list)
    masks: list[str] = field(default_factory=list)
    subfolders: dict[str, Counter[str]] = field(default_factory=dict)

    def notes(self) -> list[str]:
        """Return the remarks as sentences."""
        sentences = []
        if self.empty:
            sentences.append(
                f"{few([f'{path}/' for path in self.empty])}: no files, so not a class"
            )
        if self.masks:
            number = images(len(self.masks), "mask")
            sentences.append(f"left out {number} of other images: {few(self.masks)}")
        if self.subfolders:
            name, counts = max(self.subfolders.items(), key=lambda item: len(item[1]))
            listed = few([f"{folder} ({count:,})" for folder, count in counts.items()])
            others = len(self.subfolders) - 1
            more = f"; also those of {others:,} other classes" if others > 1 else ""
            more = "; also those of another class" if others == 1 else more
            sentences.append(
                f"images of {name} come from several folders: {listed}{more}; if those of one "
                "folder are alike, use --group-by subfolder"
            )
        return sentences


def files_of_class(folder: Folder, remarks: Remarks) -> ClassFiles:
    """Return the files of a class folder and of the folders below it.

    Masks are left out: those in a folder beside a folder of pictures (`images/` and `masks/`), and
    files named after another file (`7_mask.png` beside `7.png`).

    Args:
        folder: the class folder.
        remarks: receives what is left out.
    """
    files = folder.all_files()
    if not files:
        remarks.empty.append(folder.path)
    masks = _masks_of(folder)
    remarks.masks += [file.path for file in files if file.path in masks]
    own = ClassFiles(folder.path, [file for file in files if file.path not in masks])
    counts = Counter(
        own.subfolder_of(file).split("/")[0] or "directly in it"
        for file in own.files
        if file.is_named_as_image
    )
    if len(counts) > 1:
        remarks.subfolders[folder.name] = counts
    return own


def _masks_of(folder: Folder) -> set[str]:
    """Return the paths of the masks in a folder and in the folders below it."""
    stems = {os.path.splitext(file.name)[0] for file in folder.files}
    masks = set()
    for file in folder.files:
        match = _MASK_STEM.fullmatch(os.path.splitext(file.name)[0].lower())
        if match and os.path.splitext(file.name)[0][: len(match[1])] in stems:
            masks.add(file.path)
    has_pictures = any(inner.name.lower() in PICTURES for inner in folder.folders)
    for inner in folder.folders:
        if has_pictures and inner.name.lower() in MASKS:
            masks |= {file.path for file in inner.all_files()}
        else:
            masks |= _masks_of(inner)
    return masks
