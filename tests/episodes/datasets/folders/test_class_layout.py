"""Layouts of class folders; oracle: trees of published and of untidy data sets, read by hand."""

import pytest

from episodes.datasets.folders.class_layout import Layout, layout
from episodes.errors import NoClasses, UserError
from tests.episodes.datasets.trees import tree


def read(*paths: str, is_archive: bool = False) -> Layout:
    result = layout(tree(*paths), "/data/mine", is_archive=is_archive)
    assert result is not None
    return result


def counts(own: Layout) -> tuple[dict[str, int], dict[str, int] | None]:
    """Return the number of files of each class in both parts."""
    train = {name: len(files.files) for name, files in own.train.items()}
    test = own.test and {name: len(files.files) for name, files in own.test.items()}
    return train, test


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("Training", "Testing"),
        ("Train", "Test"),
        ("TRAIN", "VAL"),
        ("training_set", "test_set"),
        ("seg_train/seg_train", "seg_test/seg_test"),
        ("asl_alphabet_train/asl_alphabet_train", "asl_alphabet_test/asl_alphabet_test"),
        ("train/images", "test/images"),
        ("mine/train", "mine/valid"),
        ("archive/Data/train", "archive/Data/test"),
    ],
)
def test_parts_in_every_spelling_hold_the_classes(train: str, test: str) -> None:
    own = read(f"{train}/a/0-9.png", f"{train}/b/0-9.png", f"{test}/a/1.png", f"{test}/b/1.png")
    assert counts(own) == ({"a": 10, "b": 10}, {"a": 1, "b": 1})


def test_folders_beside_the_parts_are_named() -> None:
    own = read("train/a/1.png", "testing/a/2.png", "unlabeled/x/0-9.png", "docs/readme.txt")
    assert own.notes == ["unlabeled/ is not used (10 images): train/ and testing/ are the parts"]


def test_a_flat_test_folder_is_not_used() -> None:
    own = read("train/a/1.png", "train/b/1.png", "test/0-9.png")
    assert own.test is None
    assert own.notes == ["test/ is not used: it holds 10 images but no class folders"]


def test_validation_is_the_test_set_if_the_test_images_have_no_labels() -> None:
    own = read("train/a/1.png", "train/b/1.png", "val/a/2.png", "test/unknown/0-9.png")
    assert counts(own)[1] == {"a": 1}
    assert "test/ is not used (10 images): none of its folders (unknown)" in own.notes[0]


def test_a_class_named_train_stays_a_class() -> None:
    own = read("bus/0-9.png", "car/0-9.png", "train/freight/0-9.png", "train/ice/0-9.png")
    assert counts(own) == ({"bus": 10, "car": 10, "train": 20}, None)
    assert "train/ is read as a class, because bus/, car/ beside it hold images" in own.notes[0]


def test_classes_named_valid_and_invalid_stay_classes() -> None:
    own = read("valid/x/1.png", "valid/y/1.png", "invalid/v/1.png", "invalid/z/1.png")
    assert set(own.train) == {"valid", "invalid"}
    assert "valid/ is read as a class" in own.notes[0]


def test_classes_named_support_and_query_stay_classes() -> None:
    assert set(read("support/0-9.png", "query/0-9.png").train) == {"support", "query"}
    assert set(read("support/a/1.png", "support/b/1.png", "query/a/1.png").train) == {"a", "b"}


def test_classes_of_test_images_may_be_spelled_otherwise() -> None:
    own = read("train/Cat/1.png", "train/dog/1.png", "test/cat/1.png", "test/dog/1.png")
    assert counts(own)[1] == {"Cat": 1, "dog": 1}
    assert own.notes == ["test/ spells classes of train/ differently: cat (Cat)"]


def test_unlabelled_images_beside_the_classes_are_not_used() -> None:
    own = read("a/1.png", "b/1.png", "unlabeled/0-9.png")
    assert counts(own) == ({"a": 1, "b": 1}, None)
    assert own.notes == ["unlabeled/ is not used (10 images): it has no label"]


def test_parts_inside_the_classes() -> None:
    own = read(*[f"{c}/{p}/good/0-9.png" for c in ("cup", "pen") for p in ("train", "test")])
    assert counts(own) == ({"cup": 10, "pen": 10}, {"cup": 10, "pen": 10})
    assert own.notes == ["each class holds its parts, such as pen/train/ and pen/test/"]


def test_images_beside_the_class_folders_are_counted() -> None:
    own = read("a/1.png", "b/1.png", "0-9.png", "README.md")
    assert own.notes[0].startswith("10 images beside the class folders are not used: 0.png, 1.png")


@pytest.mark.parametrize("wrapper", ["images", "mine", "Data", "JPEGImages"])
def test_a_folder_around_the_classes_is_opened(wrapper: str) -> None:
    own = read(f"{wrapper}/a/1.png", f"{wrapper}/b/1.png", "meta/classes.txt")
    assert set(own.train) == {"a", "b"}
    assert own.notes == [f"the class folders are those in {wrapper}/"]


def test_masks_beside_the_folder_of_class_folders_are_not_used() -> None:
    own = read("images/a/1.png", "images/b/1.png", "masks/a/1.png", "masks/b/1.png")
    assert set(own.train) == {"a", "b"}
    assert "masks/ is not used (2 images): images/ is read" in own.notes


def test_the_folder_that_was_packed_is_no_class_of_an_archive() -> None:
    own = read("2750/a/1.png", "2750/b/1.png", is_archive=True)
    assert set(own.train) == {"a", "b"}


def test_the_same_folders_in_each_class_are_named() -> None:
    own = read(*[f"{c}/{k}/1.png" for c in ("real", "fake") for k in ("apple", "pear")])
    assert own.notes == [
        "all classes hold the folders apple, pear: if these are the classes, give one folder as "
        "the data, such as fake/"
    ]


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (["2750/a/1.png", "2750/b/1.png"], r"one class would be 2750, .*\(a, b\): give .*/2750\."),
        (["x/y/a/1.png", "x/y/b/1.png"], r"one class would be x, .*\(a, b\): give .*/x/y\."),
        (["train/0-9.png", "labels.csv"], "mine/train holds 10 images but no class folders"),
        (["train/0-9.png", "test/0-9.png"], "mine/train holds 10 images but no class folders"),
        (["images/0-9.png", "labels/1.txt"], "images holds 10 images but no class folders"),
        (["images/0-9.jpg", "annotations/trimaps/0-9.png"], "images holds 10 images but no class"),
        (["0-9.png"], "mine holds 10 images but no class folders: make one folder"),
        (["test/a/1.png", "test/b/1.png"], "has test/ but no train/ with class folders"),
        (
            ["train/0-9.png", "val/a/1.png"],
            "mine/train holds 10 images but no class folders",
        ),
        (
            [f"train{i}/{c}/1.png" for i in (1, 2) for c in "ab"],
            "several training parts, train1/, train2/: merge them",
        ),
        (
            [*(f"train/set{i}/{c}/1.png" for i in (1, 2) for c in "ab"), "test/a/1.png"],
            "train/set1/, train/set2/ are not classes",
        ),
        (
            [f"fold{i}/{c}/1.png" for i in (1, 2) for c in "ab"],
            "fold1/, fold2/ are not classes, because each holds the folders a, b: merge them",
        ),
        (
            [f"{version}/{c}/1.png" for version in ("color", "segmented") for c in "ab"],
            "color/, segmented/ are not classes, because each holds the folders a, b: .* give one",
        ),
    ],
)
def test_other_layouts_are_refused(paths: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read(*paths)


@pytest.mark.parametrize("paths", [["0-9.png"], ["images/0-9.png"], ["train/0-9.png"]])
def test_images_without_class_folders_have_an_error_of_their_own(paths: list[str]) -> None:
    with pytest.raises(NoClasses):
        read(*paths)


def test_nothing_is_found_without_folders() -> None:
    assert layout(tree("README.md"), "/data/mine") is None
