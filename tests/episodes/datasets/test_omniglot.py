"""Oracles: small zip files that the test writes, Pillow's own resizing, and the authors' counts."""

import os
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from episodes import datasets
from episodes.datasets import drafts, loading, omniglot
from episodes.datasets.locations import data_root
from episodes.errors import NotHere, UserError
from tests.episodes.datasets.samples import save_classes

ALPHABETS = {"Alpha": 2, "Beta": 3}  # characters of each
DRAWINGS = 20


def drawing(seed: int) -> np.ndarray:
    """Return whether each pixel is paper, bool [105, 105]."""
    coarse = np.random.default_rng(seed).random((15, 15)) > 0.2
    return coarse.repeat(7, 0).repeat(7, 1)


def png(seed: int) -> bytes:
    file = BytesIO()
    Image.fromarray(drawing(seed)).save(file, "PNG")
    return file.getvalue()


def save_alphabets(path: Path, first_seed: int = 0) -> None:
    """Write a zip file in the layout of the authors, with a seed for each drawing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = first_seed
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{path.stem}/", "")
        for alphabet, n_characters in ALPHABETS.items():
            for character in range(1, n_characters + 1):
                for number in range(1, DRAWINGS + 1):
                    name = f"{alphabet}/character{character:02}/{seed // 20:04}_{number:02}.png"
                    archive.writestr(f"{path.stem}/{name}", png(seed))
                    seed += 1


def save_runs(path: Path) -> dict[str, int]:
    """Write two runs of three classes; return the class number of each test image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    class_of = {}
    with zipfile.ZipFile(path, "w") as archive:
        for run, order in (("run01", (2, 0, 1)), ("run02", (1, 2, 0))):
            lines = []
            for item, label in enumerate(order, start=1):
                lines.append(
                    f"{run}/test/item{item:02}.png {run}/training/class{label + 1:02}.png\n"
                )
                seed = 100 * int(run[-1]) + label
                archive.writestr(f"{run}/test/item{item:02}.png", png(seed))
                archive.writestr(f"{run}/training/class{label + 1:02}.png", png(seed + 50))
                class_of[f"{run} item {item}"] = label
            archive.writestr(f"{run}/class_labels.txt", "".join(lines))
    return class_of


def resized(seed: int, size: int) -> np.ndarray:
    """Return what a learner receives of a drawing: white ink on black, by Pillow."""
    ink = Image.fromarray(np.where(drawing(seed), 0, 255).astype(np.uint8))
    return np.asarray(ink.resize((size, size), Image.Resampling.BICUBIC, reducing_gap=3.0))


def test_drawings_have_their_class_alphabet_and_white_ink(tmp_path: Path) -> None:
    save_alphabets(tmp_path / "omniglot" / "images_background_small1.zip")
    train, test = datasets.load("omniglot-small1", root=tmp_path, cache=tmp_path / "cache")
    expected = [f"{a}/character{c + 1:02}" for a, n in ALPHABETS.items() for c in range(n)]
    assert list(train.classes) == expected
    assert train.groups == {"Alpha": tuple(expected[:2]), "Beta": tuple(expected[2:])}
    assert not train.mirror
    assert (len(train), len(test)) == (5 * 16, 5 * 4)
    assert train.images.shape == (80, 3, 32, 32)
    label_of = {resized(seed, 32).tobytes(): seed // DRAWINGS for seed in range(100)}
    assert len(label_of) == 100
    for part in (train, test):
        for image, label in zip(part.images, part.labels.tolist(), strict=True):
            assert torch.equal(image[0], image[1])
            assert torch.equal(image[0], image[2])
            assert label_of.pop(image[0].numpy().tobytes()) == label
    assert not label_of
    assert any("20% of its images" in note for note in train.notes)


def test_the_original_size_holds_ink_and_paper_alone(tmp_path: Path) -> None:
    save_alphabets(tmp_path / "omniglot" / "images_background_small2.zip")
    train, _ = datasets.load(
        "omniglot-small2", image_size=105, root=tmp_path, cache=tmp_path / "cache"
    )
    assert set(train.images.unique().tolist()) == {0, 255}


def test_the_whole_set_joins_both_files_and_folders_will_do(tmp_path: Path) -> None:
    save_alphabets(tmp_path / "omniglot-py" / "images_background.zip")
    other = tmp_path / "omniglot" / "images_evaluation.zip"
    save_alphabets(other, first_seed=500)
    with zipfile.ZipFile(other) as archive:
        archive.extractall(other.parent)
    other.unlink()
    cache = tmp_path / "cache"
    background, evaluation, both = (
        datasets.load(name, root=tmp_path, cache=cache)
        for name in ("omniglot-background", "omniglot-evaluation", "omniglot")
    )
    assert background.train.fingerprint != evaluation.train.fingerprint
    assert len(both.train) == len(background.train) + len(evaluation.train)
    assert len(evaluation.train) == 80


def test_class_labels_pair_the_images_of_a_run(tmp_path: Path) -> None:
    save_runs(tmp_path / "omniglot" / "all_runs.zip")
    train, test = datasets.load("omniglot-runs", root=tmp_path, cache=tmp_path / "cache")
    assert len(train) == len(test) == len(train.classes) == 6
    assert list(train.groups) == ["run01", "run02"]
    for part, offset in ((train, 50), (test, 0)):
        for image, label in zip(part.images[:, 0], part.labels.tolist(), strict=True):
            run, member = train.classes[label].split("/")
            seed = 100 * int(run[-1]) + int(member[-2:]) - 1 + offset
            np.testing.assert_array_equal(image.numpy(), resized(seed, 32))


def test_a_missing_file_is_named_with_its_address(tmp_path: Path) -> None:
    with pytest.raises(NotHere, match=r"all_runs\.zip of Omniglot is not in .*github\.com"):
        datasets.load("omniglot-runs", root=tmp_path)


def test_a_failed_download_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr("torchvision.datasets.omniglot.download_and_extract_archive", fail)
    with pytest.raises(NotHere, match=r"images_background\.zip .*no route to host.*Copy it"):
        datasets.load("omniglot", root=tmp_path)


def test_a_download_that_was_killed_is_never_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed:
        def __init__(self, root: str, **_: object) -> None:
            path = Path(root) / "omniglot-py" / "images_background.zip"
            path.parent.mkdir()
            path.write_bytes(b"PK\x03\x04 cut off")
            os._exit(9)

    class Whole:
        def __init__(self, root: str, **_: object) -> None:
            path = Path(root) / "omniglot-py" / "images_background.zip"
            save_alphabets(path)
            with zipfile.ZipFile(path) as archive:
                archive.extractall(path.parent)

    monkeypatch.setattr("torchvision.datasets.Omniglot", Killed)
    process = os.fork()
    if not process:
        try:
            omniglot.source("omniglot-background", tmp_path)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 9
    assert not omniglot.is_here("omniglot-background", tmp_path)
    monkeypatch.setattr("torchvision.datasets.Omniglot", Whole)
    monkeypatch.setattr(drafts, "SECONDS_BETWEEN_SEARCHES", 0.0)
    assert len(omniglot.source("omniglot-background", tmp_path).read().train.labels) == 100
    assert {path.name for path in tmp_path.iterdir()} == {".omniglot.lock", "omniglot-py"}
    assert len(list((tmp_path / "omniglot-py").iterdir())) == 2


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off"])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "omniglot" / "images_background_small1.zip"
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"small1\.zip cannot be read .*copy it again"):
        datasets.load("omniglot-small1", root=tmp_path, cache=tmp_path / "cache")


def test_a_file_without_drawings_is_named(tmp_path: Path) -> None:
    for stem in ("images_background_small1", "all_runs"):
        path = tmp_path / "omniglot" / f"{stem}.zip"
        path.parent.mkdir(exist_ok=True)
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("readme.txt", "nothing")
    for name, stem in (("omniglot-small1", "small1"), ("omniglot-runs", "all_runs")):
        with pytest.raises(UserError, match=rf"{stem}\.zip holds no"):
            datasets.load(name, root=tmp_path, cache=tmp_path / "cache")


def test_only_sets_whose_files_are_here_are_listed(tmp_path: Path) -> None:
    save_runs(tmp_path / "omniglot" / "all_runs.zip")
    save_classes(tmp_path / "flowers", {"rose": 2, "tulip": 2})
    names = [name for name, _ in loading.available(tmp_path)]
    assert names == ["digits", "cifar10", "omniglot-runs", "flowers"]


@pytest.mark.parametrize(
    ("name", "n_classes", "alphabets"),
    [
        ("omniglot-small1", 136, ["Balinese", "Early_Aramaic", "Greek", "Korean", "Latin"]),
        ("omniglot-small2", 156, ["Greek", "Japanese_(katakana)", "Latin", "Sanskrit", "Tagalog"]),
        ("omniglot-background", 964, None),
        ("omniglot-evaluation", 659, None),
    ],
)
def test_the_authors_files_have_their_counts(
    name: str, n_classes: int, alphabets: list[str] | None
) -> None:
    if not omniglot.is_here(name, data_root()):
        pytest.skip(f"the zip file of {name} is not in {data_root()}/omniglot")
    train, test = datasets.load(name)
    assert len(train.classes) == n_classes
    counts = torch.cat([train.labels, test.labels]).bincount()
    assert counts.tolist() == [DRAWINGS] * n_classes
    if alphabets is not None:
        assert list(train.groups) == alphabets
    ink = train.images[:, 0].float().mean() / 255
    assert 0.02 < ink < 0.2
