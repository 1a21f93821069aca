"""Suggest images of a folder.

Oracle: pictures of a few colours, of which each colour is worth one label; counts by brute force.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import fewshot
from fewshot.errors import UserError
from fewshot.model.suggest import pools, suggestions
from fewshot.model.suggest.pools import ImagePool
from tests.fewshot.model import own_photos


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    counts = {"red": 12, "green": 5, "blue": 3}
    return own_photos.write(tmp_path_factory.mktemp("pool") / "pool", counts, 80)


def test_every_colour_is_among_the_first_images(pool: Path) -> None:
    result = fewshot.suggest(pool, 3)
    assert {image.split("/")[0] for image in result.images} == {"red", "green", "blue"}
    assert [row.rank for row in result] == [1, 2, 3]
    assert len(result) == 3
    assert sum(row.stands_for for row in result) == result.n_pool == 20
    assert result.files is not None
    assert [file.parent.name for file in result.files] == [i.split("/")[0] for i in result.images]
    table = result.to_frame()
    assert list(table.image) == result.images
    assert table.reason.str.len().gt(10).all()


def test_with_a_model_the_reason_names_the_two_most_probable_classes(
    pool: Path, model: Path
) -> None:
    estimator = fewshot.FewShotClassifier.load(model, "cpu")
    result = fewshot.suggest(pool, 2, model=estimator, method="margin", device="cpu")
    from_file = fewshot.suggest(pool, 2, model=model, method="margin", device="cpu")
    assert result.images == from_file.images
    margins = {}
    for path in sorted(pool.glob("*/*.png")):
        low, high = np.sort(estimator.predict_proba([path])[0])[-2:]
        margins[path.relative_to(pool).as_posix()] = high - low
    assert result.images == sorted(margins, key=lambda name: margins[name])[:2]
    assert " or " in result[0].reason
    assert "%" in result[0].reason


def test_labelled_images_are_a_reason_to_look_elsewhere(pool: Path, tmp_path: Path) -> None:
    own_photos.write(tmp_path / "labelled", {"red": 3, "green": 3})
    result = fewshot.suggest(pool, 1, labelled=tmp_path / "labelled", method="max-herding")
    assert result.n_labelled == 6
    assert result.images[0].startswith("blue/")


def test_a_copy_in_another_format_is_not_suggested_beside_its_original(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for number in range(6):
        coarse = random.integers(0, 255, (6, 6, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize((96, 96), Image.Resampling.BICUBIC)
        noise = random.normal(0, 12, (96, 96, 3))
        pixels = (np.asarray(picture) + noise).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    Image.open(tmp_path / "0.png").save(tmp_path / "0 again.jpg", quality=70)
    for seed in range(3):  # of seven images, six are all pictures only without the copy
        result = fewshot.suggest(tmp_path, 6, method="random", seed=seed)
        assert len({name[0] for name in result.images}) == 6


def test_how_many_images_a_suggestion_stands_for() -> None:
    features = torch.randn(40, 6, generator=torch.Generator().manual_seed(0))
    picks = torch.tensor([3, 17, 25])
    counts = [0, 0, 0]
    centred = (features - features.mean(0)).double().numpy()
    for row in centred:
        cosines = [
            row @ centred[p] / np.linalg.norm(row) / np.linalg.norm(centred[p]) for p in picks
        ]
        counts[int(np.argmax(cosines))] += 1
    assert suggestions._represented(features, picks) == counts


def test_what_cannot_be_asked(pool: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be 0"):
        fewshot.suggest(pool, 0)
    with pytest.raises(UserError, match="unknown method 'best': expected one of max-herding"):
        fewshot.suggest(pool, 3, method="best")
    with pytest.raises(UserError, match="20 images without a label, but the budget is 21"):
        fewshot.suggest(pool, 21)
    with pytest.raises(UserError, match="margin needs a classifier"):
        fewshot.suggest(pool, 3, method="margin")
    doubled = shutil.copytree(pool, tmp_path / "doubled")
    shutil.copytree(pool / "red", doubled / "again")
    with pytest.raises(UserError, match="20 different images without a label"):
        fewshot.suggest(doubled, 21)


def test_all_images_of_a_pool_can_be_suggested(pool: Path) -> None:
    images = pools.read(pool)
    assert isinstance(images, ImagePool)
    result = suggestions.of_pool(images, 20)
    assert sorted(result.images) == sorted(images.names)
