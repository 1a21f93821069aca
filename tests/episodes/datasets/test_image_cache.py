"""The cache of decoded images: found again by content, safe under two processes, rebuilt when damaged."""

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
from episodes.datasets import load, parallel_decode
from episodes.errors import UserError

PACKAGE_ROOT = Path(episodes.__file__).parents[1]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two classes of six 16x16 images; five of each are for training."""
    for number, name in enumerate(("a", "b")):
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(6):
            save(tmp_path / "data" / name / f"{i}.png", seed=10 * number + i)
    return tmp_path / "data"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def decoded_images(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Grows by one with every image decoded."""
    seen: list[object] = []
    original: Callable[..., np.ndarray] = parallel_decode.decode

    def counting(payload: object, size: int) -> np.ndarray:
        seen.append(payload)
        return original(payload, size)

    monkeypatch.setattr(parallel_decode, "decode", counting)
    return seen


def save(path: Path, seed: int, side: int = 16) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def start(code: str, **environment: str) -> subprocess.Popen[str]:
    variables = os.environ | {"PYTHONPATH": str(PACKAGE_ROOT)} | environment
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code],
        env=variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_second_load_decodes_nothing_and_reads_no_source(
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


def test_layout_of_an_entry(data: Path, cache: Path) -> None:
    train = load(str(data), cache=cache).train
    folder = cache / "images" / train.fingerprint
    assert sorted(path.name for path in folder.iterdir()) == [
        "images.npy",
        "labels.npy",
        "meta.json",
    ]
    assert np.load(folder / "images.npy").shape == (10, 3, 16, 16)
    assert np.load(folder / "labels.npy").tolist() == train.labels.tolist()
    assert json.loads((folder / "meta.json").read_text())["classes"] == ["a", "b"]
    assert len(train.fingerprint) >= 16
    int(train.fingerprint, 16)


def test_a_changed_image_changes_the_fingerprint(data: Path, cache: Path) -> None:
    before = load(str(data), cache=cache)
    for i in range(6):
        save(data / "a" / f"{i}.png", seed=99 + i)
    after = load(str(data), cache=cache)
    assert before.train.fingerprint != after.train.fingerprint
    assert before.test.fingerprint != after.test.fingerprint
    assert not torch.equal(before.train.images, after.train.images)


def test_a_changed_label_changes_the_fingerprint(data: Path, cache: Path) -> None:
    before = load(str(data), cache=cache).train
    (data / "a").rename(data / "c")  # the same images in the same files, but b now comes first
    after = load(str(data), cache=cache).train
    assert before.fingerprint != after.fingerprint
    assert after.classes == ("b", "c")


def test_the_same_content_with_new_dates_is_not_decoded_again(
    data: Path, cache: Path, decoded_images: list[object]
) -> None:
    before = load(str(data), cache=cache)
    for path in data.rglob("*.png"):
        path.write_bytes(path.read_bytes())
        os.utime(path, (1, 1))
    copy = data.parent / "copy"
    shutil.copytree(data, copy)
    assert load(str(data), cache=cache).train.fingerprint == before.train.fingerprint
    assert load(str(copy), cache=cache).train.fingerprint == before.train.fingerprint
    assert len(decoded_images) == 12


def damage_missing(entry: Path) -> None:
    (entry / "images.npy").unlink()


def damage_short(entry: Path) -> None:
    os.truncate(entry / "images.npy", 1000)


def damage_empty(entry: Path) -> None:
    (entry / "labels.npy").write_bytes(b"")


def damage_header(entry: Path) -> None:
    data = (entry / "images.npy").read_bytes()
    (entry / "images.npy").write_bytes(b"\x00" * 64 + data[64:])


def damage_meta(entry: Path) -> None:
    (entry / "meta.json").write_text('{"shape": [1')


def damage_shape(entry: Path) -> None:
    np.save(entry / "images.npy", np.zeros((2, 3, 16, 16), dtype=np.uint8))


def damage_all(entry: Path) -> None:
    shutil.rmtree(entry)


def damage_index(entry: Path) -> None:
    for path in (entry.parents[1] / "index").iterdir():
        path.write_text('{"parts": ')


@pytest.mark.parametrize(
    "damage",
    [
        damage_missing,
        damage_short,
        damage_empty,
        damage_header,
        damage_meta,
        damage_shape,
        damage_all,
        damage_index,
    ],
)
def test_a_damaged_entry_is_rebuilt(
    data: Path, cache: Path, damage: Callable[[Path], None]
) -> None:
    before = load(str(data), cache=cache).train
    expected = before.images.clone()
    damage(cache / "images" / before.fingerprint)
    after = load(str(data), cache=cache).train
    assert torch.equal(after.images, expected)
    assert after.labels.tolist() == before.labels.tolist()


def test_writing_to_the_images_leaves_the_cache_as_it_was(data: Path, cache: Path) -> None:
    images = load(str(data), cache=cache).train.images
    expected = images.clone()
    images.zero_()
    assert torch.equal(load(str(data), cache=cache).train.images, expected)


def test_two_processes_starting_at_once_decode_once(data: Path, cache: Path) -> None:
    for i in range(300):
        save(data / "a" / f"more{i}.png", seed=100 + i)
    code = (
        "import os, time; from episodes.datasets import image_cache, load; original = image_cache.write_part\n"
        "def slow(*given): print('decoded'); time.sleep(0.3); return original(*given)\n"
        "image_cache.write_part = slow\n"
        "print('ready', flush=True); input()\n"
        "train, test = load(os.environ['DATA']); print(train.fingerprint, int(train.images.sum()))\n"
    )
    both = [start(code, DATA=str(data), FEWSHOT_CACHE=str(cache)) for _ in range(2)]
    for process in both:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in both:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    results = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0], results
    assert "".join(out for out, _ in results).count("decoded") == 2  # train once, test once
    assert len({out.splitlines()[-1] for out, _ in results}) == 1
    assert not list((cache / "images").glob("*.building"))


def test_leftovers_of_a_killed_build_are_removed_by_the_next(data: Path, cache: Path) -> None:
    code = (
        "import os, signal; from episodes.datasets import load, parallel_decode\n"
        "def killed(*given): os.kill(os.getpid(), signal.SIGKILL)\n"
        "parallel_decode.decode = killed; load(os.environ['DATA'])\n"
    )
    process = start(code, DATA=str(data), FEWSHOT_CACHE=str(cache))
    process.communicate(timeout=60)
    assert process.returncode == -9
    assert len(list((cache / "images").glob("*.building"))) == 1
    save(data / "a" / "0.png", seed=77)  # the next build is another's
    load(str(data), cache=cache)
    assert not list((cache / "images").glob("*.building"))


def test_a_full_disk_is_told_and_leaves_nothing(data: Path, cache: Path) -> None:
    code = (
        "import os, resource; from episodes.datasets import load; from episodes.errors import UserError\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try: load(os.environ['DATA'])\n"
        "except UserError as error: print(error)\n"
    )
    out, err = start(code, DATA=str(data), FEWSHOT_CACHE=str(cache)).communicate(timeout=60)
    assert f"Cannot write the image cache {cache}: File too large" in out, err
    assert "FEWSHOT_CACHE" in out
    assert [path for path in (cache / "images").iterdir() if path.is_dir()] == []


def test_a_cache_that_cannot_be_made(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file" / "cache", Path("/proc/fewshot-cache")):
        monkeypatch.setenv("FEWSHOT_CACHE", str(place))
        with pytest.raises(UserError, match="set FEWSHOT_CACHE to a folder") as caught:
            load(str(data))
        assert str(place) in str(caught.value)


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="reads memory maps from /proc")
def test_a_later_load_touches_little_memory(tmp_path: Path, cache: Path) -> None:
    for name, grey in (("a", 10), ("b", 200)):
        (tmp_path / "large" / name).mkdir(parents=True)
        for i in range(120):
            Image.new("RGB", (224, 224), (grey, grey, i)).save(
                tmp_path / "large" / name / f"{i}.png"
            )
    first = load(str(tmp_path / "large"), cache=cache).train
    assert int(first.images[5, 0, 0, 0]) == 10
    del first
    images = load(str(tmp_path / "large"), cache=cache).train.images
    size = images.numel() // 1024  # all in KiB
    assert size > 25_000
    mapped, resident = mapping_of(images.data_ptr())
    assert mapped >= size
    assert resident < size / 50
    images[0].sum()
    images[len(images) - 1].sum()
    assert mapping_of(images.data_ptr())[1] < size / 10


def mapping_of(address: int) -> tuple[int, int]:
    """KiB mapped and KiB resident of the memory map that holds an address; it must be of images.npy."""
    lines = iter(Path("/proc/self/smaps").read_text().splitlines())
    for line in lines:
        span = line.split()[0].split("-")
        if len(span) == 2 and int(span[0], 16) <= address < int(span[1], 16):
            assert line.endswith("images.npy")
            sizes = dict(entry.split(":") for entry in (next(lines) for _ in range(6)))
            return int(sizes["Size"].split()[0]), int(sizes["Rss"].split()[0])
    raise AssertionError("the address is not mapped")


def test_progress_is_one_line_where_there_is_no_terminal(
    data: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    load(str(data), cache=cache, progress=True)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines() == [
        "decoding data train: 10 images, once",
        "decoding data test: 2 images, once",
    ]
    load(str(data), cache=cache, progress=True)
    assert capsys.readouterr().err == ""


def test_progress_is_a_bar_on_a_terminal(data: Path, cache: Path) -> None:
    leader, follower = os.openpty()
    code = "import os; from episodes.datasets import load; load(os.environ['DATA'], progress=True)"
    variables = os.environ | {"PYTHONPATH": str(PACKAGE_ROOT), "TERM": "xterm"}
    variables |= {"DATA": str(data), "FEWSHOT_CACHE": str(cache)}
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(
        command, env=variables, stdout=subprocess.PIPE, stderr=follower, timeout=60
    )
    os.close(follower)
    shown = os.read(leader, 100_000).decode()
    os.close(leader)
    assert done.returncode == 0, shown
    assert done.stdout == b""
    assert "decoding data train" in shown
    assert "100%" in shown
