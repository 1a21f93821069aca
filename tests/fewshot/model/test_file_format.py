"""Classifiers are written to a file and read back.

Oracle: the classifier itself, field by field and by its probabilities; the safetensors library; a
process without the network, the data and the caches.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from fewshot.backbones import own_weights
from fewshot.errors import UserError
from fewshot.model import file_format, model_header
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


def test_the_memory_layout_does_not_change_the_probabilities(tmp_path: Path):
    model = classifier()
    file_format.save(model, tmp_path / "a")
    again = file_format.load(tmp_path / "a", "cpu")
    assert all(
        weight.is_contiguous(memory_format=torch.channels_last)
        for weight in again.backbone.body.parameters()
        if weight.ndim == 4
    )
    model.backbone.set_compute("float32", channels_last=False)
    assert all(weight.is_contiguous() for weight in model.backbone.body.parameters())
    assert torch.allclose(probabilities(again), probabilities(model), rtol=0, atol=1e-6)


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


def renamed(first: str) -> ImageClassifier:
    """Return the classifier with another name of its first class."""
    model = classifier()
    names = {model.classes[0]: first}
    classes = tuple(names.get(name, name) for name in model.classes)
    counts = {names.get(name, name): n for name, n in model.card.class_counts.items()}
    card = replace(model.card, class_counts=counts)
    return replace(model, classes=classes, card=card)


@pytest.mark.parametrize("label", ["", "x" * 5000, "caf\udce9"])
def test_a_label_that_cannot_be_stored_leaves_the_file_as_it_was(tmp_path: Path, label: str):
    path = tmp_path / "a.fewshot"
    path.write_text("before")
    with pytest.raises(UserError, match=r"not written, because the label '.*1 to 4,096"):
        file_format.save(renamed(label), path)
    assert path.read_text() == "before"


def test_images_of_any_name_can_be_read_again(tmp_path: Path):
    model = classifier()
    names = ("caf\udce9.jpg", "кот.jpg", "line\n", '"', "\udcd0\udcba.jpg", "e", "f")
    model = replace(model, support=model.support._replace(names=names))
    file_format.save(model, tmp_path / "a")
    again = file_format.load(tmp_path / "a", "cpu").support.names
    assert again == ("caf\ufffd.jpg", "кот.jpg", "line\n", '"', "к.jpg", "e", "f")
    assert "кот.jpg".encode() in (tmp_path / "a").read_bytes()  # two bytes a letter, not seven


@pytest.mark.parametrize(
    ("limit", "message"),
    [("LARGEST_HEADER", "names of its images and classes take"), ("LARGEST_FILE", "it has 0.0 GB")],
)
def test_a_file_that_is_too_large_to_be_read_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, message: str
):
    path = tmp_path / "a.fewshot"
    path.write_text("before")
    monkeypatch.setattr(model_header, limit, 1000)
    with pytest.raises(UserError, match=f"was not written.*{message}.*fewer images"):
        file_format.save(classifier(), path)
    assert path.read_text() == "before"


def test_a_card_that_cannot_be_read_again_is_not_written(tmp_path: Path):
    model = classifier()
    model = replace(model, card=replace(model.card, data="x" * 30_000))
    with pytest.raises(UserError, match="its card has a text"):
        file_format.save(model, tmp_path / "a")
    assert not list(tmp_path.iterdir())


def test_published_weights_can_stay_out_of_the_file(tmp_path: Path):
    model = classifier("mini-resnet", weights="pretrained", options={})
    file_format.save(model, tmp_path / "inside")
    file_format.save(model, tmp_path / "reference", standalone=False)
    assert (tmp_path / "inside").stat().st_size > 10e6
    assert (tmp_path / "reference").stat().st_size < 1e6
    again = file_format.load(tmp_path / "reference", "cpu")
    assert torch.equal(probabilities(again), probabilities(model))


def test_other_published_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    model = classifier("mini-resnet", weights="pretrained", options={})
    file_format.save(model, tmp_path / "reference", standalone=False)
    load = own_weights.load

    def loaded_otherwise(body: torch.nn.Module, *arguments: Any) -> dict[str, torch.Tensor]:
        finish = load(body, *arguments)
        next(body.parameters()).data[0] += 1e-3
        return finish

    monkeypatch.setattr(own_weights, "load", loaded_otherwise)
    with pytest.raises(UserError, match="differ from those that the model was made with"):
        file_format.load(tmp_path / "reference", "cpu")


@pytest.mark.parametrize("changed", ["weights", "recipe"])
def test_weights_of_ones_own_stay_inside(tmp_path: Path, changed: str):
    if changed == "weights":
        model = classifier("mini-resnet", weights="none", options={})
    else:
        model = classifier("mini-resnet", weights="pretrained", options={})
        model = replace(model, recipe=model.recipe._replace(kind="trained"))
    with pytest.raises(UserError, match="cannot be left out"):
        file_format.save(model, tmp_path / "a", standalone=False)
    assert not (tmp_path / "a").exists()


def test_large_published_weights_stay_out_unless_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(file_format, "LARGEST_INSIDE", 10**6)
    model = classifier("mini-resnet", weights="pretrained", options={})
    for standalone, is_large in ((None, False), (True, True)):
        file_format.save(model, tmp_path / "a", standalone=standalone)
        assert ((tmp_path / "a").stat().st_size > 10**6) == is_large
    own = classifier("resnet", options={"width": 64})
    file_format.save(own, tmp_path / "b")
    assert (tmp_path / "b").stat().st_size > 10**6


def test_the_path_of_a_weight_file_stays_here(tmp_path: Path):
    model = classifier()
    settings = model.settings.model_copy(update={"weights": "/home/me/secret.safetensors"})
    file_format.save(replace(model, settings=settings), tmp_path / "a")
    assert b"secret" not in (tmp_path / "a").read_bytes()
    assert file_format.load(tmp_path / "a", "cpu").settings.weights == "none"


def test_half_precision_only_where_nothing_is_lost(tmp_path: Path):
    model = classifier()
    exact, rounded = "body.stages.0.0.weight", "body.stages.1.0.weight"
    weights = model.backbone.state_dict()
    weights[exact].copy_(weights[exact].half().float())
    file_format.save(model, tmp_path / "a")
    with safe_open(tmp_path / "a", "pt") as file:
        types = {name: file.get_slice(f"backbone.{name}").get_dtype() for name in (exact, rounded)}
    assert types == {exact: "F16", rounded: "F32"}
    again = file_format.load(tmp_path / "a", "cpu").backbone.state_dict()
    assert all(torch.equal(again[name], weights[name]) for name in weights)


def test_a_folder_that_does_not_exist_is_one_sentence(tmp_path: Path):
    with pytest.raises(UserError, match="could not be written"):
        file_format.save(classifier(), tmp_path / "none" / "a.fewshot")
    with pytest.raises(UserError, match="name a file"):
        file_format.load(tmp_path / "none" / "a.fewshot")
    with pytest.raises(UserError, match="cannot be read"):
        file_format.load(tmp_path)
