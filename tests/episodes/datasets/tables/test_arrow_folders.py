"""Oracles: `datasets` itself, where it is installed, and Arrow files written by pyarrow."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from episodes.datasets import load
from episodes.errors import UserError
from tests.episodes.datasets.samples import save_classes
from tests.episodes.datasets.tables.test_parquet import png, write


def table_of(labels: list[int], names: list[str], seed: int = 0) -> pa.Table:
    rows = [{"bytes": png(seed + i), "path": None} for i in range(len(labels))]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": names}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    table = pa.table({"image": pa.array(rows, kind), "label": labels})
    return table.replace_schema_metadata(metadata)


def save_split(folder: Path, table: pa.Table, n_files: int = 1) -> None:
    """Write what `save_to_disk` of datasets 5.2 writes for one split."""
    folder.mkdir(parents=True)
    names = [f"data-{i:05d}-of-{n_files:05d}.arrow" for i in range(n_files)]
    size = len(table) // n_files
    for i, name in enumerate(names):
        part = table.slice(i * size, size)
        with pa.ipc.new_stream(str(folder / name), part.schema) as writer:
            writer.write_table(part, max_chunksize=3)
    state = {"_data_files": [{"filename": name} for name in names], "_split": folder.name}
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "dataset_info.json").write_text("{}")


def save_dictionary(folder: Path, splits: list[str]) -> None:
    for number, split in enumerate(splits):
        save_split(folder / split, table_of([0, 1, 1, 0], ["ball", "car"], 10 * number))
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": splits}))


def test_splits_give_what_the_same_rows_in_parquet_files_give(tmp_path: Path) -> None:
    save_dictionary(tmp_path / "arrow", ["train", "test"])
    for number, part in enumerate(("train", "test")):
        path = tmp_path / "parquet" / f"{part}.parquet"
        write(path, [0, 1, 1, 0], ["ball", "car"], seed=10 * number)
    for ours, expected in zip(
        load(str(tmp_path / "arrow")), load(str(tmp_path / "parquet")), strict=True
    ):
        assert torch.equal(ours.images, expected.images)
        assert ours.labels.tolist() == expected.labels.tolist() == [0, 1, 1, 0]
        assert ours.classes == expected.classes == ("ball", "car")
        assert ours.fingerprint == expected.fingerprint


def test_one_split_has_no_test_part(tmp_path: Path) -> None:
    save_split(tmp_path / "mine", table_of([0, 1] * 4, ["ball", "car"]), n_files=2)
    whole = load(str(tmp_path / "mine"), test=None)
    assert whole.is_whole
    assert whole.train.labels.tolist() == [0, 1] * 4


def test_a_validation_split_is_the_test_part_if_there_is_no_other(tmp_path: Path) -> None:
    save_dictionary(tmp_path, ["train", "validation", "unsupervised"])
    train, test = load(str(tmp_path))
    assert (len(train), len(test)) == (4, 4)
    assert "unsupervised/: not used" in train.notes


@pytest.mark.parametrize("is_stream", [True, False])
def test_loose_files_of_both_formats(tmp_path: Path, is_stream: bool) -> None:
    for number, part in enumerate(("train", "test")):
        table = table_of([0, 1], ["ball", "car"], seed=10 * number)
        new = pa.ipc.new_stream if is_stream else pa.ipc.new_file
        with new(str(tmp_path / f"toys-{part}.arrow"), table.schema) as writer:
            writer.write_table(table)
    train, test = load(str(tmp_path))
    assert train.labels.tolist() == test.labels.tolist() == [0, 1]
    assert len(load(str(tmp_path / "toys-test.arrow"), test=None).train) == 2


def test_a_missing_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    save_split(tmp_path / "mine", table_of([0, 1] * 4, ["ball", "car"]), n_files=2)
    (tmp_path / "mine" / "data-00001-of-00002.arrow").unlink()
    with pytest.raises(UserError, match=r"1 of 2 files is missing \(data-00001-of-00002\.arrow\)"):
        load(str(tmp_path / "mine"))


def test_offsets_that_lead_outside_the_file_are_an_error(tmp_path: Path) -> None:
    """Arrow's readers trust offsets unless they are asked to validate them."""
    names = pa.array(["ball", "car"] * 4)
    _, offsets, letters = names.buffers()
    far = np.frombuffer(offsets, np.int32).copy()
    far[4:6] = 1 << 30
    wrong = pa.StringArray.from_buffers(8, pa.py_buffer(far.tobytes()), letters)
    rows = pa.table({"image": [png(number) for number in range(8)], "label": wrong})
    with pa.ipc.new_stream(str(tmp_path / "train.arrow"), rows.schema) as writer:
        writer.write_table(rows)
    with pytest.raises(UserError, match=r"train\.arrow cannot be read as Arrow"):
        load(str(tmp_path))


def test_truncated_files_are_an_error(tmp_path: Path) -> None:
    save_split(tmp_path / "mine", table_of([0, 1] * 4, ["ball", "car"]))
    path = tmp_path / "mine" / "data-00000-of-00001.arrow"
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(UserError, match=r"data-00000-of-00001\.arrow cannot be read as Arrow"):
        load(str(tmp_path / "mine"))


def test_what_datasets_saves_is_read_as_datasets_reads_it(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="needs `datasets` (extra hf)")
    save_classes(tmp_path / "pics" / "train", {"a": 3, "b": 3})
    save_classes(tmp_path / "pics" / "test", {"a": 1, "b": 2})
    saved = datasets.load_dataset(
        "imagefolder", data_dir=str(tmp_path / "pics"), cache_dir=str(tmp_path / "cache")
    )
    saved.save_to_disk(str(tmp_path / "saved"))
    for part, split in zip(load(str(tmp_path / "saved")), ("train", "test"), strict=True):
        expected = np.stack([np.asarray(row["image"]) for row in saved[split]])
        np.testing.assert_array_equal(part.images.numpy().transpose(0, 2, 3, 1), expected)
        assert part.labels.tolist() == saved[split]["label"][:]
        assert part.classes == ("a", "b")
