"""Refuse weights that were trained with the labels of images on which a run tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from episodes.datasets.source import TEST_SHARE
from episodes.types import TrainTest
from fewshot import backbones, progress
from fewshot.backbones import own_weights
from fewshot.config import RunConfig
from fewshot.errors import UserError
from fewshot.runs import images
from fewshot.runs.run_settings import options_of

Card = Mapping[str, Any]


def check(settings: RunConfig, data: TrainTest) -> None:
    """Check that no weight file was pretrained on images that the run tests.

    This can happen where a run takes its test images from its own data: in cross-validation, and
    if it sets a share aside. The card of a file says what the file, its teachers and the weights
    that it started from were trained on. Files without a card are not recognised, nor pretrainings
    that left out classes of the data or had test images of another size.

    Args:
        settings: the settings of the run.
        data: its images.

    Raises:
        UserError: test images are among the training images of a pretraining.
    """
    if not data.is_whole and not isinstance(settings.test, float):
        return
    for setting, path in _files(settings):
        for card in _cards(own_weights.card(path)):
            if _learned_from_test_images(settings, data, card):
                share = _share(card)
                remedy = "test on other images, with --test"
                if share is not None:
                    remedy = f"use --test {share:g}, the share that its pretraining set aside"
                tests = "cross-validates on" if data.is_whole else "sets aside as test images"
                raise UserError(
                    f"{setting}: {path} was trained with the labels of images of "
                    f"{data.train.name} that this run {tests}, so its accuracy would not be that "
                    f"of new images: {remedy}, or use other weights."
                )


def _files(settings: RunConfig) -> Iterator[tuple[str, Path]]:
    """Return the weight files of a run, each with its setting."""
    for setting, paths in options_of(settings).weight_files().items():
        for path in paths:
            yield f"learner.{setting}", Path(path)
    for file in backbones.weights_files(settings.backbone):
        yield "backbone.weights", file


def _cards(card: Card) -> Iterator[Card]:
    """Return a card and those of all weights from which its weights were made."""
    if card:
        yield card
        for earlier in (card.get("started_from") or {}, *card.get("taught_by", ())):
            yield from _cards(earlier)


def _share(card: Card) -> float | None:
    """Return the share that a pretraining set aside of data without a test part; None for none."""
    return card.get("test_share", TEST_SHARE)  # older cards do not name it


def _learned_from_test_images(settings: RunConfig, data: TrainTest, card: Card) -> bool:
    trained_on = card.get("data_fingerprint")
    if trained_on is None or tuple(card.get("class_names", ())) != data.train.classes:
        return False
    if trained_on == data.train.identity:
        return data.is_whole  # otherwise the test images are those that the pretraining set aside
    share = _share(card)
    tested = 1.0 if data.is_whole else settings.test
    assert isinstance(tested, float)
    candidates: list[float | None] = [] if data.is_whole else [None]  # None: the whole data set
    if share is not None and share < tested:  # a larger share contains the smaller one
        candidates.append(share)
    return any(_identity(settings, one) == trained_on for one in candidates)


def _identity(settings: RunConfig, share: float | None) -> str | None:
    """Return the identity of the training images without a share; None if none can be set aside."""
    try:
        changed = settings.model_copy(update={"test": share})
        return images.load(changed, progress.is_shown()).train.identity
    except UserError:
        return None
