"""Classifiers are written to a file and read back.

Oracle: the classifier itself, field by field and by its probabilities; the safetensors library; a
process without the network, the data and the caches.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from fewshot.errors import UserError
from fewshot.model import file_format
from fewshot.model.classifier import ImageClassifier
from tests.fewshot.model.stored_classifier import classifier

PIXELS = torch.randint(
    0, 256, (5, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
)


def probabilities(model: ImageClassifier) -> torch.Tensor:
    """Return the probabilities of some images."""
    return model.log_probabilities(model.features(PIXELS)).exp()


def test_everything_comes_back(tmp_path: Path):
    path, model = tmp_path / "a.fewshot", classifier()
    file_format.save(model, path)
    again = file_format.load(path, "cpu")
    assert torch.equal(probabilities(again), probabilities(model))
    for name in ("classes", "decoding", "temperature", "recipe", "card"):
        assert getattr(again, name) == getattr(model, name), name
    assert again.rejection.threshold == model.rejection.threshold
    assert again.support.names == model.support.names
    for pair in zip(
        (*again.support[:2], again.support[3], *again.head[:3], *again.rejection[:2]),
        (*model.support[:2], model.support[3], *model.head[:3], *model.rejection[:2]),
        strict=True,
    ):
        assert torch.equal(*pair)
    assert torch.equal(again.fold_scores, model.fold_scores)


def test_equal_classifiers_give_equal_files(tmp_path: Path):
    file_format.save(classifier(), tmp_path / "a")
    file_format.save(file_format.load(tmp_path / "a", "cpu"), tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_the_file_is_a_safetensors_file_with_one_key(tmp_path: Path):
    file_format.save(classifier(), tmp_path / "a.safetensors")
    with safe_open(tmp_path / "a.safetensors", "pt") as file:
        assert list(file.metadata()) == ["fewshot"]
        assert file.get_tensor("test.images").shape == (3, 3, 32, 32)


def test_a_change_of_one_bit_is_noticed(tmp_path: Path):
    path = tmp_path / "a.fewshot"
    file_format.save(classifier(), path)
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="numbers have changed"):
        file_format.load(path, "cpu")


def test_a_classifier_that_is_not_finite_leaves_the_file_as_it_was(tmp_path: Path):
    path, model = tmp_path / "a.fewshot", classifier()
    path.write_text("before")
    model = replace(model, fold_scores=torch.tensor([float("nan")]))
    with pytest.raises(UserError, match="fold_scores"):
        file_format.save(model, path)
    assert path.read_text() == "before"
