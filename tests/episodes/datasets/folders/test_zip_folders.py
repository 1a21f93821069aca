"""ZIP files of class folders; oracle: the same folders, not packed; Python's zipfile packs them."""

import stat
import zipfile
from pathlib import Path

import pytest
import torch

from episodes.datasets import load
from episodes.datasets.folders import zip_folders
from episodes.errors import UserError
from tests.episodes.datasets.samples import save_classes


def pack(path: Path, folder: Path, above: str = "", method: int = zipfile.ZIP_DEFLATED) -> None:
    with zipfile.ZipFile(path, "w", method) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, f"{above}{file.relative_to(folder)}")


@pytest.mark.parametrize("above", ["", "my photos/"])
@pytest.mark.parametrize("parts", [[""], ["Training", "Testing"]])
def test_a_zip_file_gives_what_its_folder_gives(
    tmp_path: Path, above: str, parts: list[str]
) -> None:
    for part in parts:
        save_classes(tmp_path / "x" / part, {"ant": 5, "bee": 5})
    pack(tmp_path / "x.zip", tmp_path / "x", above)
    expected, packed = load(str(tmp_path / "x")), load(str(tmp_path / "x.zip"))
    for one, other in zip(expected, packed, strict=True):
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.labels, other.labels)
        assert (one.classes, one.name) == (other.classes, other.name)


def test_links_and_what_systems_add_are_left_out(tmp_path: Path) -> None:
    save_classes(tmp_path / "x", {"ant": 5, "bee": 5})
    pack(tmp_path / "x.zip", tmp_path / "x")
    with zipfile.ZipFile(tmp_path / "x.zip", "a") as archive:
        archive.writestr("__MACOSX/ant/._000.png", b"fork")
        archive.writestr("ant/.DS_Store", b"store")
        link = zipfile.ZipInfo("ant/link.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    train, test = load(str(tmp_path / "x.zip"), test=None)
    assert train is test
    assert train.notes == ("left out links: ant/link.png",)
    assert len(train) == 10


def test_names_of_old_windows_programs_have_backslashes(tmp_path: Path) -> None:
    save_classes(tmp_path / "x", {"ant": 2, "bee": 2})
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for file in sorted((tmp_path / "x").rglob("*.png")):
            archive.writestr(f"{file.parent.name}\\{file.name}", file.read_bytes())
    assert load(str(tmp_path / "x.zip"), test=None).train.classes == ("ant", "bee")


@pytest.mark.parametrize(
    "name", ["../../x/1.png", "/etc/a/1.png", "C:/a/1.png", "a\\..\\..\\1.png"]
)
def test_names_outside_the_file_are_refused(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), b"")
    with pytest.raises(UserError, match="a path that leads outside the archive"):
        load(str(tmp_path / "x.zip"))


def test_a_damaged_member_is_skipped_and_a_damaged_file_refused(tmp_path: Path) -> None:
    save_classes(tmp_path / "x", {"ant": 3, "bee": 3})
    pack(tmp_path / "x.zip", tmp_path / "x", method=zipfile.ZIP_STORED)
    content = bytearray((tmp_path / "x.zip").read_bytes())
    content[200] ^= 255  # in the pixels of the first file
    (tmp_path / "x.zip").write_bytes(content)
    train, _ = load(str(tmp_path / "x.zip"), test=None)
    assert len(train) == 5
    assert "skipped 1 of 6 files: ant/000.png" in train.notes[0]
    (tmp_path / "x.zip").write_bytes(content[:500])
    with pytest.raises(UserError, match="cannot be read as a ZIP file"):
        load(str(tmp_path / "x.zip"))


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_compressed_member_is_skipped(tmp_path: Path, method: int) -> None:
    save_classes(tmp_path / "x", {"ant": 3, "bee": 3})
    pack(tmp_path / "x.zip", tmp_path / "x", method=method)
    with zipfile.ZipFile(tmp_path / "x.zip") as archive:
        start = archive.getinfo("bee/000.png").header_offset + 30 + len("bee/000.png")
    content = bytearray((tmp_path / "x.zip").read_bytes())
    content[start + 10 : start + 60] = bytes(50)
    (tmp_path / "x.zip").write_bytes(content)
    train, _ = load(str(tmp_path / "x.zip"), test=None)
    assert len(train) == 5
    assert "skipped 1 of 6 files: bee/000.png" in train.notes[0]


def test_encrypted_files_and_unknown_methods_are_refused(tmp_path: Path) -> None:
    save_classes(tmp_path / "x", {"ant": 1, "bee": 1})
    pack(tmp_path / "x.zip", tmp_path / "x")
    content = bytearray((tmp_path / "x.zip").read_bytes())
    for offset, value, message in ((8, 1, "is encrypted"), (10, 9, "number 9")):
        changed = bytearray(content)
        start = -1
        while (start := changed.find(b"PK\x01\x02", start + 1)) >= 0:  # the central directory
            changed[start + offset] = value
        (tmp_path / "x.zip").write_bytes(changed)
        with pytest.raises(UserError, match=message):
            load(str(tmp_path / "x.zip"))


def test_large_files_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_classes(tmp_path / "x", {"ant": 3, "bee": 3})
    (tmp_path / "x" / "ant" / "huge.png").write_bytes(bytes(9000))
    pack(tmp_path / "x.zip", tmp_path / "x")
    monkeypatch.setattr(zip_folders, "LARGEST_FILE", 5000)
    train, _ = load(str(tmp_path / "x.zip"), test=None)
    assert len(train) == 6
    assert any("ant/huge.png" in note for note in train.notes)


def test_few_large_files_are_in_memory_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zip_folders, "LARGEST_CHUNK", 1000)
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("a/1.png", "a/2.png", "b/1.png"):
            archive.writestr(name, bytes(1001))
    source = zip_folders.source(tmp_path / "x.zip", "x")
    assert source is not None
    assert [len(chunk) for chunk in source.read().train.chunks()] == [1, 1, 1]


def test_a_zip_file_without_class_folders_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("readme.txt", "about")
    with pytest.raises(UserError, match="holds no class folders"):
        load(str(tmp_path / "x.zip"))


def test_labels_in_a_zip_file_are_not_read(tmp_path: Path) -> None:
    save_classes(tmp_path / "x", {"pics": 5})
    (tmp_path / "x" / "labels.csv").write_text("image,label\n000.png,ant\n", encoding="utf-8")
    pack(tmp_path / "x.zip", tmp_path / "x")
    with pytest.raises(UserError, match=r"inside a ZIP file \(labels\.csv\) are not read: unpack"):
        load(str(tmp_path / "x.zip"))
