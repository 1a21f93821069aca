"""Fixtures that several tests of model files share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fewshot.model import own_photos


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of pictures of three colours, with unequal counts."""
    counts = {"red": 12, "green": 6, "blue": 4}
    return own_photos.write(tmp_path_factory.mktemp("own") / "photos", counts)


@pytest.fixture(scope="session")
def model(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model file that is fitted to the pictures of `photos`."""
    return own_photos.model(photos, tmp_path_factory.mktemp("models") / "model.fewshot")
