"""Why a file that is given as data cannot be read, and what to do about it."""

from __future__ import annotations

from pathlib import Path

from episodes.datasets.folders.folder_tree import is_image

_AS_ARRAYS = "save its arrays with numpy.savez(path, x_train=..., y_train=...)"
_ARCHIVES = (".tar", ".tgz", ".tbz2", ".txz", ".rar", ".7z", ".gz", ".bz2", ".xz", ".zst")
_REASONS = {
    **dict.fromkeys(
        (".pkl", ".pickle", ".p", ".joblib"), f"a pickle, which could run code: {_AS_ARRAYS}"
    ),
    **dict.fromkeys(
        (".pt", ".pth"), f"a file of torch.save, which may hold anything: {_AS_ARRAYS}"
    ),
    **dict.fromkeys(_ARCHIVES, "an archive: unpack it, and give the folder"),
    **dict.fromkeys(
        (".tfrecord", ".tfrecords", ".record", ".lmdb", ".mdb", ".rec", ".beton"),
        "a file of another program's records: write one folder of images per class, or .npz",
    ),
    **dict.fromkeys(
        (".xls", ".xlsx", ".ods"), "a spreadsheet: save it as CSV with the columns image_path,label"
    ),
    **dict.fromkeys(
        (".mp4", ".avi", ".mov", ".mkv", ".webm"),
        "a video: save frames of it in one folder per class, and use --group-by prefix",
    ),
    **dict.fromkeys(
        (".nii", ".dcm", ".mha", ".nrrd", ".czi", ".svs", ".ndpi"),
        "a volume or slide: save slices or tiles of it as PNG or TIFF in one folder per class",
    ),
}


def is_archive(path: Path) -> bool:
    """Return whether a file is an archive, such as a ZIP file, by its suffix."""
    return path.suffix.lower() in (".zip", *_ARCHIVES) and path.is_file()


def reason(path: Path) -> str:
    """Return what a file is and the remedy, to follow its path in a message."""
    suffix = path.suffix.lower()
    if is_image(path.name):
        return "one image: give the folder that holds one folder of images per class"
    return _REASONS.get(
        suffix,
        "not a file of a data set that can be read: give a folder of images, or one of the formats "
        "in docs/data.md",
    )
