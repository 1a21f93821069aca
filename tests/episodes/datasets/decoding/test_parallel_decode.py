"""Oracles: NumPy reading the files back, decoding one by one, counts of chunks and threads."""

import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from episodes.datasets.decoding import parallel_decode
from episodes.datasets.source import Part, Payload
from episodes.types import Decoding

SMALL = Decoding(4)


def images(count: int) -> list[Payload]:
    return [np.full((4, 4, 3), number, dtype=np.uint8) for number in range(count)]


def test_only_a_few_chunks_are_decoded_in_advance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1}, raising=False)
    begun: list[int] = []

    def chunks() -> Iterator[list[Payload]]:
        for number, image in enumerate(images(40)):
            begun.append(number)
            yield [image] * 2

    for number, chunk in enumerate(parallel_decode.decoded_chunks(chunks(), SMALL)):
        assert (chunk.pixels == number).all()
        assert chunk.pixels.shape == (2, 3, 4, 4)
        assert chunk.reasons == [None, None]
        assert len(chunk.traits) == 2
        time.sleep(0.005)  # a slow reader
        assert len(begun) <= number + 6
    assert len(begun) == 40


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"x" * 900, 1),  # the size of CIFAR-10's images
        (b"x" * 6000, 4),
        (b"x" * 300_000, 16),
        (np.zeros((64, 64, 3), dtype=np.uint8), 1),
        (Path("photo.jpg"), 16),
    ],
)
def test_thumbnails_are_decoded_by_one_thread_and_photos_by_all(
    payload: Payload, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)), raising=False)
    assert parallel_decode.threads_for([payload] * 3) == expected


def part_with_broken_images() -> Part:
    payloads = images(5)
    payloads[1] = b"broken"
    payloads[4] = Path("nothing.txt")
    labels = np.array([3, 3, 0, 1, 1])
    return Part(labels, lambda i: f"image {i}", lambda: iter([payloads[:2], payloads[2:]]))


def test_a_part_is_written_without_its_broken_images(tmp_path: Path) -> None:
    part = part_with_broken_images()
    info = parallel_decode.write_part(tmp_path, part, SMALL, "toys train", progress=False)
    assert info == {
        "shape": [3, 3, 4, 4],
        "total": 5,
        "jpeg": False,
        "skipped": [
            ("image 1", "not an image"),
            ("image 4", "cannot be opened: No such file or directory"),
        ],
        "counts": {"cropped": 0, "cut_off": 0, "deep": {}, "dim": 0, "clipped": 0, "paged": []},
    }
    pixels = np.load(tmp_path / "images.npy")
    assert pixels.dtype == np.uint8
    assert pixels[:, 0, 0, 0].tolist() == [0, 2, 3]
    assert np.load(tmp_path / "labels.npy").tolist() == [3, 0, 1]


@pytest.mark.parametrize("progress", [True, False])
def test_progress_is_one_message_if_there_is_no_terminal(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, progress: bool
) -> None:
    caplog.set_level(logging.INFO, "fewshot")
    parallel_decode.write_part(tmp_path, part_with_broken_images(), SMALL, "toys train", progress)
    expected = ["decoding toys train: 5 images; this happens once"]
    assert caplog.messages == (expected if progress else [])
