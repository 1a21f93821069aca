"""Trees of folders; oracle: folders made by the test, whose content is counted by hand."""

import os
from pathlib import Path

import pytest

from episodes.datasets.folders.folder_tree import File, is_image, scan, tree_of
from tests.episodes.datasets.trees import STAMP


def save(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"image")


def paths(root: Path) -> list[str]:
    return [file.path for file in scan(root)[0].all_files()]


def test_files_are_sorted_by_path_and_know_their_sizes(tmp_path: Path) -> None:
    save(tmp_path, "b/2.png", "b/10.png", "a/x/1.png", "a/y.txt")
    tree, _ = scan(tmp_path)
    assert [file.path for file in tree.all_files()] == [
        "a/x/1.png",
        "a/y.txt",
        "b/10.png",
        "b/2.png",
    ]
    assert {file.stamp.size for file in tree.all_files()} == {5}
    assert (tree.n_images, tree.folders[0].n_images, tree.folders[0].n_own_images) == (3, 1, 0)


@pytest.mark.parametrize(
    "folder",
    ["@eaDir", "#recycle", "$RECYCLE.BIN", "__MACOSX", "lost+found", "System Volume Information"],
)
def test_folders_of_the_system_are_left_out_with_a_count(tmp_path: Path, folder: str) -> None:
    save(tmp_path, "a/1.png", f"a/{folder}/1.png/thumb.jpg", f"{folder}/2.png", f"{folder}/x.txt")
    tree, left_out = scan(tmp_path)
    assert [file.path for file in tree.all_files()] == ["a/1.png"]
    note = f"left out system folders: {folder}/, a/{folder}/, with 2 images"
    assert left_out.notes() == [note]
    archive, of_archive = tree_of(
        [File(name, STAMP) for name in ("a/1.png", f"a/{folder}/t.jpg", f"{folder}/2.png")]
    )
    assert [file.path for file in archive.all_files()] == ["a/1.png"]
    assert sum(of_archive.system.values()) == 2


def test_hidden_images_are_counted_and_files_of_the_system_are_not(tmp_path: Path) -> None:
    save(
        tmp_path, "a/1.png", "a/.2.png", "a/._1.png", "a/Thumbs.db", "a/.DS_Store", "a/Desktop.ini"
    )
    save(tmp_path, "a/.ipynb_checkpoints/1-checkpoint.png", ".git/objects/3.png")
    tree, left_out = scan(tmp_path)
    assert [file.path for file in tree.all_files()] == ["a/1.png"]
    assert left_out.notes() == [
        "left out hidden folders: a/.ipynb_checkpoints/, with 1 image",
        "left out 1 hidden image: a/.2.png",
    ]


def test_links_are_followed_and_dead_ones_counted(tmp_path: Path) -> None:
    save(tmp_path, "store/1.png", "store/2.png", "data/b/3.png")
    os.symlink(tmp_path / "store", tmp_path / "data" / "a")
    os.symlink(tmp_path / "store" / "1.png", tmp_path / "data" / "b" / "4.png")
    for i in range(6):
        os.symlink(tmp_path / "nowhere", tmp_path / "data" / "b" / f"dead{i}.png")
    tree, left_out = scan(tmp_path / "data")
    assert [file.path for file in tree.all_files()] == ["a/1.png", "a/2.png", "b/3.png", "b/4.png"]
    dead, followed = left_out.notes()
    assert dead.startswith("6 links lead nowhere: b/dead0.png, ")
    assert followed == "followed links: a/"


def test_pipes_named_as_images_are_counted(tmp_path: Path) -> None:
    save(tmp_path, "a/1.png")
    for name in ("2.png", "notes"):
        os.mkfifo(tmp_path / "a" / name)
    tree, left_out = scan(tmp_path)
    assert [file.path for file in tree.all_files()] == ["a/1.png"]
    assert left_out.notes() == ["left out pipes, sockets and devices: a/2.png"]


def test_circles_and_second_links_to_a_folder_end(tmp_path: Path) -> None:
    save(tmp_path, "a/1.png", "a/real/2.png")
    os.symlink(tmp_path, tmp_path / "a" / "circle")
    os.symlink(tmp_path / "a" / "real", tmp_path / "a" / "again")
    os.symlink("self", tmp_path / "a" / "self")
    tree, left_out = scan(tmp_path)
    assert [file.path for file in tree.all_files()] == ["a/1.png", "a/real/2.png"]
    assert sorted(left_out.repeated) == ["a/again", "a/circle"]
    assert len(left_out.broken_links) == 1


def test_links_between_all_folders_are_followed_a_bounded_number_of_times(tmp_path: Path) -> None:
    n = 12  # 12! ways
    for here in range(n):
        save(tmp_path, f"store/{here}/1.png")
        for there in range(n):
            os.symlink(
                tmp_path / "store" / str(there), tmp_path / "store" / str(here) / f"l{there}"
            )
    tree, left_out = scan(tmp_path / "store")
    names = [file.path for file in tree.all_files()]
    assert {f"{here}/1.png" for here in range(n)} <= set(names)
    assert len(names) <= n * n + n
    assert left_out.repeated


def test_very_deep_folders_are_left_out(tmp_path: Path) -> None:
    save(tmp_path, "a/1.png")
    place = os.open(tmp_path / "a", os.O_RDONLY)
    for _ in range(150):
        os.mkdir("d", dir_fd=place)
        below = os.open("d", os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = below
    os.close(place)
    tree, left_out = scan(tmp_path)
    assert [file.path for file in tree.all_files()] == ["a/1.png"]
    assert left_out.notes()[0].startswith("left out folders inside more than 100 others: a/d/d")
    archive, of_archive = tree_of(
        [File("a/" + "d/" * 5000 + "2.png", STAMP), File("a/1.png", STAMP)]
    )
    assert [file.path for file in archive.all_files()] == ["a/1.png"]
    assert len(of_archive.deep) == 1


@pytest.mark.parametrize("name", ["x.JPG", "x.jpeg", "x.jpg_large", "x.png?width=300", "x.heic"])
def test_names_of_images(name: str) -> None:
    assert is_image(name)


@pytest.mark.parametrize(
    "name", ["x.txt", "README", "Thumbs.db", "._x.png", "x.png.txt", "x.jsonl"]
)
def test_names_of_other_files(name: str) -> None:
    assert not is_image(name)
