"""Groups of images; oracles: file names sorted into groups by hand, and counts by plain loops."""

from pathlib import Path

import numpy as np
import pytest

from episodes.datasets import grouping, load
from episodes.datasets.source import Part
from episodes.errors import UserError
from tests.episodes.datasets.samples import save_image


def part(names: list[str], subfolders: list[str] | None = None) -> Part:
    return Part(
        np.zeros(len(names), dtype=np.int64),
        names.__getitem__,
        lambda: iter([]),
        subfolder_of=subfolders.__getitem__ if subfolders else None,
    )


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("a/scene03_frame0012.png", "scene03"),
        ("patient_12_1.png", "patient_12"),
        ("IMG_1234.JPG", "IMG"),
        ("frame0012.png", "frame"),
        ("0001.png", ""),
        ("12-3.png", "12"),
        ("p1_left.png", "p1"),
        ("photo (3).jpg", "photo"),
        ("3 (1).png", "3"),
        ("cat_12_jpg.rf.3a4fbb90.jpg", "cat_12"),
        ("été_1.png", "été"),
        ("x.png", "x"),
    ],
)
def test_the_prefix_of_a_file_name(name: str, group: str) -> None:
    assert grouping.prefix(name) == group


def test_images_without_a_prefix_are_on_their_own() -> None:
    names = ["a/1.png", "a/s_1.png", "b/s_2.png", "b/2.png"]
    (numbers,) = grouping.clusters([part(names)], "prefix")
    assert numbers[1] == numbers[2]
    assert len(set(numbers.tolist())) == 3


def test_the_first_sub_folder_that_differs_is_the_group() -> None:
    subfolders = ["images/p1/left", "images/p1/right", "images/p2", "images/p3", "images"]
    (numbers,) = grouping.clusters([part(list("abcde"), subfolders)], "subfolder")
    assert numbers[0] == numbers[1]
    assert len(set(numbers.tolist())) == 4


def test_without_class_folders_the_folders_of_the_files_are_the_groups() -> None:
    (numbers,) = grouping.clusters([part(["p1/1.png", "p1/2.png", "p2/1.png"])], "subfolder")
    assert numbers.tolist() == [0, 0, 1]


def test_groups_have_the_same_number_in_both_parts() -> None:
    train, test = grouping.clusters([part(["a_1", "b_1"]), part(["b_2", "c_1"])], "prefix")
    assert np.intersect1d(train, test).tolist() == [train[1]]
    assert grouping.notes("prefix", train, test) == [
        "grouped by prefix: 3 groups of 1 to 2 images",
        "1 of these groups have training images as well as test images: "
        "1 of 2 test images belong to them",
    ]


@pytest.mark.parametrize(
    ("names", "group_by", "message"),
    [
        (["IMG_1", "IMG_2"], "prefix", "all 2 images into one group, 'IMG'"),
        (["1", "2"], "prefix", "gives no image a group"),
        (["1", "2"], "patient", "has no columns; use subfolder or prefix"),
        (["1", "2"], "subfolder", "gives no image a group .no class folder holds folders"),
        (["x/1", "x/2"], "subfolder", "all 2 images into one group, 'x'"),
    ],
)
def test_useless_groups_are_refused(names: list[str], group_by: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        grouping.clusters([part(names)], group_by)


def test_held_out_clusters_are_whole_and_near_the_share() -> None:
    rng = np.random.default_rng(3)
    clusters = rng.integers(0, 60, 600)
    labels = (clusters % 4 + (rng.random(600) < 0.2)) % 4
    is_test = grouping.held_out(labels, clusters, 0.2)
    for number in range(60):
        assert len(set(is_test[clusters == number].tolist())) == 1
    for label in range(4):
        assert 0.1 < is_test[labels == label].mean() < 0.3


def test_a_class_of_two_large_clusters_is_tested_and_one_of_one_cluster_is_not() -> None:
    labels = np.repeat([0, 1], [20, 10])
    clusters = np.repeat([0, 1, 2], 10)
    is_test = grouping.held_out(labels, clusters, 0.2)
    assert is_test[:20].sum() == 10
    assert not is_test[20:].any()


def test_scenes_stay_on_one_side_of_the_split_of_a_folder(tmp_path: Path) -> None:
    for number, scene in enumerate(["a/s1", "a/s2", "a/s3", "b/s4", "b/s5", "b/s6"]):
        for i in range(5):
            save_image(tmp_path / "x" / scene / f"{i}.png", seed=100 * number + i)
    train, test = load(str(tmp_path / "x"), group_by="subfolder")
    assert train.clusters is not None
    assert test.clusters is not None
    assert not set(train.clusters.tolist()) & set(test.clusters.tolist())
    assert (len(train), len(test)) == (20, 10)
    assert "grouped by subfolder: 6 groups of 5 images" in train.notes
