"""Given features against the arrays that numpy wrote, and wrong ones against their sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fewshot.errors import UserError
from fewshot.runs.episodic import given

FEATURES = np.arange(12.0).reshape(6, 2)


def write(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def test_arrays_of_a_file_are_the_pool(tmp_path: Path):
    path = write(
        tmp_path / "birds.npz",
        features=FEATURES,
        labels=[2, 0, 2, 0, 4, 4],
        classes=["crow", "dove", "gull", "kite", "wren"],
    )
    base = write(tmp_path / "base.npz", features=np.array([[1.0, 2.0], [3.0, 8.0]]))
    pool = given.read(path, base)
    assert pool.name == "birds"
    assert pool.classes == ("crow", "gull", "wren")  # those that occur
    assert pool.labels.tolist() == [1, 0, 1, 0, 2, 2]
    assert pool.features_ND.tolist() == FEATURES.tolist()
    assert pool.base_mean_D is not None
    assert pool.base_mean_D.tolist() == [2.0, 5.0]
    np.save(tmp_path / "base.npy", np.array([[1.0, 2.0], [3.0, 8.0]]))
    assert given.read(path, tmp_path / "base.npy").fingerprint == pool.fingerprint
    assert pool.fingerprint != given.read(path).fingerprint
    assert given.read(path).fingerprint == given.read(path).fingerprint


def test_labels_may_be_names():
    pool = given.of_arrays({"features": FEATURES, "labels": list("bababa")})
    assert pool.classes == ("a", "b")
    assert pool.labels.tolist() == [1, 0, 1, 0, 1, 0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"features": FEATURES[0]}, r"features: expected numbers \[n, d\], not .* \[2\]"),
        ({"features": FEATURES.astype(str)}, "features: expected numbers"),
        ({"features": FEATURES * np.nan}, "features: a value is not finite"),
        ({"features": FEATURES * 1j}, "features: expected numbers"),
        ({"features": FEATURES[:, :0]}, r"features: expected numbers .* \[6, 0\]"),
        ({"features": FEATURES * 1e20}, "features: a value has the size 1e\\+21"),
        ({"labels": [0, 0, 0, 1, 1, np.nan]}, "labels: a label is not finite"),
        ({"classes": "ab"}, "classes: expected a list of different names"),
        ({"classes": ["a", "a"]}, "classes: expected a list of different names"),
        ({"labels": [0, 1]}, r"labels: expected one for each of the 6 features, .* \[2\]"),
        ({"labels": [0, 1, 2, 0, 1, 2], "classes": ["a", "b"]}, "labels: with 2 classes"),
        ({"base_features": np.zeros((3, 5))}, r"base_features: expected \[m, 2\].*\[3, 5\]"),
    ],
)
def test_wrong_arrays_are_explained(changes: dict[str, Any], words: str):
    arrays = {"features": FEATURES, "labels": [0, 0, 0, 1, 1, 1]}
    with pytest.raises(UserError, match=words):
        given.of_arrays({**arrays, **changes})


def test_wrong_files_are_explained(tmp_path: Path):
    with pytest.raises(UserError, match="does not exist"):
        given.read(tmp_path / "gone.npz")
    with pytest.raises(UserError, match="expected features"):
        given.read(write(tmp_path / "other.npz", x=FEATURES))
    (tmp_path / "text.npz").write_text("features")
    with pytest.raises(UserError, match=r"text\.npz cannot be read"):
        given.read(tmp_path / "text.npz")
    np.save(tmp_path / "single.npy", FEATURES)
    with pytest.raises(UserError, match=r"single\.npy cannot be read"):
        given.read(tmp_path / "single.npy")
