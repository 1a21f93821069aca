"""Part names; oracle: names of folders and files of published data sets, written by hand."""

import pytest

from episodes.datasets.part_names import part_in, part_of, parts_among

TRAIN = (
    "train Train TRAIN training Training training_set train_set TrainSet trainset TrainingSet "
    "seg_train train2017 train-images images_train x_train train_data TRAINING-DATA train_val "
    "trainval trn 01_train train-00000-of-00003 train-00000-of-00001-0e0ccd4b8e5fbf4a"
)
TEST = (
    "test Test TEST testing Testing test_set TestSet testset seg_test test1 images-test "
    "eval evaluation hold_out holdout Hold-Out test_images held_out "
    "heldout test_set_labelled labeled-test"
)
VALIDATION = "val valid Valid validation Validation val2017 valid_set ValSet dev devset"
CLASSES = (
    "freight_train test_tube valid_tickets steam-train trainer trains latest contest valley "
    "interval device devil training_shoes cat 2750 apple images train_test_split bullet_train "
    "tests_of_acids carnival"
)


@pytest.mark.parametrize(
    ("names", "part"), [(TRAIN, "train"), (TEST, "test"), (VALIDATION, "validation")]
)
def test_every_spelling_of_a_part(names: str, part: str) -> None:
    assert {name: part_of(name) for name in names.split()} == dict.fromkeys(names.split(), part)


def test_class_names_are_no_parts() -> None:
    assert {name: part_of(name) for name in CLASSES.split()} == dict.fromkeys(CLASSES.split())


def test_a_name_with_a_space_is_a_part() -> None:
    assert [part_of("Training Set"), part_of(" test ")] == ["train", "test"]


def test_names_of_tables_may_have_other_words() -> None:
    names = ("beans-train-00000-of-00003", "cifar10_test", "mnist validation", "fashion", "latest")
    assert [part_in(name) for name in names] == ["train", "test", "validation", None, None]


def test_names_that_differ_in_the_part_alone_are_parts() -> None:
    assert parts_among(["alphabet_train", "alphabet_test"]) == {
        "alphabet_train": "train",
        "alphabet_test": "test",
    }


def test_names_that_differ_in_more_are_no_parts() -> None:
    assert parts_among(["freight_train", "test_tube", "bullet_train"]) == {}


def test_two_test_names_are_no_parts_without_a_training_name() -> None:
    assert parts_among(["road_test", "road_val"]) == {}


@pytest.mark.parametrize(
    "names", ["tr te", "Support Query", "gallery probe", "Trainingsdaten Testdaten"]
)
def test_names_that_are_parts_beside_each_other(names: str) -> None:
    assert list(parts_among(names.split()).values()) == ["train", "test"]
    assert parts_among(["support", "gallery", "tr", "query_2"]) == {}


def test_parts_beside_other_folders() -> None:
    assert parts_among(["Training", "testing", "unlabeled"]) == {
        "Training": "train",
        "testing": "test",
    }
