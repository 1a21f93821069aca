"""Oracles: groups and messages written by hand, and CIFAR-10's own division of its classes."""

from pathlib import Path

import pytest
import torch

from episodes.datasets import superclasses
from episodes.datasets.superclasses import superclasses_of
from episodes.errors import UserError
from episodes.types import ImageSet
from tests.episodes.datasets.samples import CIFAR10


def test_groups_are_read_from_the_file_beside_the_images(tmp_path: Path) -> None:
    (tmp_path / "groups.yaml").write_text("animal: [cat, dog]\nsign: [7]\n")
    groups = superclasses_of(tmp_path, ("7", "cat", "dog"))
    assert groups == {"animal": ("cat", "dog"), "sign": ("7",)}


def test_names_that_yaml_has_for_other_values_are_text(tmp_path: Path) -> None:
    names = ("001", "002", "1e3", "yes", "null", "~", "12:30", "2026-11-27", "0x1f")
    (tmp_path / "groups.yaml").write_text("\ufeffon: [001, 002, 1e3]\n5: [yes, null, ~]\n", "utf-8")
    with (tmp_path / "groups.yaml").open("a") as file:
        file.write("x: [12:30, 2026-11-27, 0x1f]\n")
    groups = superclasses_of(tmp_path, names)
    assert groups == {"on": names[:3], "5": names[3:6], "x": names[6:]}


def test_the_superclasses_of_cifar10_are_built_in(tmp_path: Path) -> None:
    groups = superclasses_of(tmp_path, tuple(CIFAR10))
    assert groups["vehicle"] == ("airplane", "automobile", "ship", "truck")
    assert sorted(groups["vehicle"] + groups["animal"]) == sorted(CIFAR10)


def test_other_classes_have_no_superclasses(tmp_path: Path) -> None:
    assert superclasses_of(tmp_path, ("cat", "dog")) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("animal: [cat]", "dog has none"),
        ("animal: [cat, dog, dgo]", "key 'animal': there is no class 'dgo', did you mean 'dog'"),
        ("animal: [cat, dog]\nbeast: [cat]", "key 'beast': cat is already in 'animal'"),
        ("animal: cat", "key 'animal': write"),
        ("animal: []", "key 'animal': write"),
        ("animal: [cat, no]", "key 'animal': there is no class 'no'"),
        ("animal: [cat, [dog]]", "key 'animal': .'dog'. is not a class name"),
        ("- cat", "write one line"),
        ("animal: [cat", "cannot be read as YAML"),
    ],
)
def test_mistakes_in_the_file_are_reported_with_its_name(
    tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "groups.yaml").write_text(text)
    with pytest.raises(UserError, match=message) as error:
        superclasses_of(tmp_path, ("cat", "dog"))
    assert "groups.yaml" in str(error.value)


@pytest.mark.parametrize(
    ("classes", "groups", "expected"),
    [
        (("cat", "dog"), {"animal": ("cat", "dog")}, {"animal": ("cat", "dog")}),
        (("a/x", "a/y", "b/z"), {"a": ("a/x", "b/z"), "b": ("a/y",)}, None),
        (("a/x", "a/y", "b/z"), {"a": ("a/x", "a/y"), "b": ("b/z",)}, {}),
        (tuple(CIFAR10), superclasses_of(Path("nowhere"), tuple(CIFAR10)), {}),
        (("cat", "dog"), {}, {}),
    ],
    ids=["file", "file against names", "names", "built in", "none"],
)
def test_only_superclasses_from_a_file_are_given_in_it(
    classes: tuple[str, ...],
    groups: dict[str, tuple[str, ...]],
    expected: dict[str, tuple[str, ...]] | None,
) -> None:
    images = torch.zeros(0, 3, 4, 4, dtype=torch.uint8)
    labels = torch.zeros(0, dtype=torch.int64)
    some = ImageSet("some", images, labels, classes, "f", groups)
    assert superclasses.given_in_file(some) == (groups if expected is None else expected)
