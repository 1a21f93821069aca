"""Oracle: the bytes of files that the test writes, before and after."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from episodes.datasets.names import numbered
from fewshot.errors import UserError
from fewshot.model import sorted_copies
from fewshot.model.sorted_copies import MOST_BYTES, SortedCopies, folder_names

HOSTILE = (
    "../../outside", "/etc", "..", ".", "", "a/b", "a\\b", ".hidden", "CON", "nul.txt", "x" * 300,
    "Cat", "cat", "cat ", "line\nbreak", "\ud800", "é" * 200, "none of these", "C:\\Windows",
)  # fmt: skip


def test_every_class_name_gives_one_folder_of_its_own_inside() -> None:
    names = folder_names(HOSTILE)
    assert len({name.casefold() for name in names}) == len(HOSTILE)
    for name in names:
        assert name == Path(name).name
        assert name not in ("", ".", "..")
        assert not name.startswith(".")
        assert len(name.encode()) <= MOST_BYTES + 5
    assert names[HOSTILE.index("Cat")] == "Cat"
    assert names[HOSTILE.index("cat")] == "cat (2)"


def test_copies_of_any_class_stay_in_the_folder(tmp_path: Path) -> None:
    image = tmp_path / "image.jpg"
    image.write_bytes(b"pixels")
    target = tmp_path / "deep" / "sorted"
    copies = SortedCopies(target, HOSTILE)
    for label in range(len(HOSTILE)):
        copies.add(image, label, False)
    copies.add(image, 0, True)
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path != image]
    assert len(files) == len(HOSTILE) + 1
    assert all(path.parent.parent == target for path in files)
    assert all(path.read_bytes() == b"pixels" for path in files)
    assert (target / "none of these (2)" / "image.jpg").is_file()


def test_nothing_is_overwritten_and_a_second_call_copies_nothing_again(tmp_path: Path) -> None:
    for name, content in (("a/1.jpg", b"one"), ("b/1.jpg", b"two"), ("c/1.jpg", b"two")):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(content)
    (tmp_path / "sorted" / "cat").mkdir(parents=True)
    (tmp_path / "sorted" / "cat" / "1.jpg").write_bytes(b"mine")
    for _ in range(2):
        copies = SortedCopies(tmp_path / "sorted", ("cat",))
        for name in "abc":
            copies.add(tmp_path / name / "1.jpg", 0, False)
        contents = {
            path.name: path.read_bytes() for path in (tmp_path / "sorted" / "cat").iterdir()
        }
        assert contents == {
            "1.jpg": b"mine", "1 (2).jpg": b"one", "1 (3).jpg": b"two", "1 (4).jpg": b"two"
        }  # fmt: skip


def test_many_images_of_one_name_try_one_place_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def counted(path: Path) -> Iterator[Path]:
        for place in numbered(path):
            tried.append(place.name)
            yield place

    monkeypatch.setattr(sorted_copies, "numbered", counted)
    copies = SortedCopies(tmp_path / "sorted", ("cat", "dog"))
    for number in range(20):
        image = tmp_path / str(number) / "frame.jpg"
        image.parent.mkdir()
        image.write_text(str(number))
        copies.add(image, 0, False)
        copies.add(image, 1, False)
    names = ["frame.jpg", *(f"frame ({number}).jpg" for number in range(2, 21))]
    assert sorted(tried) == sorted(2 * names)
    for folder in ("cat", "dog"):
        copied = [(tmp_path / "sorted" / folder / name).read_text() for name in names]
        assert copied == list(map(str, range(20)))


def test_copies_of_an_earlier_call_are_recognised_after_new_images(tmp_path: Path) -> None:
    images = {name: tmp_path / name / "1.jpg" for name in "abcd"}
    for name, image in images.items():
        image.parent.mkdir()
        image.write_text(name)
    for order in ("bcd", "abcd", "dcba"):
        copies = SortedCopies(tmp_path / "sorted", ("cat",))
        for name in order:
            copies.add(images[name], 0, False)
    contents = {path.name: path.read_text() for path in (tmp_path / "sorted" / "cat").iterdir()}
    assert contents == {"1.jpg": "b", "1 (2).jpg": "c", "1 (3).jpg": "d", "1 (4).jpg": "a"}


def test_a_link_in_the_folder_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "image.jpg").write_bytes(b"new")
    (tmp_path / "precious").write_bytes(b"old")
    (tmp_path / "sorted" / "cat").mkdir(parents=True)
    (tmp_path / "sorted" / "cat" / "image.jpg").symlink_to(tmp_path / "precious")
    SortedCopies(tmp_path / "sorted", ("cat",)).add(tmp_path / "image.jpg", 0, None)
    assert (tmp_path / "precious").read_bytes() == b"old"
    assert (tmp_path / "sorted" / "cat" / "image (2).jpg").read_bytes() == b"new"


def test_a_file_in_the_place_of_a_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="this is a file; name a folder"):
        SortedCopies(tmp_path / "file", ("cat",))
    copies = SortedCopies(tmp_path / "sorted", ("cat",))
    with pytest.raises(UserError, match=r"gone\.jpg could not be copied"):
        copies.add(tmp_path / "gone.jpg", 0, False)
    assert list((tmp_path / "sorted").rglob("*.part")) == []


def test_images_of_one_name_that_is_as_long_as_can_be_are_all_copied(tmp_path: Path) -> None:
    copies = SortedCopies(tmp_path / "sorted", ("cat",))
    for folder in ("a", "b", "c"):
        (tmp_path / folder).mkdir()
        image = tmp_path / folder / f"{'x' * 251}.jpg"
        image.write_bytes(folder.encode())
        copies.add(image, 0, False)
    made = (tmp_path / "sorted" / "cat").iterdir()
    assert sorted(path.read_bytes() for path in made) == [b"a", b"b", b"c"]
