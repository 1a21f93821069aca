"""Oracle: remedies written by hand, for files that people have beside images."""

from pathlib import Path

import pytest

from episodes.datasets import load
from episodes.errors import UserError


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cells.pkl", "a pickle, which could run code: save its arrays with numpy.savez"),
        ("cells.PT", "a file of torch.save, .*numpy.savez"),
        ("cells.tar.gz", "an archive: unpack it, and give the folder"),
        ("cells.rar", "an archive: unpack it, and give the folder"),
        (
            "cells.tfrecord",
            "a file of another program's records: write one folder of images per class",
        ),
        ("cells.xlsx", "a spreadsheet: save it as CSV"),
        ("cells.mp4", "a video: save frames"),
        ("cells.dcm", "a volume or slide: save slices"),
        ("cat.jpg", "one image: give the folder"),
        ("cells.unknown", "not a file of a data set that can be read: give a folder of images"),
        ("cells", "not a file of a data set that can be read: give a folder of images"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_the_remedy(
    tmp_path: Path, name: str, message: str
) -> None:
    (tmp_path / name).write_bytes(b"content")
    with pytest.raises(UserError, match=rf"{name} is {message}"):
        load(str(tmp_path / name))


@pytest.mark.parametrize(
    ("name", "hint"), [("x.zip", "or give .*x.zip"), ("x.tar.gz", "or unpack .*x.tar.gz")]
)
def test_an_archive_in_an_empty_folder_is_named(tmp_path: Path, name: str, hint: str) -> None:
    (tmp_path / name).write_bytes(b"content")
    with pytest.raises(UserError, match=rf"no class folders with images .*, {hint}\.$"):
        load(str(tmp_path))
