"""Read pools in every form, and leave out what is labelled already.

Oracle: the files that the tests write, and features of the classifier's own computation.
"""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from fewshot.errors import UserError
from fewshot.model import file_format
from fewshot.model.suggest import pools, unlabelled
from tests.fewshot.model import own_photos


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of twelve pictures in two folders, with one that cannot be read."""
    folder = own_photos.write(tmp_path_factory.mktemp("pool") / "pool", {"red": 7, "blue": 5}, 50)
    own_photos.write_broken(folder, 1)
    return folder


def test_a_folder_with_a_model(pool: Path, model: Path, photos: Path) -> None:
    classifier = file_format.load(model, "cpu")
    read = pools.read(pool, model=classifier, device="cpu")
    expected = [f"blue/{i}.png" for i in range(50, 55)] + [f"red/{i}.png" for i in range(50, 57)]
    assert list(read.names) == expected
    assert read.files is not None
    assert all(map(Path.is_file, read.files))
    assert [file.name for file in read.left_out] == ["broken-00.jpg"]
    pixels = own_photos.pixels_of(list(read.files), classifier.decoding)
    assert torch.equal(read.pool.features, classifier.features(pixels))
    assert torch.equal(read.pool.labels, classifier.support.labels)
    probabilities = classifier.log_probabilities(read.pool.features).exp().numpy()
    ordered = np.sort(probabilities, axis=1)
    assert read.pool.uncertainty is not None
    assert np.allclose(read.pool.uncertainty, 1 - ordered[:, -1] + ordered[:, -2], atol=1e-6)


def test_images_that_have_a_label_are_left_out_under_any_name(
    pool: Path, photos: Path, tmp_path: Path
) -> None:
    mixed = shutil.copytree(pool, tmp_path / "mixed")
    shutil.copy(photos / "red" / "3.png", mixed / "another name.png")
    labelled = str(photos)
    read = pools.read(mixed, labelled=labelled, device="cpu")
    assert read.n_known == 1
    assert len(read) == 12
    assert "another name.png" not in read.names
    assert read.classes == ("blue", "green", "red")
    assert read.pool.labels.bincount().tolist() == [4, 6, 12]
    with pytest.raises(UserError, match="has a label already"):
        pools.read(photos, labelled=labelled, device="cpu")


def test_equal_files_are_one_image(pool: Path, tmp_path: Path) -> None:
    doubled = shutil.copytree(pool, tmp_path / "doubled")
    shutil.copy(doubled / "red" / "52.png", doubled / "zebra.png")
    read = pools.read(doubled, device="cpu")
    first = read.names.index("red/52.png")
    assert read.copies[read.names.index("zebra.png")] == read.copies[first] == first
    assert len(read.copies.unique()) == len(read) - 1 == 12


def test_several_folders_and_a_table_of_files(pool: Path, tmp_path: Path) -> None:
    both = pools.read([pool / "red", pool / "blue"], device="cpu")
    assert len(both) == 12
    assert both.names[0] == (pool / "red" / "50.png").as_posix()
    table = tmp_path / "table.csv"
    rows = [f"{path},{path.parent.name}" for path in sorted(pool.glob("*/*.png"))]
    table.write_text("\n".join(["image_path,label", *rows]))
    of_table = pools.read(table, device="cpu")
    assert of_table.files is not None
    assert [path.name for path in of_table.files] == [Path(row.split(",")[0]).name for row in rows]


def test_rows_of_a_table_of_arrays(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    images = random.integers(0, 255, (8, 16, 16, 3), dtype=np.uint8)
    np.savez(
        tmp_path / "arrays.npz",
        x_train=images[:6],
        y_train=np.array(list("aabbcc")),
        x_test=images[6:],
        y_test=np.array(list("ab")),
    )
    read = pools.read(tmp_path / "arrays.npz", device="cpu")
    assert len(read) == 6
    assert read.files is None
    assert read.classes == ()
    assert not len(read.pool.labels)
    for index in (4, 1):
        (payload,) = read.payloads([index])
        assert np.array_equal(np.asarray(payload), images[index])


def test_a_random_sample_stands_for_a_very_large_pool(
    pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folders = [pool / "red", pool / "blue"]
    whole = pools.read(folders, device="cpu")
    images = np.random.default_rng(0).integers(0, 255, (12, 16, 16, 3), dtype=np.uint8)
    np.savez(tmp_path / "arrays.npz", images=images, labels=np.array(list("abc") * 4))
    monkeypatch.setattr(unlabelled, "MOST", 7)
    with caplog.at_level(logging.WARNING, "fewshot"):
        files = pools.read(folders, device="cpu")
        rows = pools.read(tmp_path / "arrays.npz", device="cpu")
    assert [message[:18] for message in caplog.messages] == ["the pool has 12 im"] * 2
    assert len(files) == len(rows) == 7
    at = [whole.names.index(name) for name in files.names]
    assert at == sorted(at)
    assert torch.equal(files.pool.features, whole.pool.features[at])
    payloads = rows.payloads(range(7))
    for name, payload in zip(rows.names, payloads, strict=True):
        assert np.array_equal(np.asarray(payload), images[int(name.rpartition(" ")[2])])


def test_a_pool_without_images_or_with_two_sources_of_labels(tmp_path: Path, model: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no images"):
        pools.read(tmp_path / "empty")
    classifier = file_format.load(model, "cpu")
    with pytest.raises(UserError, match="either a model or labelled images"):
        pools.read(tmp_path, model=classifier, labelled="digits")
    only_broken = tmp_path / "broken"
    only_broken.mkdir()
    own_photos.write_broken(only_broken, 3)
    with pytest.raises(UserError, match="no image"):
        pools.read(only_broken, device="cpu")
