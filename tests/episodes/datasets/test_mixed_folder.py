"""Thirty kinds of files in one folder; oracle: the colour with which each file was written."""

from pathlib import Path

import numpy as np

from episodes.datasets import load
from tests.episodes.datasets import mixed_folder
from tests.episodes.datasets.samples import save_classes


def test_thirty_kinds_of_files_in_one_folder(tmp_path: Path) -> None:
    numbers = mixed_folder.save(tmp_path / "x" / "mixed", 2)
    save_classes(tmp_path / "x" / "noise", {".": 2})
    train, _ = load(str(tmp_path / "x"), test=None, image_size=16)
    assert train.classes == ("mixed", "noise")
    names = sorted(numbers)
    images = train.images[train.labels == 0]
    assert len(images) == len(names) == 48
    for name, image in zip(names, images, strict=True):
        mean = image.double().mean((1, 2)).numpy()
        if name.endswith(("deep.png", "fractions.tif")):
            assert (image.max(), image.min()) > (245, 0), name
        else:
            expected = mixed_folder.colour(numbers[name])
            np.testing.assert_allclose(mean, expected, atol=8, err_msg=name)
    (note,) = [note for note in train.notes if note.startswith("skipped")]
    assert note.startswith("skipped 12 of 62 files")
    for name, reason in mixed_folder.UNREADABLE.items():
        assert name in note
        assert reason in note
