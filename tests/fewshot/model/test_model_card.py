"""The card of a model file in words, without torch.

Oracle: sentences written here by hand; a process that lists the modules it imported.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from fewshot.config.origins import Origin
from fewshot.model import file_format, model_card
from fewshot.model.card import Quality
from tests.fewshot.model.stored_classifier import CLASSES, card, classifier


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file_format.save(classifier(), tmp_path / "pets.fewshot")
    return tmp_path / "pets.fewshot"


def test_the_card_is_read_as_it_was_written(path: Path):
    model_file = model_card.read(path)
    assert model_file.card == card()
    assert model_file.classes == CLASSES
    assert (model_file.network, model_file.side, model_file.n_images) == ("conv4", 32, 7)
    assert model_file.n_bytes == path.stat().st_size


def test_text_says_what_a_user_wants_to_know(path: Path):
    text = model_card.text(model_card.read(path))
    for words in (
        "3 classes, from 7 labelled images",
        "cat: 3 images",
        "90% of new images classified correctly",
        "5-fold cross-validation of 7 labelled images",
        "(95% interval 80% to 95%)",
        "cat and dög are confused most often (2 times)",
        "one image could not be read",
        "1.0",
    ):
        assert words in text, words


def test_a_model_that_refuses_nothing_does_not_claim_a_share(tmp_path: Path):
    model = classifier()
    for threshold, words in ((-0.1, "refuses about 5% of images"), (-1.0, "refuses none")):
        path = tmp_path / f"{threshold}.fewshot"
        rejection = model.rejection._replace(threshold=threshold)
        file_format.save(replace(model, rejection=rejection), path)
        assert f"unknown images: {words}" in model_card.text(model_card.read(path))


def test_a_quality_that_was_not_measured_is_not_a_number(path: Path):
    unknown = Quality(None, None, None, None, 0, 0, None, 0.1)
    model_file = model_card.read(path)
    model_file = replace(model_file, card=replace(card(), quality=unknown))
    assert "not measured" in model_card.text(model_file)


def test_the_licence_of_the_weights_is_named(path: Path):
    origin = Origin("a", "a, ImageNet", "the package b 1.0", "Apache-2.0", "0" * 64)
    model_file = model_card.read(path)
    model_file = replace(model_file, card=replace(card(), origins=(origin,)))
    assert "a, ImageNet (the package b 1.0; Apache-2.0)" in model_card.text(model_file)


def test_a_name_in_a_file_cannot_move_the_cursor(path: Path):
    model_file = replace(
        model_card.read(path), card=replace(card(), class_counts={"a\n\x1b[2J": 2})
    )
    assert "  a\ufffd\ufffd[2J: 2 images\n" in model_card.text(model_file)


def test_reading_a_card_imports_nothing_heavy(path: Path):
    program = (
        "import sys; from pathlib import Path; from fewshot.model import model_card;"
        f"model_card.text(model_card.read(Path({str(path)!r})));"
        "sys.exit(bool({'torch', 'numpy', 'timm', 'safetensors'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
