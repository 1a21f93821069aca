"""Oracles: lists written by hand, the papers' numbers of classes, and timm's names of ImageNet."""

import json
from pathlib import Path

import pytest
import yaml

from episodes.datasets.locations import data_root
from fewshot.config import presets_folder, splits
from fewshot.errors import UserError

BIRDS = """
base: {n01532829: "house finch, linnet, Carpodacus mexicanus", n02012849: crane}
val: {n03126707: crane}
novel: {n02110063: malamute, n03773504: missile, n04008634: "projectile, missile"}
"""


def written(folder: Path, text: str) -> str:
    path = folder / "own.yaml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(
    "names",
    [
        ["n01532829", "n02012849", "n03126707", "n02110063", "n03773504", "n04008634"],
        [
            "n01532829_house_finch",
            "crane (n02012849)",
            "n03126707-crane",
            "N02110063 malamute n02110063",
            "n03773504_projectile",  # the id decides, not the word
            "projectile",
        ],
    ],
)
def test_classes_match_by_wordnet_ids_in_any_order(tmp_path, names):
    split = splits.read(written(tmp_path, BIRDS), [*names[::-1], "something else"], "birds")
    assert (split.base, split.val, split.novel) == (
        (names[1], names[0]),
        (names[2],),
        tuple(names[:2:-1]),
    )


def test_words_match_whatever_their_case_and_marks_and_the_first_name_goes_first(tmp_path):
    path = written(
        tmp_path,
        'base: {n00000001: "x"}\nval: [Blue-Footed Booby, "001.Black_footed_Albatross"]\n'
        'novel: {n03773504: missile, n04008634: "projectile, missile", '
        'n00000002: "Cardigan, corgi", '
        "n00000003: cardigan}",
    )
    names = ["X", "blue_footed booby", "Black footed albatross", "Missile", "projectile"]
    names += ["cardigan", "Cardigan"]
    split = splits.read(path, names, "d")
    assert split.base == ("X",)
    assert split.val == tuple(names[1:3])
    assert split.novel == tuple(names[3:])
    split = splits.read(path, [*names[:-1], "corgi"], "d")
    assert split.novel[-1] == "corgi"
    with pytest.raises(UserError, match=r"d lacks 1 of the 7 classes .*: 'n04008634 projectile'"):
        splits.read(path, [*names[:4], *names[5:]], "d")


def test_a_superclass_is_matched_by_its_name_or_by_all_of_its_members(tmp_path):
    path = written(tmp_path, "base: {fish: [ray, shark]}\nnovel: {people: [man, woman]}")
    split = splits.read(path, ["man", "ray", "woman", "shark"], "d")
    assert (split.base, split.novel) == (("ray", "shark"), ("man", "woman"))
    split = splits.read(path, ["People", "fish", "trees"], "d")
    assert (split.base, split.novel) == (("fish",), ("People",))
    with pytest.raises(UserError, match=r"d lacks 1 of the 4 classes .* 'shark'"):
        splits.read(path, ["man", "ray", "woman"], "d")


@pytest.mark.parametrize(
    ("text", "classes", "words"),
    [
        (BIRDS, "crane", ["'crane' of d matches two", "'n02012849 crane'", "'n03126707 crane'"]),
        ("novel: [a b]", "a b,a_b", ["'a b' of the split", "two classes of d", "'a_b'"]),
        ("novel: [x, y]", "a,b", ["d lacks 2 of the 2", "'x', 'y'", "docs/data.md"]),
        ("novel: [q, r, s, t, u]", "a", ["lacks 5", "such as 'q', 'r', 's', 't';"]),
        ("base: [x]\nnovel: [x]", "x", ["'x' is in base and in novel"]),
        ("novel: [x, x]", "x", ["'x' is twice in novel"]),
        ("novel: [x]\nvals: [y]", "x", ["unknown key 'vals'", "'val'"]),
        ("novel: [~]", "no", ["'novel.0' should be a valid string, not None"]),
        ("novel: x", "x", ["novel: expected a list of class names, or a mapping, not 'x'"]),
        ("exclude_classes: [x]", "x", ["exclude_classes", "not a split", "base, val and novel"]),
    ],
)
def test_what_is_wrong_with_a_list_is_an_error(tmp_path, text, classes, words):
    with pytest.raises(UserError) as error:
        splits.read(written(tmp_path, text), classes.split(","), "d")
    assert all(word in str(error.value) for word in words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tinyimagenett", ["'tinyimagenett'", "did you mean 'tinyimagenet'?"]),
        ("seed:0:1/1", ["seed:0:1/1", "seed:S:BASE/VAL/NOVEL"]),
        ("seed:0:2/1/1", ["2/1/1", "d has 3"]),
        ("missing.yaml", ["missing.yaml does not exist"]),
    ],
)
def test_a_split_that_does_not_exist_is_an_error(text, words):
    with pytest.raises(UserError) as error:
        splits.read(text, ["a", "b", "c"], "d")
    assert all(word in str(error.value) for word in words)


def test_a_seed_divides_the_classes():
    split = splits.read("seed:3:2/0/4", list("abcdefg"), "d")
    assert (len(split.base), split.val, len(split.novel)) == (2, (), 4)
    assert not set(split.base) & set(split.novel)


def test_lists_of_classes_to_exclude_are_no_splits():
    assert "tinyimagenet" in splits.available()
    assert not [name for name in splits.available() if "without" in name]
    with pytest.raises(UserError, match="exclude_classes"):
        splits.read("tinyimagenet-without-cifar10", ["a"], "d")


FACTS = data_root().parent / "facts" / "splits"
SIZES = {  # of base, val and novel, as the papers give them
    "miniimagenet": (64, 16, 20),
    "tieredimagenet": (351, 97, 160),
    "cifar-fs": (64, 16, 20),
    "fc100": (60, 20, 20),
    "cub": (140, 30, 30),
    "tinyimagenet": (120, 30, 50),
}


@pytest.mark.parametrize("name", SIZES)
def test_packaged_lists_have_the_sizes_of_the_papers(name):
    content = yaml.safe_load((presets_folder() / "splits" / f"{name}.yaml").read_text())
    names = [
        member
        for part in splits.PARTS
        for key in content[part]
        for member in (content[part][key] if name == "fc100" else [key])
    ]
    split = splits.read(name, names[::-1], name)
    assert (len(split.base), len(split.val), len(split.novel)) == SIZES[name]
    facts = FACTS / f"{name.replace('-', '_')}.json"
    if facts.is_file():
        published = json.loads(facts.read_text())
        assert [list(content[part]) for part in splits.PARTS] == [
            published[part] for part in splits.PARTS
        ]


def test_every_packaged_split_is_tested():
    assert splits.available() == sorted(SIZES)


@pytest.mark.parametrize("name", ["miniimagenet", "tieredimagenet"])
def test_imagenets_folders_match_by_id_and_words(name):
    info = pytest.importorskip("timm.data").ImageNetInfo()
    words = dict(zip(info.label_names(), info.label_descriptions(), strict=True))
    content = yaml.safe_load((presets_folder() / "splits" / f"{name}.yaml").read_text())
    expected = [set(content[part]) for part in splits.PARTS]
    first = {key: text.split(",")[0] for key, text in words.items()}
    folders = {f"{key}_{first[key].replace(' ', '_')}": key for key in words}
    split = splits.read(name, list(folders), "imagenet")
    parts = (split.base, split.val, split.novel)
    assert [{folders[folder] for folder in part} for part in parts] == expected
    unclear = {"n02012849", "n03126707", "n03710637", "n03710721"}  # crane and maillot, twice each
    folders = {key if key in unclear else first[key]: key for key in words}
    split = splits.read(name, list(folders), "imagenet")
    parts = (split.base, split.val, split.novel)
    assert [{folders[folder] for folder in part} for part in parts] == expected


def test_the_split_of_tiny_imagenet_is_that_of_its_seed():
    content = yaml.safe_load((presets_folder() / "splits" / "tinyimagenet.yaml").read_text())
    names = [name for part in splits.PARTS for name in content[part]]
    assert splits.read("tinyimagenet", names, "d") == splits.read("seed:0:120/30/50", names, "d")


def test_names_may_be_numbers(tmp_path):
    path = written(tmp_path, "base: [3, 1]\nnovel: {0: [5, 6]}")
    split = splits.read(path, list("0123456"), "digits")
    assert (split.base, split.novel) == (("1", "3"), ("0",))
    assert splits.read(path, list("123456"), "digits").novel == ("5", "6")
