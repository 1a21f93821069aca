"""Oracles: files that pyarrow writes as Hugging Face does, and Pillow's pixels of their images."""

from __future__ import annotations

import base64
import json
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from episodes.datasets import load
from episodes.errors import UserError


def png(seed: int, size: int = 16) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def write(
    path: Path,
    labels: list[int | None],
    names: list[str] | None = None,
    image: str = "image",
    label: str = "label",
    seed: int = 0,
    extra: dict[str, pa.Array] | None = None,
    features: dict[str, object] | None = None,
) -> list[bytes]:
    images = [png(seed + i) for i in range(len(labels))]
    rows = [{"bytes": data, "path": f"{i}.png"} for i, data in enumerate(images)]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    columns = {image: pa.array(rows, kind), label: pa.array(labels, pa.int64()), **(extra or {})}
    table = pa.table(columns)
    if names is not None:
        features = {image: {"_type": "Image"}, label: {"_type": "ClassLabel", "names": names}}
    if features is not None:
        text = json.dumps({"info": {"features": features}})
        table = table.replace_schema_metadata({"huggingface": text})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=7)
    return images


def test_pixels_labels_and_class_names_are_those_of_the_files(tmp_path: Path) -> None:
    folder = tmp_path / "toys"
    images = write(folder / "data" / "train-00000-of-00002.parquet", [0, 1] * 10, ["ball", "car"])
    images += write(
        folder / "data" / "train-00001-of-00002.parquet", [1, 1, 0], ["ball", "car"], seed=50
    )
    write(folder / "data" / "test-00000-of-00001.parquet", [1, 0], ["ball", "car"], seed=90)
    train, test = load(str(folder))
    assert (train.name, train.classes, train.notes) == ("toys", ("ball", "car"), ())
    assert train.labels.tolist() == [0, 1] * 10 + [1, 1, 0]
    assert test.labels.tolist() == [1, 0]
    expected = np.stack(
        [np.asarray(Image.open(BytesIO(data))).transpose(2, 0, 1) for data in images]
    )
    np.testing.assert_array_equal(train.images.numpy(), expected)


def test_validation_files_are_the_test_set_if_there_are_no_test_files(tmp_path: Path) -> None:
    write(tmp_path / "train-0.parquet", [0, 1])
    write(tmp_path / "validation-0.parquet", [0, 1, 1], seed=9)
    train, test = load(str(tmp_path))
    assert train.classes == ("0", "1")
    assert len(test) == 3
    write(tmp_path / "test-0.parquet", [1, 0], seed=99)
    train, test = load(str(tmp_path))
    assert len(test) == 2
    assert train.notes == ("validation-0.parquet is not used",)


@pytest.mark.parametrize("name", ["train-0.parquet", "everything.parquet"])
def test_without_test_files_a_stratified_fifth_is_the_test_set(tmp_path: Path, name: str) -> None:
    images = write(tmp_path / name, [0] * 20 + [1] * 10)
    train, test = load(str(tmp_path))
    assert torch.bincount(train.labels).tolist() == [16, 8]
    assert torch.bincount(test.labels).tolist() == [4, 2]
    assert "20% of its images" in train.notes[0]
    row_of = {}
    for i, data in enumerate(images):
        row_of[np.asarray(Image.open(BytesIO(data))).transpose(2, 0, 1).tobytes()] = i
    rows = [row_of[image.numpy().tobytes()] for image in (*train.images, *test.images)]
    assert sorted(rows) == list(range(30))
    labels = torch.cat([train.labels, test.labels]).tolist()
    assert all(label == (row >= 20) for row, label in zip(rows, labels, strict=True))
    of_file = load(str(tmp_path / name))  # the path of the file itself also works
    assert torch.equal(of_file.test.images, test.images)


def test_folders_can_name_the_parts(tmp_path: Path) -> None:
    write(tmp_path / "train" / "0000.parquet", [0, 1])
    write(tmp_path / "test" / "0000.parquet", [0, 1, 1], seed=9)
    train, test = load(str(tmp_path))
    assert (len(train), len(test)) == (2, 3)


def test_plain_bytes_and_other_column_names_are_accepted(tmp_path: Path) -> None:
    data = pa.array([png(i) for i in range(4)], pa.binary())
    table = pa.table({"img": data, "fine_label": [0, 1, 0, 1], "coarse_label": [0, 0, 0, 0]})
    for part in ("train", "test"):
        pq.write_table(table, tmp_path / f"{part}.parquet")
    assert load(str(tmp_path)).train.labels.tolist() == [0, 1, 0, 1]


def test_declared_columns_take_precedence_over_usual_names(tmp_path: Path) -> None:
    features = {"photo": {"_type": "Image"}, "kind": {"_type": "ClassLabel", "names": ["x", "y"]}}
    for part in ("train", "test"):
        extra = {"label": pa.array([5, 5])}
        path = tmp_path / f"{part}.parquet"
        write(path, [0, 1], image="photo", label="kind", extra=extra, features=features)
    train = load(str(tmp_path)).train
    assert train.labels.tolist() == [0, 1]
    assert train.classes == ("x", "y")


def test_ambiguous_and_missing_columns_are_errors(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", [0, 1], label="a", extra={"b": pa.array([0, 1])})
    with pytest.raises(
        UserError, match=r"train.parquet has several columns that could be the labels \(a, b\)"
    ):
        load(str(tmp_path))
    pq.write_table(pa.table({"text": ["x"], "label": [0]}), tmp_path / "train.parquet")
    with pytest.raises(UserError, match="has no image column"):
        load(str(tmp_path))


def test_broken_rows_are_skipped_and_named(tmp_path: Path) -> None:
    rows = [{"bytes": png(0)}, {"bytes": b"broken"}, {"bytes": None}, None, {"bytes": png(4)}]
    kind = pa.struct([("bytes", pa.binary())])
    pq.write_table(
        pa.table({"image": pa.array(rows, kind), "label": [0, 0, 1, 1, 1]}),
        tmp_path / "train.parquet",
    )
    write(tmp_path / "test.parquet", [0, 1])
    train = load(str(tmp_path)).train
    assert train.labels.tolist() == [0, 1]
    assert train.notes[0] == (
        "skipped 3 of 7 rows: train.parquet row 2, train.parquet row 3 (empty); "
        "train.parquet row 1 (not an image)"
    )


@pytest.mark.parametrize("labels", [[0, None], [0, -1]])
def test_images_without_a_label_are_an_error(tmp_path: Path, labels: list[int | None]) -> None:
    write(tmp_path / "train.parquet", [0, 1])
    write(tmp_path / "test.parquet", labels)
    with pytest.raises(UserError, match=r"test\.parquet has no label in 1 of 2 rows \(row 1\)"):
        load(str(tmp_path))


def test_labels_without_a_class_name_are_an_error(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", [0, 1, 2], ["a", "b"])
    with pytest.raises(UserError, match=r"outside 0\.\.1"):
        load(str(tmp_path))


def test_truncated_and_foreign_files_are_errors(tmp_path: Path) -> None:
    path = tmp_path / "train.parquet"
    write(path, [0, 1] * 20)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"train\.parquet cannot be read as Parquet"):
        load(str(tmp_path))
    path.write_text("PAR1, but not really")
    with pytest.raises(UserError, match=r"train\.parquet cannot be read as Parquet"):
        load(str(tmp_path))
    path.write_text("version https://git-lfs.github.com/spec/v1")
    with pytest.raises(UserError, match=r"train\.parquet is only a pointer .* git lfs pull"):
        load(str(tmp_path))


def test_damage_in_the_middle_of_a_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "train.parquet"
    write(path, [0, 1] * 200)
    data = bytearray(path.read_bytes())
    start = len(data) // 3
    data[start : start + 4000] = bytes(4000)
    path.write_bytes(bytes(data))
    with pytest.raises(UserError, match=r"train\.parquet cannot be read as Parquet"):
        load(str(tmp_path))


def test_several_data_sets_in_one_folder_are_an_error(tmp_path: Path) -> None:
    for config in ("small", "large"):
        write(tmp_path / config / "train-0.parquet", [0, 1])
    with pytest.raises(UserError, match=r"several data sets: give one of .*large, .*small"):
        load(str(tmp_path))


def test_test_files_without_training_files_are_an_error(tmp_path: Path) -> None:
    write(tmp_path / "test-0.parquet", [0, 1])
    with pytest.raises(UserError, match="begins with train"):
        load(str(tmp_path))


def test_files_with_different_class_names_are_an_error(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", [0, 1], ["a", "b"])
    write(tmp_path / "test.parquet", [0, 1], ["b", "a"])
    with pytest.raises(UserError, match=r"test\.parquet has other class names than .*train\.parq"):
        load(str(tmp_path))


def test_folders_of_a_partitioned_table_are_columns(tmp_path: Path) -> None:
    for label in ("cat", "big dog"):
        for split in ("train", "test"):
            data = pa.array([png(len(label) + 10 * len(split) + i) for i in range(2)], pa.binary())
            folder = tmp_path / f"label={label.replace(' ', '%20')}" / f"split={split}"
            folder.mkdir(parents=True)
            pq.write_table(pa.table({"image": data}), folder / "0.parquet")
    train, test = load(str(tmp_path))
    assert train.classes == ("big dog", "cat")
    assert (train.labels.tolist(), test.labels.tolist()) == ([0, 0, 1, 1], [0, 0, 1, 1])


def test_shards_with_a_column_of_parts(tmp_path: Path) -> None:
    for number, split in enumerate(("validation", "train")):
        extra = {"split": pa.array([split, split])}
        write(tmp_path / f"{number}.parquet", [0, 1], seed=10 * number, extra=extra)
    train, test = load(str(tmp_path))
    assert (len(train), len(test)) == (2, 2)
    assert "the parts are the values of 'split' in 0.parquet" in train.notes


def test_files_deep_in_a_download_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "datasets--me--toys" / "snapshots" / "1a2b" / "data"
    write(folder / "train-00000-of-00002.parquet", [0, 1])
    write(folder / "test-00000-of-00001.parquet", [0, 1], seed=9)
    train, test = load(str(tmp_path / "datasets--me--toys"))
    assert (len(train), len(test)) == (2, 2)
    assert train.notes == ("1 of 2 files is missing: train-00001-of-00002.parquet",)


def test_images_beside_the_file_that_it_names(tmp_path: Path) -> None:
    images = [png(i) for i in range(4)]
    (tmp_path / "pics").mkdir()
    for i, data in enumerate(images[:3]):
        (tmp_path / "pics" / f"{i}.png").write_bytes(data)
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    rows = [{"bytes": None, "path": f"pics/{i}.png"} for i in range(3)]
    rows.append({"bytes": images[3], "path": "3.png"})
    for paths in (rows, rows[:3], [f"pics/{i}.png" for i in range(3)]):
        column = pa.array(paths, kind if isinstance(paths[0], dict) else pa.string())
        labels = ["a", "b", "a", "b"][: len(paths)]
        pq.write_table(pa.table({"image": column, "label": labels}), tmp_path / "train.parquet")
        train = load(str(tmp_path), test=None).train
        expected = [np.asarray(Image.open(BytesIO(data))) for data in images[: len(paths)]]
        np.testing.assert_array_equal(train.images.numpy().transpose(0, 2, 3, 1), expected)
        assert [train.classes[label] for label in train.labels] == labels


def test_images_in_base64(tmp_path: Path) -> None:
    texts = [base64.b64encode(png(i)).decode() for i in range(2)]
    texts[1] = f"data:image/png;base64,{texts[1]}"
    pq.write_table(pa.table({"image": texts, "label": [0, 1]}), tmp_path / "train.parquet")
    train = load(str(tmp_path), test=None).train
    expected = [np.asarray(Image.open(BytesIO(png(i)))) for i in range(2)]
    np.testing.assert_array_equal(train.images.numpy().transpose(0, 2, 3, 1), expected)


def test_named_files_that_are_not_there_are_refused(tmp_path: Path) -> None:
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    column = pa.array([{"bytes": None, "path": f"{i}.png"} for i in range(3)], kind)
    pq.write_table(pa.table({"image": column, "label": [0, 1, 0]}), tmp_path / "train.parquet")
    with pytest.raises(UserError, match=r"files such as 0\.png in 'image', but none of the 3"):
        load(str(tmp_path))
