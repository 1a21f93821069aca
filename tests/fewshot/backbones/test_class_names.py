"""Oracles: matches written by hand, the data's own metadata, and set arithmetic."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from episodes.errors import UserError
from fewshot import backbones, config
from fewshot.backbones import class_names, own_weights

CLASSES = ("tabby", "Persian cat", "tailed frog", "gazelle", "golden retriever", "truck-stop")
CIFAR10 = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
SPLITS = Path(__file__).parents[3] / "configs" / "splits"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cat", ("tabby", "Persian cat")),  # by the list, as far as the classes exist
        ("frog", ("tailed frog",)),
        ("deer", ("gazelle",)),  # the nearest
        ("Golden_Retriever", ("golden retriever",)),
        ("retriever", ("golden retriever",)),  # the last word
        ("golden", ()),
        ("truck", ()),  # neither of the list is there, and no last word is
        ("horse", ()),
    ],
)
def test_a_name_matches_its_kinds_else_its_words_else_what_is_nearest(
    name: str, expected: tuple[str, ...]
) -> None:
    known = class_names.of_data("animals", CLASSES)
    assert known.matches([name]) == {name: expected}


def test_numbers_are_positions_among_the_outputs_of_the_classifier() -> None:
    known = class_names.of_data("animals", CLASSES)
    assert known.numbers(known.matches(["dog", "cat"]), ["dog", "cat"]) == [[4], [0, 1]]
    assert known.numbers({"b": ["gazelle"]}, ["a", "b"]) == [[], [3]]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"c": ["tabby"]}, ["class 'c'", "known: a, b"]),
        ({"a": ["taby"]}, ["class 'taby'", "did you mean 'tabby'"]),
        ({"a": ()}, ["no class of animals", "mapping"]),
    ],
)
def test_wrong_tables_are_errors(table: dict, words: list[str]) -> None:
    known = class_names.of_data("animals", CLASSES)
    with pytest.raises(UserError) as error:
        known.numbers(table, ["a", "b"])
    assert all(word in str(error.value) for word in words)


def test_the_shipped_classes_fit_the_shipped_classifier_and_the_lists_name_them_alone() -> None:
    backbone = backbones.build("mini-resnet", weights="pretrained")
    known = backbone.pretraining
    assert known is not None
    assert isinstance(backbone.finish, backbones.Finish)
    assert len(known.classes) == len(set(known.classes)) == backbone.finish.n_classes == 200
    lists = config.read(class_names.LISTS)
    named = {one for key in ("kinds", "nearest") for row in lists[key].values() for one in row}
    assert named <= set(known.classes)
    assert all(known.matches(CIFAR10).values())
    groups = [one for group in known.matches(CIFAR10).values() for one in group]
    assert len(groups) == len(set(groups))


def test_the_splits_leave_out_what_overlaps_and_as_many_others() -> None:
    known = backbones.build("mini-resnet", weights="pretrained").pretraining
    assert known is not None
    without, control = (
        set(config.read(SPLITS / f"tinyimagenet-without-{name}.yaml")["exclude_classes"])
        for name in ("cifar10", "random")
    )
    assert without == {one for name in CIFAR10 for one in known.same(name)}
    matched = {one for group in known.matches(CIFAR10).values() for one in group}
    assert len(control) == len(without) == 23
    assert control <= set(known.classes) - matched


def test_weights_name_their_classes_on_the_card_or_beside_the_file(tmp_path: Path) -> None:
    body = {"weight": torch.zeros(2, 2)}
    named, unnamed = tmp_path / "named.safetensors", tmp_path / "unnamed.safetensors"
    card = {"data": "pets", "class_names": ["tabby", "dog"]}
    named.write_bytes(own_weights.pack(body, {}, "mini-resnet", {}, card))
    unnamed.write_bytes(own_weights.pack(body, {}, "mini-resnet", {}, {"data": "pets"}))
    known = class_names.of_weights(named)
    assert known is not None
    assert (known.data, known.classes) == ("pets", ("tabby", "dog"))
    assert class_names.of_weights(unnamed) is None
    (tmp_path / "unnamed.classes.yaml").write_text("classes: [a, b]")
    beside = class_names.of_weights(unnamed)
    assert beside is not None
    assert beside.classes == ("a", "b")


def test_the_note_counts_the_classes_that_are_the_same_and_not_the_nearest() -> None:
    known = class_names.of_data("animals", CLASSES)
    note = class_names.overlap_note("it was pretrained", known, "mine", ["cat", "deer", "frog"])
    assert note is not None
    assert note.startswith("it was pretrained on 3 of 6 classes of animals that show 2 of the 3")
    assert "tabby (cat), tailed frog (frog):" in note
    assert class_names.overlap_note("it was pretrained", known, "mine", ["deer", "a"]) is None
