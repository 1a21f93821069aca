"""Oracle: the cells that a person would read in each text, written by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from episodes.datasets.tables import text_tables
from episodes.datasets.tables.text_tables import head_of, read_table
from episodes.datasets.tables.wide_tables import with_image_and_label
from episodes.errors import UserError

ROWS = [("a.png", "cat"), ("b 1.png", "dog, big")]


def cells(path: Path, content: str, encoding: str = "utf-8") -> list[tuple[str, ...]]:
    path.write_bytes(content.encode(encoding))
    table = read_table(path, None, lambda text: text.endswith(".png"))
    columns = [table.content.column(name).to_pylist() for name in ("image", "label")]
    return list(zip(*columns, strict=True))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.csv", 'image,label\na.png,cat\nb 1.png,"dog, big"\n'),
        ("x.csv", 'a.png,cat\n\nb 1.png,"dog, big"\n,\n'),
        ("x.csv", "sep=;\r\nlabel;image\r\ncat;a.png\r\ndog, big;b 1.png\r\n"),
        ("x.csv", "image|label|\na.png|cat|\nb 1.png|dog, big|\n"),
        ("x.tsv", "image\tlabel\na.png\tcat\nb 1.png\tdog, big\n"),
        (
            "x.jsonl",
            '{"image": "a.png", "label": "cat"}\n\n{"label": "dog, big", "image": "b 1.png"}',
        ),
        (
            "x.json",
            '[{"image": "a.png", "label": "cat"}, {"image": "b 1.png", "label": "dog, big"}]',
        ),
        ("x.json", '{"a.png": "cat", "b 1.png": "dog, big"}'),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_every_dialect_has_the_same_cells(
    tmp_path: Path, name: str, content: str, encoding: str
) -> None:
    assert cells(tmp_path / name, content, encoding) == ROWS


def test_paths_with_spaces_stand_before_labels_in_text_files(tmp_path: Path) -> None:
    assert cells(tmp_path / "x.txt", "a.png cat\nb 1.png  dog\n") == [ROWS[0], ("b 1.png", "dog")]


def test_comments_above_a_table_are_skipped(tmp_path: Path) -> None:
    rows = "a.png,cat\nb 1.png,'dog, big'\n".replace("'", '"')
    for comments in ("#\n#note\n# a, b\n", "# note\n" * 1200):
        assert cells(tmp_path / "x.csv", f"{comments}image,label\n{rows}") == ROWS
    (tmp_path / "x.csv").write_text("#,image\n1,a.png\n")
    assert head_of(tmp_path / "x.csv")[0] == ["#", "image"]


def test_a_cell_may_hold_a_large_image_in_base64(tmp_path: Path) -> None:
    text = "A" * 200_000
    assert cells(tmp_path / "x.csv", f"image,label\n{text},cat\n") == [(text, "cat")]


def test_a_header_and_the_row_below_are_read_without_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("image,label\na.png,caf\u00e9\n" + "b.png,dog\n" * 10_000, encoding="utf-8")
    assert head_of(path) == (["image", "label"], ["a.png", "caf\u00e9"])
    path = tmp_path / "x.json"
    path.write_text('[{"image": "a.png", "label": 3}]')
    assert head_of(path) == (["image", "label"], ["a.png", "3"])
    path.write_text("[1, 2]")
    assert head_of(path) == ([], [])


def test_numbers_keep_their_text_unless_all_are_decimal_fractions(tmp_path: Path) -> None:
    assert [label for _, label in cells(tmp_path / "x.csv", "a.png,001\nb.png,1.0\n")] == [
        "001",
        "1.0",
    ]
    assert [label for _, label in cells(tmp_path / "x.csv", "a.png,1.0\nb.png,\n")] == [1.0, None]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.csv", b"image,label\na.png,caf\xe9\n", r"not encoded in UTF-8 \(line 2\)"),
        ("x.csv", b"PK\x03\x04", "is a spreadsheet or an archive"),
        ("x.csv", b"image,label\na.png,cat,1\n", "3 cells in row 2, but 2 columns"),
        ("x.csv", b"image,label,label\n", "several columns called 'label'"),
        ("x.csv", b"\n\n", "is empty"),
        ("x.jsonl", b'{"image": 1}\n[]', "no object in line 2"),
        ("x.json", b'{"image": {}}', "expected a list of objects"),
        ("x.json", b"[" * 100_000, "is not valid JSON"),
        ("x.jsonl", b'{"image":' * 100_000, "is not valid JSON in line 1"),
    ],
)
def test_what_is_no_table_is_refused(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_table(tmp_path / name, None, lambda text: False)


WIDE = ",".join(f"pixel{i}" for i in range(16))
ROW = ",".join(map(str, range(240, 256)))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize(
    ("content", "labels"),
    [
        (f"label,{WIDE}\n0,{ROW}\n\n1,{ROW}\n", ["0", "1"]),
        (f"# note\n\nlabel,{WIDE}\r\nsea lion,{ROW}\r\n,{ROW}\r\n", ["sea lion", None]),
        (f"sep=;\nlabel;pixels\n0;{ROW.replace(',', ' ')}\n".replace("0;", "1.0;"), [1.0]),
        (f"label,pixels\ncat,{ROW.replace(',', ' ')}\n", ["cat"]),
    ],
)
def test_tables_of_pixels_are_read_without_texts_of_python(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    content: str,
    labels: list[object],
    encoding: str,
) -> None:
    (tmp_path / "x.csv").write_bytes(content.encode(encoding))
    monkeypatch.setattr(text_tables, "_of_rows", None)
    table = read_table(tmp_path / "x.csv", None, lambda text: False)
    assert table.read("label").to_pylist() == labels
    images = table.read("image").combine_chunks().to_numpy_ndarray()
    expected = np.arange(240, 256).reshape(4, 4, 1)
    np.testing.assert_array_equal(images, [expected] * len(labels))


@pytest.mark.parametrize(
    "content",
    [
        f"label,{WIDE}\n0,{ROW}\n,{',' * 15}\n",
        f'label,{WIDE}\n "0",{ROW}\n',
        f"label,{WIDE}\n0,{ROW.replace('240', '240.0')}\n",
    ],
)
def test_pixels_that_pyarrow_reads_otherwise_are_read_as_text(tmp_path: Path, content: str) -> None:
    (tmp_path / "x.csv").write_text(content)
    table = with_image_and_label(read_table(tmp_path / "x.csv", None, lambda text: False))
    assert table.read("label").to_pylist() == ["0"]
    assert table.read("image").combine_chunks().to_numpy_ndarray().ravel().tolist() == [
        *range(240, 256)
    ]


def test_one_number_for_each_image_in_a_column_of_pixels_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("filename,label,pixels\na.png,cat,1.0\nb.png,dog,2.0\n")
    table = with_image_and_label(read_table(tmp_path / "x.csv", None, lambda text: False))
    assert table.content.column_names == ["filename", "label", "pixels"]
    (tmp_path / "x.jsonl").write_text('{"image": "a.png", "label": "cat", "pixels": null}\n')
    table = with_image_and_label(read_table(tmp_path / "x.jsonl", None, lambda text: False))
    assert table.read("image").to_pylist() == ["a.png"]


def test_a_delimiter_that_is_not_ascii_is_read_as_text(tmp_path: Path) -> None:
    content = f"sep=§\nlabel,{WIDE}\n0,{ROW}\n".replace(",", "§")
    (tmp_path / "x.csv").write_text(content)
    table = with_image_and_label(read_table(tmp_path / "x.csv", None, lambda text: False))
    assert table.read("label").to_pylist() == ["0"]
    assert table.read("image").combine_chunks().to_numpy_ndarray().shape == (1, 4, 4, 1)


def test_a_table_of_pixels_is_read_again_only_if_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(f"label,{WIDE}\n0,{ROW}\n")
    first = read_table(path, None, lambda text: False)
    assert read_table(path, None, lambda text: False) is first
    path.write_text(f"label,{WIDE}\n0,{ROW}\n1,{ROW}\n")
    assert read_table(path, None, lambda text: False).n_rows == 2


def test_lone_surrogates_in_json_are_replaced(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"image": "a.png", "label\\ud800": "\\udc00b"}')
    table = read_table(tmp_path / "x.jsonl", None, lambda text: False)
    assert table.read("label\ufffd").to_pylist() == ["\ufffdb"]
