"""Files of a class; oracle: layouts of published data sets, sorted by hand."""

from episodes.datasets.folders.class_files import Remarks, files_of_class
from tests.episodes.datasets.trees import tree


def names(*paths: str) -> tuple[list[str], list[str]]:
    remarks = Remarks()
    own = files_of_class(tree(*paths).folders[0], remarks)
    return [file.path for file in own.files], remarks.notes()


def test_masks_beside_pictures_are_left_out() -> None:
    files, notes = names("covid/images/1.png", "covid/images/2.png", "covid/masks/1.png")
    assert files == ["covid/images/1.png", "covid/images/2.png"]
    assert notes == ["left out 1 mask of other images: covid/masks/1.png"]


def test_files_named_as_masks_of_others_are_left_out() -> None:
    benign = ("b/benign (1).png", "b/benign (1)_mask.png", "b/benign (1)_mask_1.png")
    files, notes = names(*benign, "b/tooth_mask.png")
    assert files == ["b/benign (1).png", "b/tooth_mask.png"]
    assert "left out 2 masks of other images" in notes[0]


def test_folders_called_masks_without_pictures_are_images() -> None:
    files, _ = names("faces/masks/1.png", "faces/bare/1.png")
    assert len(files) == 2


def test_several_folders_are_counted() -> None:
    files, notes = names("a/x/0-9.png", "a/y/z/1.png", "a/2.png")
    assert len(files) == 12
    assert notes == [
        "images of a come from several folders: directly in it (1), x (10), y (1); if those of one "
        "folder are alike, use --group-by subfolder"
    ]


def test_further_classes_from_several_folders_are_counted() -> None:
    remarks = Remarks()
    for folder in tree(*[f"{c}/{s}/1.png" for c in "abc" for s in "xy"]).folders:
        files_of_class(folder, remarks)
    (note,) = remarks.notes()
    assert "x (1), y (1); also those of 2 other classes; if" in note


def test_one_folder_needs_no_remark() -> None:
    assert names("a/x/0-9.png")[1] == []


def test_the_folder_below_the_class_folder_is_known() -> None:
    own = files_of_class(tree("a/x/y/1.png", "a/2.png").folders[0], Remarks())
    assert {file.path: own.subfolder_of(file) for file in own.files} == {
        "a/2.png": "",
        "a/x/y/1.png": "x/y",
    }
