"""Oracles: lists written by hand, and the published lists under shared/facts where they are."""

from pathlib import Path

import pytest

from fewshot.config import splits
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
