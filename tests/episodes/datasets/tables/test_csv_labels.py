"""Oracles: the pixels and labels that the tests wrote, row by row, and counts made by hand."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from episodes.datasets import load
from episodes.errors import UserError
from episodes.types import ImageSet
from tests.episodes.datasets.samples import save_classes, save_image


def write_rows(path: Path, rows: list[str], encoding: str = "utf-8") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(rows) + "\n", encoding=encoding, newline="")


def save_images(folder: Path, count: int, suffix: str = ".png", seed: int = 0) -> None:
    for i in range(count):
        save_image(folder / f"{i}{suffix}", seed + i)


def label_of_pixels(part: ImageSet) -> dict[bytes, str]:
    images = part.images.numpy().transpose(0, 2, 3, 1)
    labels = [part.classes[label] for label in part.labels]
    return {image.tobytes(): label for image, label in zip(images, labels, strict=True)}


def pixels(path: Path) -> bytes:
    return np.asarray(Image.open(path).convert("RGB")).tobytes()


@pytest.mark.parametrize(
    "header",
    [
        "image_path,label",
        "Image Path,Label",
        "filename,class",
        "FILE_NAME,Category",
        "img,target",
        "filepaths,labels",
        "photo,species",
        "label,image",
        "id_code,diagnosis",
        "what,bird_class",
    ],
)
def test_a_csv_gives_each_image_its_label(tmp_path: Path, header: str) -> None:
    save_images(tmp_path / "pics", 6)
    names = ["cat", "dog"] * 3
    is_swapped = header.startswith("label")
    rows = [
        f"{name},pics/{i}.png" if is_swapped else f"pics/{i}.png,{name}"
        for i, name in enumerate(names)
    ]
    write_rows(tmp_path / "animals.csv", [header, *rows])
    for data in (tmp_path / "animals.csv", tmp_path):
        whole = load(str(data), test=None)
        assert whole.is_whole
        assert label_of_pixels(whole.train) == {
            pixels(tmp_path / "pics" / f"{i}.png"): name for i, name in enumerate(names)
        }


@pytest.mark.parametrize(
    ("suffix", "lines", "encoding"),
    [
        (".csv", ["image;label", "0.png;Käse", '1.png;"b;c"'], "utf-8-sig"),
        (".csv", ["image\tlabel", "0.png\tKäse", "1.png\tb;c"], "utf-16"),
        (".csv", ["sep=;", "image;label", "0.png;Käse", '1.png;"b;c"'], "utf-8"),
        (".csv", ['"image","label"\r', '"0.png","Käse"\r', "", '1.png,"b;c"\r'], "utf-8"),
        (".csv", ['image,label\r0.png,Käse\r1.png,"b;c"'], "utf-8"),
        (".csv", ["# made by me, 2026", "image,label", "0.png,Käse", "1.png,b;c"], "utf-8"),
        (".csv", ["0.png,Käse", "1.png,b;c"], "utf-8"),
        (".tsv", ["image\tlabel", "0.png\tKäse", "1.png\tb;c"], "utf-8"),
        (".txt", ["0.png Käse", "1.png b;c"], "utf-8"),
        (".jsonl", ['{"img": "0.png", "y": "Käse"}', '{"img": "1.png", "y": "b;c"}'], "utf-8"),
        (".json", ['{"0.png": "Käse", "1.png": "b;c"}'], "utf-8"),
        (".json", ['[{"img": "0.png", "y": "Käse"},', '{"img": "1.png", "y": "b;c"}]'], "utf-8"),
        (".csv", ["image,label", ".\\0.png,Käse", "1.PNG,b;c"], "utf-8"),
        (".csv", ["image,label", "/content/drive/x/0.png,Käse", "C:\\me\\1.png,b;c"], "utf-8"),
    ],
)  # fmt: skip
def test_dialects_and_spellings_of_paths(
    tmp_path: Path, suffix: str, lines: list[str], encoding: str
) -> None:
    save_images(tmp_path, 2)
    write_rows(tmp_path / f"mine{suffix}", lines, encoding)
    train = load(str(tmp_path / f"mine{suffix}"), test=None).train
    expected = {pixels(tmp_path / "0.png"): "Käse", pixels(tmp_path / "1.png"): "b;c"}
    assert label_of_pixels(train) == expected


def test_labels_of_numbers_keep_their_text_and_are_in_numerical_order(tmp_path: Path) -> None:
    save_images(tmp_path, 4)
    write_rows(tmp_path / "a.csv", ["image,label", "0.png,10", "1.png,9", "2.png,1e3", "3.png,007"])
    assert load(str(tmp_path / "a.csv"), test=None).train.classes == ("007", "9", "10", "1e3")


def test_names_beside_numbers_are_the_class_names(tmp_path: Path) -> None:
    save_images(tmp_path, 4)
    rows = ["image,label,label_name", "0.png,1,owl", "1.png,0,rook", "2.png,1,owl", "3.png,0,rook"]
    write_rows(tmp_path / "a.csv", rows)
    train = load(str(tmp_path / "a.csv"), test=None).train
    assert train.classes == ("rook", "owl")
    assert train.labels.tolist() == [1, 0, 1, 0]


def test_kaggle_ids_beside_train_and_a_test_folder_without_labels(tmp_path: Path) -> None:
    save_images(tmp_path / "train", 6, ".jpg")
    save_images(tmp_path / "test", 3, ".jpg", seed=50)
    write_rows(tmp_path / "trainLabels.csv", ["id,label", "0,a", "1,b", "2,a", "3,b"])
    write_rows(tmp_path / "test.csv", ["id", "0", "1", "2"])
    write_rows(tmp_path / "sample_submission.csv", ["id,label", "0,a", "1,a", "2,a"])
    train = load(str(tmp_path), test=None).train
    assert label_of_pixels(train) == {
        pixels(tmp_path / "train" / f"{i}.jpg"): "ab"[i % 2] for i in range(4)
    }
    notes = " ".join(train.notes)
    assert "5 of 9 image files have no row with a label: 3 in test/, 2 in train/" in notes
    assert "sample_submission.csv is not used" in notes


def test_kaggle_with_labelled_parts_of_equal_names(tmp_path: Path) -> None:
    for part, count, seed in (("train", 4, 0), ("test", 2, 50)):
        save_images(tmp_path / f"{part}_images", count, seed=seed)
        rows = [f"{i},{'ab'[i % 2]}" for i in range(count)]
        write_rows(tmp_path / f"{part}.csv", ["id,label", *rows])
    train, test = load(str(tmp_path))
    assert label_of_pixels(train) == {
        pixels(tmp_path / "train_images" / f"{i}.png"): "ab"[i % 2] for i in range(4)
    }
    assert label_of_pixels(test) == {
        pixels(tmp_path / "test_images" / f"{i}.png"): "ab"[i % 2] for i in range(2)
    }


def test_images_in_numbered_folders_are_not_taken_for_classes(tmp_path: Path) -> None:
    for number in (1, 2):
        save_images(tmp_path / f"images_part_{number}", 3, ".jpg", seed=9 * number)
        for i in range(3):
            path = tmp_path / f"images_part_{number}" / f"{i}.jpg"
            path.rename(path.with_stem(f"ISIC_{number}{i}"))
    ids = [f"ISIC_{number}{i}" for number in (1, 2) for i in range(3)]
    rows = [f"lesion{i},{name},{'nv' if i % 2 else 'mel'},{40 + i}" for i, name in enumerate(ids)]
    write_rows(tmp_path / "metadata.csv", ["lesion_id,image_id,dx,age", *rows])
    train = load(str(tmp_path), test=None).train
    assert train.classes == ("mel", "nv")
    assert train.labels.tolist() == [0, 1, 0, 1, 0, 1]
    assert "the labels are the values of 'dx' in metadata.csv" in train.notes


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_metadata_of_hugging_face_in_each_part_or_above_them(tmp_path: Path, suffix: str) -> None:
    def write_metadata(path: Path, rows: list[tuple[str, str]]) -> None:
        if suffix == ".csv":
            write_rows(path, ["file_name,label", *(f"{name},{label}" for name, label in rows)])
        else:
            write_rows(path, [json.dumps({"file_name": n, "label": label}) for n, label in rows])

    for part, seed in (("train", 0), ("test", 50)):
        for form in ("each", "above"):
            save_images(tmp_path / form / part, 4, seed=seed)
        rows = [(f"{i}.png", "ab"[i % 2]) for i in range(4)]
        write_metadata(tmp_path / "each" / part / f"metadata{suffix}", rows)
    rows = [(f"{part}/{i}.png", "ab"[i % 2]) for part in ("test", "train") for i in range(4)]
    write_metadata(tmp_path / "above" / f"metadata{suffix}", rows)
    for form in ("each", "above"):
        train, test = load(str(tmp_path / form))
        for part, images in (("train", train), ("test", test)):
            expected = {pixels(tmp_path / form / part / f"{i}.png"): "ab"[i % 2] for i in range(4)}
            assert label_of_pixels(images) == expected


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("split", ["train", "train", "TEST", "test"]),
        ("data set", ["Training", "Training", "valid", "valid"]),
        ("is_train", ["1", "1", "0", "0"]),
        ("Usage", ["Training", "Training", "PrivateTest", "PrivateTest"]),
    ],
)
def test_a_column_of_parts(tmp_path: Path, column: str, values: list[str]) -> None:
    save_images(tmp_path, 4)
    rows = [f"{i}.png,{'ab'[i % 2]},{value}" for i, value in enumerate(values)]
    write_rows(tmp_path / "x.csv", [f"image,label,{column}", *rows])
    train, test = load(str(tmp_path / "x.csv"))
    assert list(label_of_pixels(train)) == [pixels(tmp_path / f"{i}.png") for i in (0, 1)]
    assert list(label_of_pixels(test)) == [pixels(tmp_path / f"{i}.png") for i in (2, 3)]


def test_class_folders_with_a_csv_that_says_the_same_are_class_folders(tmp_path: Path) -> None:
    save_classes(tmp_path, {"a": 4, "b": 4})
    plain = load(str(tmp_path), test=None).train
    rows = [f"{name}/{i:03}.png,{name}" for name in "ab" for i in range(4)]
    write_rows(tmp_path / "sheet.csv", ["filepaths,labels", *rows])
    assert load(str(tmp_path), test=None).train.fingerprint == plain.fingerprint
    write_rows(tmp_path / "sheet.csv", ["name,class", "tench,fish", "owl,bird"])  # of no images
    train = load(str(tmp_path), test=None).train
    assert train.fingerprint == plain.fingerprint
    assert train.notes[0].startswith("sheet.csv is not used: has no image column")


def test_labels_that_are_not_the_names_of_the_folders_are_noted(tmp_path: Path) -> None:
    save_classes(tmp_path, {"a": 2, "b": 2})
    rows = [f"{name}/{i:03}.png,{'xy'[i]}" for name in "ab" for i in range(2)]
    write_rows(tmp_path / "sheet.csv", ["path,label", *rows])
    train = load(str(tmp_path), test=None).train
    assert train.classes == ("x", "y")
    assert "the labels are those of sheet.csv, and not the names of the folders" in train.notes


def test_numbers_that_lost_their_zeros_still_name_files(tmp_path: Path) -> None:
    for i in (7, 8):
        save_image(tmp_path / "train" / f"{i:05}.png", i)
    write_rows(tmp_path / "train.csv", ["id,label", "7,a", "8,b"])
    train = load(str(tmp_path), test=None).train
    assert label_of_pixels(train)[pixels(tmp_path / "train" / "00007.png")] == "a"


def test_one_hot_columns_are_labels(tmp_path: Path) -> None:
    save_images(tmp_path / "images", 3, ".jpg")
    rows = ["image,MEL,NV,BCC", "0,1.0,0.0,0.0", "1,0.0,0.0,1.0", "2,0.0,1.0,0.0"]
    write_rows(tmp_path / "truth.csv", rows)
    train = load(str(tmp_path / "truth.csv"), test=None).train
    assert [train.classes[label] for label in train.labels] == ["MEL", "BCC", "NV"]


@pytest.mark.parametrize("form", ["columns", "text", "no header"])
def test_pixels_in_a_csv(tmp_path: Path, form: str) -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 8, 8))
    texts = [" ".join(map(str, image.ravel())) for image in images]
    if form != "text":
        header = "label," + ",".join(f"pixel{i}" for i in range(64))
        rows = [f"{i % 2}," + text.replace(" ", ",") for i, text in enumerate(texts)]
    else:
        header = "emotion,pixels,Usage"
        rows = [f"{i % 2},{text},Training" for i, text in enumerate(texts)]
    write_rows(tmp_path / "train.csv", rows if form == "no header" else [header, *rows])
    train = load(str(tmp_path / "train.csv"), test=None).train
    np.testing.assert_array_equal(train.images.numpy(), np.stack([images] * 3, axis=1))
    assert train.labels.tolist() == [0, 1, 0, 1]


def test_missing_and_repeated_images_are_counted(tmp_path: Path) -> None:
    save_images(tmp_path, 4)
    rows = [f"{i}.png,{'ab'[i % 2]}" for i in (0, 1, 2, 3, 2, 9)]
    write_rows(tmp_path / "x.csv", ["image,label", *rows])
    train = load(str(tmp_path / "x.csv"), test=None).train
    notes = " ".join(train.notes)
    assert len(train) == 4
    assert "1 row names an image again" in notes
    assert "skipped 1 of 5 rows: 9.png" in notes


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            ["image,label", "x.png,a", "y.png,b"],
            r"names image files such as x\.png in 'image', but none",
        ),
        (["image,label", "0.png,a", "0.png,b"], r"has several labels for 0\.png \(a and b\)"),
        (["image,label", "0.png,a", "1.png,"], r"has no label in 1 of 2 rows \(row 3\)"),
        (["image,label", "0.png,a,b", "1.png,c"], r"has 3 cells in row 2, but 2 columns"),
        (["image,label,label", "0.png,a,b"], "several columns called 'label'"),
        (["image,label", "0.png,0.25", "1.png,0.5"], "has numbers such as 0.25 in 'label'"),
        (["image", "0.png", "1.png"], "has no label column, it has no other columns"),
        (["image,age", "0.png,30", "1.png,31"], "no label column, its other columns are 'age'"),
        (["image,color,form", "0.png,a,b", "1.png,b,a"], r"could be the labels \(color, form\)"),
        (["image,note", "0.png,a", "1.png,b"], "'note' has 2 different values in 2 rows"),
        (["image,label", "https://x.org/0.png,a"], "names addresses such as https://x.org/0.png"),
        (["image,label"], "no image column"),
        ([""], "is empty"),
        (["image,label", "0.png,a", "1.png,b", "1.png,a|b"], r"several labels in one cell .* a\|b"),
        (["image,label", "0.png,a\0"], "is not encoded in UTF-8"),
        (["PK\x03\x04", "0.png,a"], "is a spreadsheet or an archive: save it as CSV UTF-8"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_sentence(
    tmp_path: Path, rows: list[str], message: str
) -> None:
    save_images(tmp_path, 2)
    write_rows(tmp_path / "x.csv", rows)
    with pytest.raises(UserError, match=message):
        load(str(tmp_path / "x.csv"), test=None)


def test_other_encodings_are_refused_with_the_line(tmp_path: Path) -> None:
    save_images(tmp_path, 2)
    write_rows(tmp_path / "x.csv", ["image,label", "0.png,Käse", "1.png,b"], "cp1252")
    with pytest.raises(UserError, match=r"not encoded in UTF-8 \(line 2\): save it as UTF-8"):
        load(str(tmp_path), test=None)


def test_a_name_in_several_folders_is_refused(tmp_path: Path) -> None:
    for place in ("left", "right"):
        save_images(tmp_path / place, 2)
    write_rows(tmp_path / "x.csv", ["image,label", "0.png,a", "1.png,b"])
    with pytest.raises(UserError, match=r"0\.png, which is in several folders \(left/, right/\)"):
        load(str(tmp_path), test=None)
    shutil.rmtree(tmp_path / "right")
    assert len(load(str(tmp_path), test=None).train) == 2


def test_linked_folders_in_a_circle_end(tmp_path: Path) -> None:
    save_images(tmp_path / "data" / "pics", 2)
    os.symlink(tmp_path / "data", tmp_path / "data" / "pics" / "again")
    write_rows(tmp_path / "data" / "x.csv", ["id,label", "0,a", "1,b"])
    assert len(load(str(tmp_path / "data"), test=None).train) == 2


@pytest.mark.parametrize("name", ["train.txt", "labels.json", "labels.tsv"])
def test_lists_in_a_folder(tmp_path: Path, name: str) -> None:
    save_images(tmp_path / "images", 4)
    names = {f"images/{i}.png": "ab"[i % 2] for i in range(4)}
    separator = " " if name.endswith("txt") else "\t"
    rows = [f"{path}{separator}{label}" for path, label in names.items()]
    write_rows(tmp_path / name, [json.dumps(names)] if name.endswith("json") else rows)
    write_rows(tmp_path / "readme.txt", ["images/0.png and others", "were taken in May"])
    train = load(str(tmp_path), test=None).train
    assert label_of_pixels(train) == {
        pixels(tmp_path / path): label for path, label in names.items()
    }


def test_a_list_that_numbers_the_images_is_no_list_of_labels(tmp_path: Path) -> None:
    save_classes(tmp_path, {"a": 6, "b": 6})
    plain = load(str(tmp_path), test=None).train
    paths = [f"{name}/{i:03}.png" for name in "ab" for i in range(6)]
    write_rows(tmp_path / "images.txt", [f"{i} {path}" for i, path in enumerate(paths, 1)])
    assert load(str(tmp_path), test=None).train.fingerprint == plain.fingerprint


def test_text_like_a_missing_value_is_noted(tmp_path: Path) -> None:
    save_images(tmp_path, 3)
    write_rows(tmp_path / "x.csv", ["image,label", "0.png,a", "1.png,b", "2.png,nan"])
    train = load(str(tmp_path / "x.csv"), test=None).train
    assert train.classes == ("a", "b", "nan")
    assert train.notes[0].startswith("1 row has the label 'nan'")


def test_columns_of_the_table_group_images(tmp_path: Path) -> None:
    save_images(tmp_path, 6)
    rows = [f"{i}.png,{'ab'[i % 2]},patient {i // 2}" for i in range(6)]
    write_rows(tmp_path / "x.csv", ["image,label,patient", *rows])
    clusters = load(str(tmp_path / "x.csv"), test=None, group_by="patient").train.clusters
    assert clusters is not None
    assert [len(set(clusters[i : i + 2].tolist())) for i in (0, 2, 4)] == [1, 1, 1]
    assert len(set(clusters.tolist())) == 3
    with pytest.raises(UserError, match="has no column 'day': its columns are 'image', 'label'"):
        load(str(tmp_path / "x.csv"), test=None, group_by="day")


def test_the_reason_why_a_table_is_not_read_comes_before_that_there_are_no_class_folders(
    tmp_path: Path,
) -> None:
    save_images(tmp_path / "train", 4, ".jpg")
    rows = [f"train/{i}.jpg,{'ab'[i % 2]},{'xy'[i // 2]}" for i in range(4)]
    write_rows(tmp_path / "faces.csv", ["file,gender,race", *rows])
    with pytest.raises(
        UserError, match=r"faces\.csv has no label column, its other columns are 'gender', 'race'"
    ):
        load(str(tmp_path), test=None)


def test_a_map_from_labels_to_names_is_no_table_of_images(tmp_path: Path) -> None:
    save_images(tmp_path / "train_images", 4, ".jpg")
    write_rows(tmp_path / "train.csv", ["image_id,label", *(f"{i}.jpg,{i % 2}" for i in range(4))])
    write_rows(tmp_path / "names.json", ['{"0": "rust", "1": "scab"}'])
    train = load(str(tmp_path), test=None).train
    assert (train.classes, train.notes) == (("0", "1"), ())
