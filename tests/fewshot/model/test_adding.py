"""Oracle: a fit to all images at once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from episodes.errors import UserError
from fewshot.model import adding, file_format
from tests.fewshot.model import own_photos


def test_the_result_is_that_of_a_fit_to_all_images(
    photos: Path, model: Path, tmp_path: Path
) -> None:
    more = own_photos.write(tmp_path / "more", {"red": 2, "white": 3}, first=50)
    (more / "red").rename(more / "Red")
    out = tmp_path / "grown.fewshot"
    before = model.read_bytes()
    added = adding.add(model, str(more), out, "cpu")
    assert (added.n_images, added.new_classes, added.n_known) == (5, ("white",), 0)
    assert str(added) == "5 images added, new classes: white"
    everything = tmp_path / "all"
    for folder, first, counts in (
        (everything, 0, {"red": 12, "green": 6, "blue": 4}),
        (everything, 50, {"red": 2, "white": 3}),
    ):
        own_photos.write(folder, counts, first)
    whole = own_photos.fitted(everything)
    grown = file_format.load(out, "cpu")
    assert grown.classes == ("blue", "green", "red", "white") == whole.classes
    features = whole.support.features
    torch.testing.assert_close(grown.head(features), whole.head(features), rtol=1e-3, atol=1e-3)
    assert grown.card.class_counts == {"blue": 4, "green": 6, "red": 14, "white": 3}
    assert model.read_bytes() == before


def test_images_that_were_learned_from_are_not_added_again(
    photos: Path, model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.fewshot"
    with pytest.raises(UserError, match=r"has learned from all images of .* already"):
        adding.add(model, str(photos), out, "cpu")
    folder = own_photos.write(tmp_path / "photos", {"red": 14, "blue": 1})
    added = adding.add(model, str(folder), out, "cpu")
    assert (added.n_images, added.n_known) == (2, 13)
    assert str(added) == "2 images added; 13 learned from before"


def test_an_image_with_another_label_than_before_is_an_error(
    photos: Path, model: Path, tmp_path: Path
) -> None:
    folder = own_photos.write(tmp_path / "photos", {"red": 1})
    (folder / "red").rename(folder / "blue")
    with pytest.raises(UserError, match=r"learned from 1 of .* class: blue/0\.png \(red\)"):
        adding.add(model, str(folder), tmp_path / "out.fewshot", "cpu")
    assert not (tmp_path / "out.fewshot").exists()


def test_copies_do_not_raise_the_accuracy_on_the_card(model: Path, tmp_path: Path) -> None:
    more = own_photos.write(tmp_path / "more", {"red": 6, "white": 5}, first=50)
    own_photos.write_copies(more)
    added = adding.add(model, str(more), tmp_path / "grown.fewshot", "cpu")
    assert added.n_images == 33
    everything = own_photos.write(tmp_path / "all", {"red": 12, "green": 6, "blue": 4})
    shutil.copytree(more, everything, dirs_exist_ok=True)
    whole = own_photos.fitted(everything).support
    clusters = added.classifier.support.clusters
    assert whole.clusters is not None
    assert clusters is not None
    assert len(clusters.unique()) == len(whole.clusters.unique()) == 22 + 11
