"""Folders that `save_to_disk` of Hugging Face's `datasets` writes, and other Arrow files.

They are read with pyarrow alone.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from episodes.datasets.part_names import PartName, part_of
from episodes.datasets.source import Source, few
from episodes.datasets.tables.files import TEST_NAMES, files_near, train_and_tests
from episodes.datasets.tables.table import MemoryTable, unreadable
from episodes.datasets.tables.table_source import source_of_tables
from episodes.errors import DAMAGED_JSON, UserError

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIXES = (".arrow", ".feather", ".ipc")
_DICTIONARY, _STATE = "dataset_dict.json", "state.json"  # of several splits, and of one


def source(place: Path, name: str) -> Source | None:
    """Locate a folder of `save_to_disk`, or Arrow files in a folder; or one file.

    Returns:
        None if there are no Arrow files.

    Raises:
        UserError: files are missing or broken, or no split is for training.
    """
    if place.is_file():
        if place.suffix.lower() not in SUFFIXES:
            return None
        return source_of_tables(name, place.parent, [_table(place, None)], [], list_all=False)
    if (place / _DICTIONARY).is_file():
        splits = _read_json(place / _DICTIONARY).get("splits")
        if not isinstance(splits, list) or not splits:
            raise UserError(
                f"{place / _DICTIONARY} has no list of splits: save the data set again."
            )
        return _of_splits(place, name, [str(split) for split in splits])
    if (place / _STATE).is_file():
        paths = _data_files(place)
        tables = [_table(path, None) for path in paths]
        return source_of_tables(name, place, tables, [], also_read=[place / _STATE])
    paths = files_near(place, SUFFIXES)
    return _of_files(place, name, paths) if paths else None


def _of_splits(place: Path, name: str, splits: list[str]) -> Source:
    """Return the data set of a folder with one folder for each split."""
    parts: dict[PartName | None, list[str]] = {}
    for split in splits:
        if not (place / split).is_dir():
            raise UserError(f"{place} has no folder {split}/, which {_DICTIONARY} names: copy it.")
        parts.setdefault(part_of(split), []).append(split)
    if list(parts) == [None] and len(splits) == 1:
        parts = {"train": splits}
    if "train" not in parts:
        raise UserError(
            f"{place} has the splits {few(splits)}, but none called train: give the folder of one "
            "as data."
        )
    train, notes = parts.pop("train"), []
    tests = [parts[part] for part in TEST_NAMES if part in parts]
    for part in (train, *tests):
        if len(part) > 1:
            raise UserError(f"{place} has several splits ({few(part)}): give one of them as data.")
    if None in parts:
        notes.append(f"{few([f'{split}/' for split in parts[None]])}: not used")
    tables: dict[str, list[MemoryTable]] = {}
    for (split,) in (train, *tests):
        paths = _data_files(place / split)
        tables[split] = [_table(path, part_of(split)) for path in paths]
    return source_of_tables(
        name,
        place,
        tables[train[0]],
        [tables[split] for (split,) in tests],
        notes,
        also_read=[place / _DICTIONARY, *(place / split / _STATE for split in tables)],
    )


def _data_files(folder: Path) -> list[Path]:
    """Return the Arrow files of one split, in order.

    Raises:
        UserError: one of them is missing, or the rows are in another order than in the files.
    """
    state = _read_json(folder / _STATE)
    if state.get("_indices_data_files"):
        raise UserError(
            f"{folder} holds a selection of the rows of its files: save it again with "
            "flatten_indices().save_to_disk()."
        )
    try:
        paths = [folder / str(entry["filename"]) for entry in state["_data_files"]]
    except (KeyError, TypeError) as error:
        raise UserError(f"{folder / _STATE} names no data files: save it again.") from error
    if missing := [path.name for path in paths if not path.is_file()]:
        verb = "is" if len(missing) == 1 else "are"
        raise UserError(
            f"{folder}: {len(missing)} of {len(paths)} files {verb} missing ({few(missing)}): copy "
            "the folder again."
        )
    if not paths:
        raise UserError(f"{folder} has no data files: save the data set again.")
    return paths


def _of_files(place: Path, name: str, paths: list[Path]) -> Source:
    """Return the data set of Arrow files whose names say which part they belong to."""
    paths = [path for path in paths if not path.name.startswith("cache-")]  # of `datasets`
    train, tests, notes = train_and_tests(paths, place, "Arrow")
    train_tables = [_table(path, "train") for path in train]
    test_tables = [[_table(path, "test") for path in test] for test in tests]
    return source_of_tables(name, place, train_tables, test_tables, notes)


def _table(path: Path, part: PartName | None) -> MemoryTable:
    """Map an Arrow file into memory, in the format of streams or of files."""
    import pyarrow as pa

    try:
        return MemoryTable(path, part, _content(pa.memory_map(str(path))))
    except (pa.ArrowException, OSError) as error:
        raise unreadable(path, "Arrow", error) from error


def _content(file: pa.MemoryMappedFile) -> pa.Table:
    import pyarrow as pa

    is_file_format = file.read(6) == b"ARROW1"
    file.seek(0)
    open_it = pa.ipc.open_file if is_file_format else pa.ipc.open_stream
    content = open_it(file).read_all()
    content.validate(full=True)  # a damaged file would end the process when it is used
    return content


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, *DAMAGED_JSON) as error:
        raise UserError(f"{path} cannot be read ({error}): save the data set again.") from error
    return content if isinstance(content, dict) else {}
