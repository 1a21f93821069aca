"""Oracle: Python's own decoders of bytes, and names written out by hand."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest

from episodes.datasets.names import distinct, native, numbered, readable, readable_line


@pytest.mark.parametrize(
    "raw", [b"caf\xe9", b"\xff\xfe", "né".encode() + b"\xe9a", b"a", "猫".encode()]
)
def test_bytes_that_are_no_text_are_replaced(raw: bytes):
    assert readable(os.fsdecode(raw)) == raw.decode(errors="replace")


def test_a_text_with_any_surrogate_can_be_encoded():
    for code in (0xD800, 0xDBFF, 0xDC00, 0xDC7F, 0xDC80, 0xDCFF, 0xDFFF):
        assert readable(f"± a{chr(code)}b") == "± a\ufffdb"


def test_names_that_would_become_equal_show_their_bytes():
    names = [os.fsdecode(name) for name in (b"caf\xe9", b"caf\xe8", b"th\xe9", b"a")]
    assert distinct(names) == ("caf\\xe9", "caf\\xe8", "th\ufffd", "a")
    assert distinct(["a", "a"]) == ("a", "a")  # not this function's concern


def test_control_characters_are_replaced_in_names():
    assert readable_line("a\nb\x1b[31m\u202ec\x7f") == "a\ufffdb\ufffd[31m\ufffdc\ufffd"
    assert distinct(["a\nb", "a\tb", "c\nd"]) == ("a\\x0ab", "a\\x09b", "c\ufffdd")
    assert readable_line("né 猫 \u200d") == "né 猫 \u200d"


def test_names_in_utf_8_are_right_on_a_machine_of_another_encoding():
    code = (
        "import os, sys; from episodes.datasets.names import native, readable\n"
        "assert sys.getfilesystemencoding() != 'utf-8'\n"
        "name = os.fsdecode(b'n\\xc3\\xa9')\n"
        "assert name != 'n\\xe9' and readable(name) == 'n\\xe9' and native('n\\xe9') == name"
    )
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert native("né") == "né"


@pytest.mark.parametrize("stem", ["x" * 251, "é" * 125, os.fsdecode(b"\xe9" * 251)])
def test_a_number_fits_into_a_name_that_is_as_long_as_a_file_system_takes(
    stem: str, tmp_path: Path
):
    names = [path.name for path in itertools.islice(numbered(tmp_path / f"{stem}.jpg"), 120)]
    assert len(set(names)) == 120
    for name in (names[0], names[1], names[-1]):
        (tmp_path / name).touch()
    assert names[1].endswith(" (2).jpg")


def test_a_number_comes_before_a_suffix_and_after_what_is_too_long_for_one(tmp_path: Path):
    for name, second in (
        ("cat.jpg", "cat (2).jpg"),
        ("cat", "cat (2)"),
        (f"a.{'x' * 253}", f"a.{'x' * 249} (2)"),
    ):
        paths = numbered(tmp_path / name)
        assert [next(paths).name, next(paths).name] == [name, second]
