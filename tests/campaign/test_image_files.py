"""Bad images end in a reason, in bounded time and memory: by every way into the toolkit."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.campaign import hostile_images, mutated_images
from tests.campaign.conftest import Outcomes
from tests.campaign.limited_reader import LimitedReader, Reply, command
from tests.campaign.mutated_images import picture

MUTATED = 2000
TOGETHER = 100  # images of one folder


@pytest.fixture(scope="module")
def reader() -> Iterator[LimitedReader]:
    with LimitedReader() as running:
        yield running


def decoded(path: str) -> str:
    """Decode an image file as the folder reader does; a job."""
    from episodes.datasets.decoding.decode import decode, size_of
    from episodes.datasets.decoding.image_formats import (
        broken_image_errors,
        is_image_file,
        quiet_pillow,
        raw,
        why_skipped,
    )
    from episodes.types import Decoding
    from tests.campaign.limited_reader import assert_one_sentence

    payload = Path(path)
    is_image_file(payload)
    with quiet_pillow():
        try:
            size_of(payload, raw(payload))
            decode(payload, Decoding(32))
        except broken_image_errors() as error:
            reason = why_skipped(payload, error)
            assert_one_sentence(reason)
            return "left out, with a reason"
    return "decoded"


def uploaded(path: str, place: str) -> str:
    """Read an image file as the page does; a job."""
    import torch

    from episodes.types import Decoding
    from fewshot import backbones
    from fewshot.app.photos import Body, File, read
    from fewshot.config import BackboneSettings

    settings = BackboneSettings(name="conv4")
    backbone = backbones.build(settings).eval()
    with torch.no_grad():
        reading = read([File(Path(path), "x")], Body(settings, backbone, Decoding(32)), Path(place))
    assert len(reading.photos) + len(reading.broken) == 1
    return "decoded" if reading.photos else "left out, with a reason"


def note(part: Outcomes, name: str, reply: Reply) -> None:
    """Count how a job ended."""
    if reply.fault:
        part.fail(f"{name}: {reply.fault}")
    else:
        part.count(reply.outcome)


def test_mutated_images_one_by_one(
    tmp_path: Path,
    seed: int,
    amount: Callable[[int], int],
    outcomes: Callable[[str], Outcomes],
    reader: LimitedReader,
) -> None:
    originals = list(mutated_images.originals())
    with outcomes("files-images") as part:
        n = amount(MUTATED)
        for name, content in mutated_images.mutated(originals, n, seed):
            path = tmp_path / "image.bin"
            path.write_bytes(content)
            note(part, name, reader.run(decoded, str(path)))
        part.figures["formats and modes"] = len(originals)
        part.figures["longest, processor seconds"] = round(reader.longest, 1)
        part.figures["most resident memory, MB"] = round(reader.most_memory_mb)


def test_hostile_images(
    tmp_path: Path, outcomes: Callable[[str], Outcomes], reader: LimitedReader
) -> None:
    (tmp_path / "pictures").mkdir()
    with outcomes("files-hostile-images") as part:
        for name, content in hostile_images.all_hostile():
            path = tmp_path / "image.bin"
            path.write_bytes(content)
            note(part, f"{name}, folder", reader.run(decoded, str(path)))
            note(
                part,
                f"{name}, page",
                reader.run(uploaded, str(path), str(tmp_path / "pictures"), seconds=20),
            )
        part.figures["longest, processor seconds"] = round(reader.longest, 1)
        part.figures["most resident memory, MB"] = round(reader.most_memory_mb)


def test_folders_of_mutated_images(
    tmp_path: Path,
    seed: int,
    amount: Callable[[int], int],
    outcomes: Callable[[str], Outcomes],
    reader: LimitedReader,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Read, predict and check folders in which whole and damaged images lie."""
    monkeypatch.setenv("FEWSHOT_CACHE", str(tmp_path / "cache"))
    whole, model = tmp_path / "whole", tmp_path / "model.fewshot"
    for label, turn in (("across", 0), ("along", 90)):
        (whole / label).mkdir(parents=True)
        for number in range(5):
            image = picture("RGB").rotate(turn + number)
            image.save(whole / label / f"{number}.png")
    fit = ["fit", str(whole), "--out", str(model), "--backbone", "mini-resnet", "--quiet"]
    originals = list(mutated_images.originals())
    with outcomes("files-folders") as part, LimitedReader() as own:
        reply = own.run(command, *fit, seconds=300)
        assert reply.outcome.startswith("done"), reply
        images = mutated_images.mutated(originals, amount(MUTATED), seed + 1)
        for number, (name, content) in enumerate(images):
            place = tmp_path / "bad" / ("across", "along")[number % 2]
            place.mkdir(parents=True, exist_ok=True)
            suffix = name.partition(" ")[0].lower()
            (place / f"{number}.{suffix}").write_bytes(content)
            if (number + 1) % TOGETHER == 0 or number + 1 == amount(MUTATED):
                _read_folder(part, own, tmp_path / "bad", model, number)
                shutil.rmtree(tmp_path / "bad")
        part.figures["images"] = amount(MUTATED)
        part.figures["images of a folder"] = TOGETHER
        part.figures["most resident memory, MB"] = round(own.most_memory_mb)


def _read_folder(
    part: Outcomes, own: LimitedReader, folder: Path, model: Path, number: int
) -> None:
    out = folder.parent / f"{number}.csv"
    commands = (
        ("data", str(folder)),
        ("predict", str(model), str(folder), "--out", str(out), "--skip-broken", "--quiet"),
        ("predict", str(model), str(folder), "--out", str(out), "--quiet"),
        ("check", str(folder), "--quiet"),
    )
    for arguments in commands:
        reply = own.run(command, *arguments, seconds=300)
        note(part, f"{' '.join(arguments[:1])}, up to image {number}", reply)
