"""The measurement of the search for copies. Oracles: counts and shares worked out by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fewshot import io
from fewshot.checks.inspected import Inspected
from fewshot.checks.near_copies import Links
from scripts import check_copies, check_copies_tables
from scripts.check_copies import CHANGES, Known, Listed
from tests.episodes.datasets.test_copies import scenes
from tests.fewshot.checks.test_near_copies import inspected


def listed(kind: str, reported: bool, as_this_pair: bool = False) -> Listed:
    return Listed(kind=kind, chose_threshold=False, reported=reported, as_this_pair=as_this_pair)


def test_listed_pairs_are_compared_with_the_reported_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = inspected(scenes(6), [0, 1, 0, 1, 0, 1])
    test = inspected(scenes(4, seed=1), [1, 1, 0, 0], "test")
    # Training image 2 is cat 1, and 5 is dog 2. Test image 0 is dog 0, 1 dog 1, 2 cat 0, 3 cat 1.
    pairs = {2: [(0, 2), (2, 6), (5, 6), (5, 9), (6, 8)], 1: [(0, 2), (1, 3)]}
    monkeypatch.setattr(
        check_copies.near_copies,
        "links",
        lambda parts: Links(np.array(pairs[len(parts)]), np.ones(len(pairs[len(parts)]))),
    )
    monkeypatch.setattr(check_copies, "LIST", tmp_path / "list.json")
    io.write_json(
        tmp_path / "list.json",
        {
            "test and training": [
                ["dog", 0, "dog", 2, "near"],
                ["cat", 0, "cat", 0, "near"],
                ["dog", 0, "dog", 0, "very similar"],
            ],
            "within the test set": [["cat", 0, "dog", 0, "near"], ["cat", 0, "dog", 1, "near"]],
        },
    )
    record = check_copies.known_copies(train, test)
    assert [list(row.values()) for row in record["in_training"]] == [
        ["near", True, True, True],
        ["near", False, False, False],
        ["very similar", True, True, False],
    ]
    assert [list(row.values()) for row in record["within_test"]] == [
        ["near", True, True, True],
        ["near", False, True, False],
    ]
    assert (record["pairs"], record["test_images"], record["test_images_beyond"]) == (3, 2, 1)
    assert record["sample"] == [(("cat", 1), ("dog", 2))]
    assert (record["pairs_within_test"], record["pairs_within_test_beyond"]) == (2, 1)


def test_the_sample_has_one_pair_of_each_image() -> None:
    pairs = [[first, second] for first in range(150) for second in range(first % 4 + 1)]
    sample = check_copies._sample(pairs)
    assert len({first for first, _ in sample}) == len(sample) == check_copies.SAMPLE
    assert all(pair in pairs for pair in sample)
    assert sample == check_copies._sample(pairs[::-1])


def test_the_precision_counts_listed_images_and_those_beyond_by_the_sample() -> None:
    record = Known(
        in_training=[listed("near", True)] * 30
        + [listed("near", False)] * 3
        + [listed("very similar", True)] * 10,
        within_test=[],
        test_images=100,
        test_images_beyond=60,
        pairs=0,
        pairs_within_test=0,
        pairs_within_test_beyond=0,
        sample=[],
    )
    words = ["copy"] * 18 + ["other", "unsure"]
    share = check_copies_tables.precision(record, words)
    assert share.share == pytest.approx((30 + 60 * 0.9) / 100)
    z2, n = 1.959964**2, 20  # Wilson's interval of 18 of 20
    middle, reach = (0.9 + z2 / n / 2), math.sqrt(z2 * 0.09 / n + (z2 / n / 2) ** 2)
    assert share.low == pytest.approx(0.3 + 0.6 * (middle - reach) / (1 + z2 / n), abs=1e-5)
    assert share.high == pytest.approx(0.3 + 0.6 * (middle + reach) / (1 + z2 / n), abs=1e-5)


def test_planted_copies_are_found_by_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = [Image.fromarray(picture) for picture in scenes(24)]
    monkeypatch.setattr(check_copies, "_originals", lambda data: iter(pictures))
    monkeypatch.setattr(check_copies, "PLANTED", 4)
    monkeypatch.setitem(check_copies.ORIGINALS, "toys", 24)
    monkeypatch.setattr(check_copies.reading, "read", lambda place: [as_inspected(Path(place))])
    record = check_copies.planted_copies("toys")
    assert record["reported"] == dict.fromkeys(CHANGES, 4)
    assert record["others"] == []


def as_inspected(folder: Path) -> Inspected:
    files = sorted(folder.iterdir())
    images = [Image.open(file).resize((96, 96)) for file in files]
    part = inspected(np.stack(list(map(np.asarray, images))), [0] * len(files))
    assert len(files) == 24 + 4 * len(CHANGES)
    return part._replace(names=tuple(map(str, files)), labels=torch.zeros(len(files)).long())
