"""Copies made by Pillow's encoder and resampling; noise and drawings that are none."""

from __future__ import annotations

import time
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from episodes.datasets import copies, rows_on_disk
from episodes.datasets.digits import load_digits

SIDE = 96


def scenes(n: int, side: int = SIDE, seed: int = 0) -> np.ndarray:
    """Return pictures with details at every scale, uint8 [n, h, w, 3], in the manner of photos."""
    random = np.random.default_rng(seed)
    pictures = np.zeros((n, side, side, 3))
    for cells in (2, 4, 8, 16, 32):
        for picture in pictures:
            coarse = random.normal(0, 1, (cells, cells, 3)) * 90 / cells**0.65
            for channel in range(3):
                layer = Image.fromarray(coarse[..., channel].astype(np.float32))
                picture[..., channel] += np.asarray(layer.resize((side, side), Image.BICUBIC))
    return (pictures + 120).clip(0, 255).astype(np.uint8)


def tensor(pictures: np.ndarray) -> Tensor:
    return torch.from_numpy(pictures.transpose(0, 3, 1, 2).copy())


def clusters(pictures: np.ndarray, labels: np.ndarray | None = None) -> np.ndarray:
    labels = np.zeros(len(pictures), dtype=np.int64) if labels is None else labels
    return copies.clusters_of_copies([tensor(pictures)], torch.from_numpy(labels))


def jpeg(picture: np.ndarray, quality: int, side: int = SIDE) -> np.ndarray:
    buffer, image = BytesIO(), Image.fromarray(picture)
    image.resize((side, side), Image.BILINEAR).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer).resize(picture.shape[:2], Image.BICUBIC))


def noisy(picture: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(1).normal(0, 6, picture.shape)
    return (picture + noise).clip(0, 255).astype(np.uint8)


def brighter(picture: np.ndarray) -> np.ndarray:
    return (picture * 1.1 + 5).clip(0, 255).astype(np.uint8)


CHANGES = {
    "the same": lambda picture: picture,
    "JPEG 75": lambda picture: jpeg(picture, 75),
    "three quarters of the size": lambda picture: jpeg(picture, 75, SIDE * 3 // 4),
    "half the size": lambda picture: jpeg(picture, 90, SIDE // 2),
    "noise": noisy,
    "brighter": brighter,
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_shares_the_cluster_of_its_original_and_nothing_else_does(change: str):
    originals = scenes(60)
    copied = np.stack([CHANGES[change](picture) for picture in originals[:20]])
    expected = np.concatenate([np.arange(60), np.arange(20)])
    labels = np.arange(80) % 3
    assert (clusters(np.concatenate([originals, copied]), labels) == expected).all()


def test_frames_of_a_scene_are_one_cluster_and_a_chain_is_joined():
    random = np.random.default_rng(0)
    bases = random.integers(0, 256, (4, SIDE, SIDE, 3))
    frames = (bases[:, None] + random.normal(0, 6, (4, 6, SIDE, SIDE, 3))).clip(0, 255)
    result = clusters(frames.reshape(-1, SIDE, SIDE, 3).astype(np.uint8))
    assert result.tolist() == np.repeat([0, 6, 12, 18], 6).tolist()


def test_two_parts_are_searched_as_one():
    pictures = scenes(30)
    parts = [tensor(pictures[:20]), tensor(pictures[[3, 25, 26]])]
    result = copies.clusters_of_copies(parts, torch.zeros(23, dtype=torch.int64))
    assert result.tolist() == [*range(20), 3, 21, 22]


def test_small_objects_on_a_white_background_are_no_copies():
    pictures = np.full((40, SIDE, SIDE, 3), 255, dtype=np.uint8)
    patches = scenes(40, 16, seed=3)
    pictures[:, 40:56, 40:56] = patches
    assert len(np.unique(clusters(pictures))) == 40


def test_pictures_of_a_fixed_camera_are_no_copies():
    scene = scenes(1)[0].astype(float)
    objects = scenes(40, 12, seed=5)
    pictures = np.repeat(scene[None], 40, axis=0)
    pictures[:, 20:32, 20:32] = objects
    pictures = noisy(pictures)
    assert len(np.unique(clusters(pictures))) == 40
    assert clusters(np.concatenate([pictures, pictures[:1]]))[-1] == 0


def test_strokes_of_a_pen_and_digits_are_no_copies():
    random = np.random.default_rng(0)
    pictures = []
    for _ in range(300):
        image = Image.new("L", (32, 32), 255)
        top, bottom = random.integers(10, 22, 2)
        ImageDraw.Draw(image).line([(top, 5), (bottom, 27)], 0, int(random.integers(2, 5)))
        pictures.append(np.asarray(image.convert("RGB")))
    distinct = np.unique(np.stack(pictures), axis=0)
    assert len(np.unique(clusters(distinct))) > 0.98 * len(distinct)
    digits = load_digits(32).train
    result = copies.clusters_of_copies([digits.images], digits.labels)
    assert len(np.unique(result)) > 0.995 * len(digits)


def test_plain_images_show_nothing_that_could_be_copied():
    pictures = np.repeat([[[[200, 30, 30]]]], 6, axis=0).astype(np.uint8)
    pictures = np.broadcast_to(pictures, (6, 32, 32, 3)).copy()
    assert clusters(pictures).tolist() == list(range(6))


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_images(n: int):
    assert clusters(scenes(n)).tolist() == list(range(n))
    assert clusters(np.repeat(scenes(1), n, axis=0)).tolist() == [0] * n


def test_pictures_that_lie_on_disk_have_the_same_copies(monkeypatch: pytest.MonkeyPatch, tmp_path):
    pictures = scenes(40)
    pictures[20:] = [jpeg(picture, 75) for picture in pictures[:20]]
    expected = clusters(pictures)
    monkeypatch.setenv("FEWSHOT_CACHE", str(tmp_path))
    monkeypatch.setattr(rows_on_disk, "MOST_BYTES", 0)
    monkeypatch.setattr(copies, "LARGE_CHUNK", 7)
    monkeypatch.setattr(copies, "MOST_PAIRS", 5)
    assert clusters(pictures).tolist() == expected.tolist() == [*range(20), *range(20)]


def test_many_equal_images_are_one_cluster_in_little_time():
    pictures = np.concatenate([np.repeat(scenes(1, 32), 2000, axis=0), scenes(50, 32, seed=9)])
    started = time.process_time()
    result = clusters(pictures)
    assert time.process_time() - started < 5
    assert (result[:2000] == 0).all()
    assert len(np.unique(result)) == 51
