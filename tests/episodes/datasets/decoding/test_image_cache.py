"""Oracles: a count of decoded images, files damaged by hand, other processes, and /proc."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import episodes
from episodes.datasets import load
from episodes.datasets.decoding import image_cache, image_formats, parallel_decode
from episodes.datasets.decoding.decode import Traits
from episodes.datasets.source import Payload
from episodes.errors import UserError
from episodes.types import Decoding, Fit
from tests.episodes.datasets.deep_images import png16
from tests.episodes.datasets.samples import save_classes, save_image

PACKAGE_ROOT = Path(episodes.__file__).parents[1]

# Loads the folder $DATA in another process. It imports no torch, so that it starts quickly.
LOAD = """
import os, pathlib
from episodes.datasets.decoding import image_cache, parallel_decode
from episodes.datasets.folders import class_folders
from episodes.datasets.source import LoadOptions
from episodes.errors import UserError

def load():
    source = class_folders.source(pathlib.Path(os.environ["DATA"]), "data")
    cache = pathlib.Path(os.environ["FEWSHOT_CACHE"])
    return image_cache.decoded(source, LoadOptions(), cache, progress=True)

"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two classes of six images of 16x16 pixels; five of each are for training."""
    save_classes(tmp_path / "data", {"a": 6, "b": 6})
    return tmp_path / "data"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def decoded_images(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """A list that grows by one with every image that is decoded."""
    payloads: list[object] = []
    original = parallel_decode.decode_with_traits

    def count(payload: Payload, decoding: Decoding) -> tuple[np.ndarray, Traits]:
        payloads.append(payload)
        return original(payload, decoding)

    monkeypatch.setattr(parallel_decode, "decode_with_traits", count)
    return payloads


def start(code: str, data: Path, cache: Path) -> subprocess.Popen[str]:
    """Run LOAD and then the code in another process."""
    variables = {"PYTHONPATH": str(PACKAGE_ROOT), "DATA": str(data), "FEWSHOT_CACHE": str(cache)}
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", LOAD + code],
        env=os.environ | variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_second_load_decodes_nothing_and_does_not_read_the_source(
    data: Path, cache: Path, decoded_images: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load(str(data), cache=cache)
    assert len(decoded_images) == 12

    def fail(self: Path) -> bytes:
        raise AssertionError(f"{self} was read again")

    monkeypatch.setattr(Path, "read_bytes", fail)
    second = load(str(data), cache=cache)
    assert len(decoded_images) == 12
    assert torch.equal(first.train.images, second.train.images)
    assert first.train.fingerprint == second.train.fingerprint
    assert first.train.notes == second.train.notes


def test_an_entry_has_the_documented_files(data: Path, cache: Path) -> None:
    train = load(str(data), cache=cache).train
    folder = cache / "images" / train.fingerprint
    names = sorted(path.name for path in folder.iterdir())
    copies = next(name for name in names if name.startswith("copies-"))
    assert names == [copies, "images.npy", "labels.npy", "meta.json"]
    assert np.load(folder / "images.npy").shape == (10, 3, 16, 16)
    assert np.load(folder / "labels.npy").tolist() == train.labels.tolist()
    meta = json.loads((folder / "meta.json").read_text())
    assert meta["classes"] == ["a", "b"]
    assert meta["name"] == "data train"
    assert len(train.fingerprint) == 32
    int(train.fingerprint, 16)


def test_changed_images_change_the_fingerprint(data: Path, cache: Path) -> None:
    before = load(str(data), cache=cache)
    for i in range(6):
        save_image(data / "a" / f"{i:03}.png", seed=99 + i)
    after = load(str(data), cache=cache)
    assert before.train.fingerprint != after.train.fingerprint
    assert before.test.fingerprint != after.test.fingerprint
    assert not torch.equal(before.train.images, after.train.images)


def test_changed_labels_change_the_fingerprint(data: Path, cache: Path) -> None:
    before = load(str(data), cache=cache).train
    (data / "a").rename(data / "c")  # the same images in the same files, but b now comes first
    after = load(str(data), cache=cache).train
    assert before.fingerprint != after.fingerprint
    assert after.classes == ("b", "c")


def test_equal_content_with_new_times_is_not_decoded_again(
    data: Path, cache: Path, decoded_images: list[object]
) -> None:
    original = load(str(data), cache=cache).train
    for path in data.rglob("*.png"):
        path.write_bytes(path.read_bytes())
        os.utime(path, (1, 1))
    copy = data.parent / "copy"
    shutil.copytree(data, copy)
    assert load(str(data), cache=cache).train.fingerprint == original.fingerprint
    assert load(str(copy), cache=cache).train.fingerprint == original.fingerprint
    assert len(decoded_images) == 12


def save_deep(folder: Path, n_bits: int) -> None:
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
        for number in range(4):
            values = np.random.default_rng(number).integers(0, 2**n_bits, (8, 8, 1))
            (folder / name / f"{number}.png").write_bytes(png16(values.astype(np.uint16)))


def test_the_range_of_deep_images_is_decided_once_for_both_parts_and_stored(
    tmp_path: Path, cache: Path
) -> None:
    save_deep(tmp_path / "deep", 12)
    for _ in range(2):  # decoded, and read from the cache
        for part in load(str(tmp_path / "deep"), cache=cache):
            assert part.decoding == Decoding(8, white=4095)
            assert part.images.max() > 230


def test_one_brighter_image_changes_the_fingerprint_of_the_other_part(
    tmp_path: Path, cache: Path
) -> None:
    save_deep(tmp_path / "deep" / "train", 12)
    save_deep(tmp_path / "deep" / "test", 12)
    before = load(str(tmp_path / "deep"), cache=cache).train
    values = np.full((8, 8, 1), 60_000, dtype=np.uint16)
    (tmp_path / "deep" / "test" / "a" / "0.png").write_bytes(png16(values))
    after = load(str(tmp_path / "deep"), cache=cache).train
    assert after.decoding == Decoding(8, white=65535)
    assert before.fingerprint != after.fingerprint


def test_each_fit_has_its_own_entry(data: Path, cache: Path) -> None:
    save_image(data / "a" / "wide.png", seed=1, size=(32, 16))
    fits: tuple[Fit, ...] = ("crop", "squeeze", "pad")
    sets = [load(str(data), fit=fit, cache=cache).train for fit in fits]
    assert len({own.fingerprint for own in sets}) == 3
    assert [own.decoding for own in sets] == [Decoding(64, fit) for fit in fits]


def test_a_plug_in_that_is_installed_later_makes_more_images_of_the_same_files(
    data: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    can_read = image_formats.can_read
    if not can_read("AVIF"):
        pytest.skip("this Pillow cannot write AVIF")
    Image.new("RGB", (16, 16)).save(data / "a" / "new.jpg", "AVIF")
    monkeypatch.setattr(image_formats, "can_read", lambda name: name != "AVIF" and can_read(name))
    monkeypatch.setattr(image_cache, "can_read", image_formats.can_read)
    decode_with_traits = parallel_decode.decode_with_traits

    def without_avif(payload: Payload, decoding: Decoding) -> tuple[np.ndarray, Traits]:
        if isinstance(payload, Path) and payload.name == "new.jpg":
            raise ValueError
        return decode_with_traits(payload, decoding)

    with monkeypatch.context() as patch:
        patch.setattr(parallel_decode, "decode_with_traits", without_avif)
        before = load(str(data), cache=cache)
    assert "AVIF, which needs" in before.train.notes[0]
    monkeypatch.undo()
    after = load(str(data), cache=cache)
    assert len(after.train) + len(after.test) == 13
    assert before.train.fingerprint != after.train.fingerprint


def remove_images(entry: Path) -> None:
    (entry / "images.npy").unlink()


def truncate_images(entry: Path) -> None:
    os.truncate(entry / "images.npy", 1000)


def archive_in_place_of_images(entry: Path) -> None:
    with (entry / "images.npy").open("wb") as file:
        np.savez(file, images=np.zeros(1))


def empty_labels(entry: Path) -> None:
    (entry / "labels.npy").write_bytes(b"")


def label_without_a_class(entry: Path) -> None:
    labels = np.load(entry / "labels.npy")
    labels[0] = 10**15
    np.save(entry / "labels.npy", labels)


def overwrite_header(entry: Path) -> None:
    content = (entry / "images.npy").read_bytes()
    (entry / "images.npy").write_bytes(b"\x00" * 64 + content[64:])


def zero_a_header(entry: Path) -> None:
    """Damage a header so that NumPy's own repair of it fails in its tokenizer."""
    content = (entry / "labels.npy").read_bytes()
    (entry / "labels.npy").write_bytes(content[:20] + bytes(60) + content[80:])


def nest_meta(entry: Path) -> None:
    (entry / "meta.json").write_text("[" * 100_000)


def truncate_copies(entry: Path) -> None:
    for path in entry.glob("copies-*.npz"):
        os.truncate(path, 50)


def truncate_meta(entry: Path) -> None:
    (entry / "meta.json").write_text('{"shape": [1')


def change_shape(entry: Path) -> None:
    np.save(entry / "images.npy", np.zeros((2, 3, 16, 16), dtype=np.uint8))


def remove_entry(entry: Path) -> None:
    shutil.rmtree(entry)


def truncate_index(entry: Path) -> None:
    for path in (entry.parents[1] / "index").iterdir():
        path.write_text('{"parts": ')


@pytest.mark.parametrize(
    "damage",
    [
        remove_images,
        truncate_images,
        archive_in_place_of_images,
        empty_labels,
        label_without_a_class,
        overwrite_header,
        zero_a_header,
        nest_meta,
        truncate_copies,
        truncate_meta,
        change_shape,
        remove_entry,
        truncate_index,
    ],
)
def test_a_damaged_entry_is_built_again(
    data: Path, cache: Path, damage: Callable[[Path], None]
) -> None:
    before = load(str(data), cache=cache).train
    expected = before.images.clone()
    damage(cache / "images" / before.fingerprint)
    after = load(str(data), cache=cache).train
    assert torch.equal(after.images, expected)
    assert after.labels.tolist() == before.labels.tolist()


def test_writing_to_the_images_does_not_change_the_cache(data: Path, cache: Path) -> None:
    images = load(str(data), cache=cache).train.images
    expected = images.clone()
    images.zero_()
    assert torch.equal(load(str(data), cache=cache).train.images, expected)


def test_two_processes_that_start_at_once_decode_every_part_once(data: Path, cache: Path) -> None:
    code = """
import time
original = image_cache.write_part
def write_slowly(*arguments):
    print("decoded")
    time.sleep(0.2)
    return original(*arguments)

image_cache.write_part = write_slowly
print("ready", flush=True)
input()
train, test = load()
print(train.fingerprint, train.images.sum())
"""
    processes = [start(code, data, cache) for _ in range(2)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    results = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], results
    assert "".join(out for out, _ in results).count("decoded") == 2  # train once, test once
    assert len({out.splitlines()[-1] for out, _ in results}) == 1
    assert not list((cache / "images").glob("*.building"))


def test_what_a_killed_process_left_behind_is_removed(data: Path, cache: Path) -> None:
    code = """
import signal
def kill(*arguments):
    os.kill(os.getpid(), signal.SIGKILL)

parallel_decode.decode_with_traits = kill
load()
"""
    process = start(code, data, cache)
    process.communicate(timeout=60)
    assert process.returncode == -9
    assert len(list((cache / "images").glob("*.building"))) == 1
    save_image(data / "a" / "000.png", seed=77)  # so that the next entry is another one
    load(str(data), cache=cache)
    assert not list((cache / "images").glob("*.building"))


def test_a_full_disk_is_reported_and_leaves_no_entry(data: Path, cache: Path) -> None:
    code = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    load()
except UserError as error:
    print(error)
"""
    out, err = start(code, data, cache).communicate(timeout=60)
    assert f"the image cache {cache} cannot be written (File too large)" in out, err
    assert "FEWSHOT_CACHE" in out
    assert [path for path in (cache / "images").iterdir() if path.is_dir()] == []


def test_a_cache_that_cannot_be_created_is_reported(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file" / "cache", Path("/proc/fewshot-cache")):
        monkeypatch.setenv("FEWSHOT_CACHE", str(place))
        with pytest.raises(UserError, match="set FEWSHOT_CACHE to a folder") as error:
            load(str(data))
        assert str(place) in str(error.value)


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="reads memory maps from /proc")
def test_a_later_load_needs_little_memory(tmp_path: Path, cache: Path) -> None:
    folder = tmp_path / "large"
    for name, grey in (("a", 10), ("b", 200)):
        (folder / name).mkdir(parents=True)
        for i in range(60):
            Image.new("RGB", (224, 224), (grey, grey, i)).save(folder / name / f"{i}.png")
    first = load(str(folder), cache=cache).train
    assert int(first.images[5, 0, 0, 0]) == 10
    del first
    images = load(str(folder), cache=cache).train.images
    size = images.numel() // 1024  # all sizes are in KiB
    assert size > 12_000
    mapped, resident = mapped_and_resident(images.data_ptr())
    assert mapped >= size
    assert resident < size / 25
    images[0].sum()
    images[len(images) - 1].sum()
    assert mapped_and_resident(images.data_ptr())[1] < size / 5


def mapped_and_resident(address: int) -> tuple[int, int]:
    """Return the mapped and the resident KiB of the map of images.npy that holds an address."""
    lines = iter(Path("/proc/self/smaps").read_text().splitlines())
    for line in lines:
        span = line.split()[0].split("-")
        if len(span) == 2 and int(span[0], 16) <= address < int(span[1], 16):
            assert line.endswith("images.npy")
            sizes = dict(entry.split(":") for entry in (next(lines) for _ in range(6)))
            return int(sizes["Size"].split()[0]), int(sizes["Rss"].split()[0])
    raise AssertionError("the address is not mapped")


def test_progress_is_a_bar_on_a_terminal(data: Path, cache: Path) -> None:
    leader, follower = os.openpty()
    variables = {"PYTHONPATH": str(PACKAGE_ROOT), "DATA": str(data), "FEWSHOT_CACHE": str(cache)}
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", LOAD + "load()"],
        env=os.environ | variables | {"TERM": "xterm"},
        stdout=subprocess.PIPE,
        stderr=follower,
        timeout=60,
    )
    os.close(follower)
    shown = os.read(leader, 100_000).decode()
    os.close(leader)
    assert result.returncode == 0, shown
    assert result.stdout == b""
    assert "decoding data train" in shown
    assert "100%" in shown


def test_equal_images_beside_other_files_have_the_names_of_their_own_files(
    data: Path, cache: Path
) -> None:
    twin = data.parent / "twin"
    shutil.copytree(data, twin)
    names = {data: "clip.mp4", twin: "notes.mp4"}
    for folder, name in names.items():
        (folder / "a" / name).write_bytes(b"no image")
    for folder, name in [*names.items(), *names.items()]:  # decoded, and from the cache
        notes = load(str(folder), cache=cache, test=None).train.notes
        assert [note for note in notes if "skipped" in note] == [
            f"skipped 1 of 13 files: a/{name} (not an image)"
        ]
