"""Class names in other spellings; oracle: pairs written by hand."""

from episodes.datasets.class_names import alike, folded, matches


def test_names_are_folded() -> None:
    assert folded(" Great_White-Shark ") == folded("great white  shark")
    assert folded("cafe\u0301") == folded("café")
    assert folded("cat") != folded("cats")


def test_alike_names_are_grouped() -> None:
    assert alike(["cat", "Cat", "dog", "cat ", "dog house", "dog_house"]) == [
        ("Cat", "cat", "cat "),
        ("dog house", "dog_house"),
    ]


def test_names_match_themselves_first_and_other_spellings_if_there_is_one() -> None:
    assert matches(["cat", "Dog", "zebra"], ["cat", "Cat", "dog"]) == {"cat": "cat", "Dog": "dog"}
    assert matches(["DOG", "Dog"], ["dog"]) == {}
    assert matches(["Dog"], ["dog", "DOG"]) == {}


def test_negative_numbers_are_other_classes() -> None:
    assert alike(["-1", "1", "-0.5", "0.5"]) == []
    assert matches(["1"], ["-1", "2"]) == {}
