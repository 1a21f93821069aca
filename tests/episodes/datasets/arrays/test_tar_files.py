"""Oracles: archives that tarfile wrote, and some that unpack to far more than they have."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from episodes.datasets.arrays import tar_files
from episodes.errors import UserError


def archive(path: Path, files: dict[str, bytes], mode: str = "w") -> Path:
    """Write an archive of files."""
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name, content in files.items():
            item = tarfile.TarInfo(name)
            item.size = len(content)
            tar.addfile(item, io.BytesIO(content))
    return path


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_files_are_read_by_their_names(tmp_path: Path, mode: str) -> None:
    path = archive(tmp_path / "a.tar", {"d/one": b"1", "d/two": b"2", "../one": b"3"}, mode)
    members = tar_files.contents(path, ("one",))
    assert members == [("d/one", b"1"), ("../one", b"3")]
    assert [file.name for file in tmp_path.parent.glob("one")] == []


def test_links_and_devices_are_not_read(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE):
            item = tarfile.TarInfo("one")
            item.type, item.linkname = kind, "/etc/passwd"
            tar.addfile(item)
    assert tar_files.contents(tmp_path / "a.tar", ("one",)) == []


def test_an_archive_that_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tar_files, "LARGEST", 1 << 20)
    monkeypatch.setattr(tar_files, "LARGEST_ARCHIVE", 1 << 22)
    many = {f"other{number}": bytes(1 << 20) for number in range(5)}
    path = archive(tmp_path / "a.tar.gz", many, "w:gz")
    with pytest.raises(UserError, match="holds more than"):
        tar_files.contents(path, ("one",))
    one = archive(tmp_path / "b.tar.gz", {"one": bytes((1 << 20) + 1)}, "w:gz")
    assert tar_files.contents(one, ("one",)) == []
    header = tarfile.TarInfo("one")
    header.type, header.size = tarfile.XHDTYPE, 1 << 30  # a header of a gigabyte
    (tmp_path / "c.tar.gz").write_bytes(gzip.compress(header.tobuf() + bytes(1 << 21)))
    with pytest.raises(UserError, match="too large"):
        tar_files.contents(tmp_path / "c.tar.gz", ("one",))


def test_damage_is_reported(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.tar.gz", {"one": bytes(range(256)) * 100}, "w:gz")
    whole = path.read_bytes()
    for content in (b"", whole[:30], whole[: len(whole) // 2], b"\x1f\x8b" + bytes(20)):
        path.write_bytes(content)
        with pytest.raises(UserError, match="cannot be read"):
            tar_files.contents(path, ("one",))
