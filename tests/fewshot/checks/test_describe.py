"""Oracle: the description of a small data set, written by hand."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from episodes.types import ImageSet, TrainTest
from fewshot.checks import contact_sheet, describe
from tests.episodes.datasets.samples import save_classes


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


def test_the_contact_sheet_is_written_to_the_default_or_the_given_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The sheet has a test of its own; drawing it here would only take time.
    monkeypatch.setattr(contact_sheet, "draw", lambda images: Image.new("RGB", (4, 4)))
    monkeypatch.chdir(tmp_path)
    save_classes(tmp_path / "toys", {"ball": 10, "car": 5})
    text, path = describe.describe("toys", 8, None)
    assert path == Path("toys-contact-sheet.png")
    assert path.is_file()
    assert "toys: 12 training and 3 test images of 8x8 pixels, 2 classes" in text
    assert "note: toys has no test set" in text
    path = tmp_path / "new" / "sheet.png"
    assert describe.describe("toys", 8, path)[1] == path
    assert path.is_file()
