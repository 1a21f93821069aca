"""Oracle: the description of a small data set, written by hand."""

import torch

from episodes.types import ImageSet, TrainTest
from fewshot.checks import describe


def part(labels: list[int], notes: tuple[str, ...]) -> ImageSet:
    images = torch.zeros(len(labels), 3, 8, 6, dtype=torch.uint8)
    groups = {"pet": ("cat", "dog"), "insect": ("bee",)}
    return ImageSet(
        "toys", images, torch.tensor(labels), ("bee", "cat", "dog"), "abc", groups, notes=notes
    )


def test_the_description_has_counts_superclasses_and_every_note_once() -> None:
    train = part([0, 1, 1] + [2] * 1200, ("skipped 1 of 9 files: a.txt", "no test images of dog"))
    test = part([0, 0, 1], ("skipped 1 of 9 files: a.txt",))
    assert describe.text(TrainTest(train, test)).splitlines() == [
        "toys: 1,203 training and 3 test images of 6x8 pixels, 3 classes",
        "fingerprint: abc",
        "  bee       1 train       2 test",
        "  cat       2 train       1 test",
        "  dog   1,200 train       0 test",
        "superclass pet: cat, dog",
        "superclass insect: bee",
        "note: skipped 1 of 9 files: a.txt",
        "note: no test images of dog",
    ]


def test_a_data_set_without_a_test_part_is_counted_as_one() -> None:
    whole = part([0, 1, 1, 2], ())
    lines = describe.text(TrainTest(whole, whole)).splitlines()
    assert lines[0] == "toys: 4 images of 6x8 pixels, 3 classes"
    assert lines[2:5] == [
        "  bee       1 in all",
        "  cat       2 in all",
        "  dog       1 in all",
    ]
    assert lines[-1].startswith("note: no test part: a run cross-validates")
