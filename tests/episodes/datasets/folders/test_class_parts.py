"""Parts of a tree of folders; oracle: trees written by hand.

The parts that `test_class_layout.py` reads are not tested again.
"""

from episodes.datasets.folders.class_parts import (
    find_parts,
    holds_classes,
    inner,
    remedy,
    unwrapped,
)
from tests.episodes.datasets.trees import tree


def test_of_several_training_folders_the_shortest_name_is_the_part() -> None:
    notes: list[str] = []
    parts = find_parts(
        tree("train/a/1.png", "train_images/a/0-9.png", "test/a/2.png"), "mine", notes
    )
    assert parts is not None
    assert parts[0].path == "train"
    assert notes == ["train_images/ is not used (10 images): train/ is the training part"]


def test_images_and_labels_are_no_classes() -> None:
    assert not holds_classes(tree("images/1.png", "labels/1.txt"))
    assert holds_classes(tree("images/1.png", "cat/1.png"))


def test_a_class_in_a_part_is_not_opened() -> None:
    assert inner(tree("train/cat/x/1.png", "train/cat/y/1.png").folders[0]).path == "train"


def test_a_training_folder_alone_is_not_opened_as_a_wrapper() -> None:
    assert unwrapped(tree("train/a/1.png", "train/b/1.png"), "mine", True, []).path == ""


def test_variants_of_the_training_classes_are_not_taken_for_classes() -> None:
    notes: list[str] = []
    root = tree("train/a/1.png", "cropped/a/1.png", "masked/a/1.png")
    parts = find_parts(root, "mine", notes)
    assert parts is not None
    assert len(notes) == 2


def test_the_remedy_names_files_that_may_hold_the_labels() -> None:
    images = "make one folder of images per class, or list the labels in a CSV file"
    assert remedy(tree("pics/0-9.png", "README.txt", "data.yaml")) == images
    assert remedy(tree("pics/0-9.png", "Labels.XLSX")) == (
        f"{images} (save Labels.XLSX as CSV with the columns image_path,label)"
    )
    assert remedy(tree("pics/0-9.png", "_annotations.coco.json", "README.md")) == (
        f"{images} with the columns image_path,label (_annotations.coco.json could not be read so)"
    )
