"""Features are computed once for each image and never taken from other weights or images.

Oracle: features that are computed directly, and a count of the images that reach the network.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from safetensors.numpy import load, load_file

from episodes.datasets import rows_on_disk
from episodes.rng import seeded
from episodes.types import ImageSet
from fewshot import backbones
from fewshot.config import BackboneSettings
from fewshot.features import cache, frozen
from fewshot.learners.base import Task
from fewshot.runs import run_settings
from tests.fewshot import easy


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FEWSHOT_CACHE", str(tmp_path))
    return tmp_path / "features"


def network(seed: int = 0, **more) -> backbones.Backbone:
    with seeded(seed, "test"):
        return backbones.build(BackboneSettings(name="conv4", options={"width": 8}, **more)).eval()


def counted(backbone: backbones.Backbone) -> list[int]:
    """The sizes of the batches that go through the network from now on."""
    seen: list[int] = []
    backbone.register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs[0])))
    return seen


def ask(backbone: backbones.Backbone, images: ImageSet, indices: list[int]) -> torch.Tensor:
    result = frozen.cached(backbone, images, torch.tensor(indices), "cpu").features
    assert torch.equal(result.labels, images.labels[indices])
    return result.features.as_subclass(torch.Tensor)


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))


def test_only_images_not_yet_known_go_through_the_network(folder: Path) -> None:
    backbone, images = network(), easy.images(100, seed=0)
    direct = frozen.extract(backbone, images, torch.arange(400), "cpu")
    seen = counted(backbone)
    assert torch.equal(ask(backbone, images, [7, 3, 399]), direct[[7, 3, 399]])
    assert sum(seen) == 256  # one chunk
    assert torch.equal(ask(backbone, images, [399, 3]), direct[[399, 3]])
    assert sum(seen) == 256
    assert torch.equal(
        ask(backbone, images, [3, 3, 5, 7, 399]), direct[[3, 3, 5, 7, 399]]
    )  # nested, one twice
    assert sum(seen) == 512
    assert torch.equal(
        ask(backbone, images, list(range(131))), direct[:131]
    )  # 131 less 3, 5 and 7: one chunk
    assert sum(seen) == 768
    everything = ask(backbone, images, list(range(400)))
    assert torch.equal(everything, direct)
    assert sum(seen) == 768 + 512  # the other 268: two chunks
    assert torch.equal(ask(backbone, images, list(range(400))), direct)
    assert sum(seen) == 1280
    (path,) = files(folder)
    held = load_file(path)
    assert held["rows"].tolist() == list(range(400))
    assert (held["features"] == direct.numpy()).all()


def test_features_of_many_images_lie_in_several_files_and_on_disk(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone, images = network(), easy.images(100, seed=0)
    direct = frozen.extract(backbone, images, torch.arange(400), "cpu")
    monkeypatch.setattr(rows_on_disk, "MOST_BYTES", 0)
    monkeypatch.setattr(frozen, "PART", 4 * backbone.n_features * 50)
    monkeypatch.setattr(frozen, "LARGEST_FILE", 4 * frozen.PART)
    some = [399, 3, 3, 150, 149]
    assert torch.equal(ask(backbone, images, some), direct[some])
    held = sorted(load_file(path)["rows"].tolist() for path in files(folder))
    assert held == [[3], [149], [150], [399]]
    assert frozen.n_missing(backbone, images, torch.arange(400), "cpu") == 396
    seen = counted(backbone)
    assert torch.equal(ask(backbone, images, list(range(400))), direct)
    assert torch.equal(ask(backbone, images, some), direct[some])
    assert len(seen) == 8
    assert [len(load_file(path)["rows"]) for path in files(folder)] == [50] * 8
    assert frozen.n_missing(backbone, images, torch.arange(400), "cpu") == 0


def test_no_image_is_asked_for(folder: Path) -> None:
    result = frozen.cached(network(), easy.images(2, seed=0), torch.arange(0), "cpu").features
    assert result.features.shape == (0, network().n_features)
    assert not folder.exists()


@pytest.mark.parametrize(
    ("name", "precision"),
    [
        ("conv4", "float32"),
        ("resnet", "bfloat16"),
        pytest.param("conv4", "bfloat16", marks=pytest.mark.slow),
        pytest.param("resnet", "float32", marks=pytest.mark.slow),
        pytest.param("convnext_atto", "float32", marks=pytest.mark.slow),
        pytest.param("convnext_atto", "bfloat16", marks=pytest.mark.slow),
    ],
)
def test_features_do_not_depend_on_the_other_images_of_a_batch(name: str, precision: str) -> None:
    with seeded(0, "test"):
        options = {"width": 16} if name == "resnet" else {}
        backbone = backbones.build(
            BackboneSettings(name=name, input_size=32, options=options)
        ).eval()
    backbone.set_compute(precision, precision == "bfloat16")
    images = easy.images(75, seed=0)
    everything = frozen.extract(backbone, images, torch.arange(300), "cpu")
    generator = torch.Generator().manual_seed(0)
    for n in (1, 17, 255, 257):
        indices = torch.randperm(300, generator=generator)[:n]
        assert torch.equal(frozen.extract(backbone, images, indices, "cpu"), everything[indices]), n


def test_large_images_go_through_in_smaller_chunks() -> None:
    backbone, images = network(), easy.images(5, seed=0)
    large = replace(images, images=images.images.repeat(1, 1, 8, 8))  # 256 x 256 pixels
    seen = counted(backbone)
    frozen.extract(backbone, large, torch.arange(20), "cpu")
    assert seen == [16, 16]


def changed_weight() -> backbones.Backbone:
    backbone = network()
    with torch.no_grad():
        next(backbone.parameters()).view(-1)[0] += 1e-6
    return backbone


def changed_statistic() -> backbones.Backbone:
    backbone = network()
    backbone.std[0] += 1e-6
    return backbone


def decorrelated() -> backbones.Backbone:
    backbone = network()
    backbone.finish = backbones.Finish(
        torch.zeros(backbone.n_features), torch.eye(backbone.n_features)
    )
    return backbone


def computed(precision: str, channels_last: bool) -> backbones.Backbone:
    backbone = network()
    backbone.set_compute(precision, channels_last)
    return backbone


@pytest.mark.parametrize(
    "other",
    [
        changed_weight,
        changed_statistic,
        lambda: network(seed=1),
        lambda: network(input_size=33),
        lambda: network(views="flip"),
        lambda: network(views="flip-crop"),
        lambda: network(views="flip-crops"),
        lambda: network(crop=0.9),
        decorrelated,
        lambda: computed("bfloat16", False),
        lambda: computed("float32", True),
    ],
)
def test_another_network_never_takes_the_features_of_the_first(other, folder: Path) -> None:
    images = easy.images(2, seed=0)
    ask(network(), images, [0, 1])
    second = other()
    seen = counted(second)
    result = ask(second, images, [0, 1])
    assert sum(seen) == 256 // second.n_views  # one chunk, of as many views
    assert torch.equal(result, frozen.extract(second, images, torch.arange(2), "cpu"))
    assert len(files(folder)) == 2


def test_other_images_never_get_the_features_of_the_first(folder: Path) -> None:
    first = ask(network(), easy.images(2, seed=0), [0, 1])
    assert not torch.equal(ask(network(), easy.images(2, seed=1), [0, 1]), first)
    assert len(files(folder)) == 2


def test_a_data_set_of_another_name_and_the_same_images_shares_their_features(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    backbone, images = network(), easy.images(2, seed=0)
    first = ask(backbone, images, [0, 1])
    seen = counted(backbone)
    assert torch.equal(ask(backbone, replace(images, name="renamed"), [0, 1]), first)
    assert seen == []
    assert caplog.messages == []


def test_layout_and_kind_of_weights_do_not_change_the_mark() -> None:
    """The same numbers in another memory order are the same weights."""
    backbone = network()
    before = frozen.fingerprint(backbone)
    backbone.body.to(memory_format=torch.channels_last)
    assert frozen.fingerprint(backbone) == before == frozen.fingerprint(network())


@pytest.mark.parametrize("more", [{"centre": True}, {"views": "turn-zoom"}, {"crop": 0.8}])
def test_what_is_done_to_images_changes_the_mark(more: dict[str, object]) -> None:
    assert frozen.fingerprint(network(**more)) != frozen.fingerprint(network())


def flip(place: float):
    def harm(content: bytes) -> bytes:
        at = min(int(place * len(content)), len(content) - 1)
        return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]

    return harm


HARM = {
    "empty": lambda content: b"",
    "cut": lambda content: content[:-1],
    "header alone": lambda content: content[: 8 + int.from_bytes(content[:8], "little")],
    "longer": lambda content: content + b"\0",
    "foreign": lambda content: b"no tensors at all",
    "huge header": lambda content: b"\xff" * 8 + content[8:],
    **{f"flipped at {place}": flip(place) for place in (0.0, 0.01, 0.1, 0.2, 0.5, 0.9, 1.0)},
}


@pytest.mark.parametrize("harm", HARM.values(), ids=HARM)
def test_a_damaged_file_is_a_warning_and_is_computed_again(
    harm, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    backbone, images = network(), easy.images(5, seed=0)
    right = ask(backbone, images, [0, 3, 8])
    (path,) = files(folder)
    before = path.read_bytes()
    path.write_bytes(harm(before))
    assert torch.equal(ask(backbone, images, [0, 3, 8]), right)
    (message,) = caplog.messages
    assert str(path) in message
    assert "computed again" in message
    # the order of the metadata and the seconds are not the same each time
    again, old = load(path.read_bytes()), load(before)
    assert all((again[name] == old[name]).all() for name in ("rows", "features"))
    assert torch.equal(ask(backbone, images, [0, 3, 8]), right)
    assert len(caplog.messages) == 1


def test_every_byte_is_guarded(folder: Path) -> None:
    ask(network(), easy.images(1, seed=0), [0])
    (path,) = files(folder)
    content = path.read_bytes()
    about = cache.header(path)
    for at in range(len(content)):
        for bit in (1, 0x20):
            path.write_bytes(content[:at] + bytes([content[at] ^ bit]) + content[at + 1 :])
            assert cache.read(path, about) is None, at
    path.write_bytes(content)
    assert cache.read(path, about) is not None


def test_a_whole_file_of_something_else_is_not_taken(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Files with a right checksum, but of another network or with impossible rows or shapes."""
    backbone, images = network(), easy.images(5, seed=0)
    right = ask(backbone, images, [0, 3, 8])
    (path,) = files(folder)
    about, held = cache.header(path), load(path.read_bytes())
    rows, values, seconds = held["rows"], held["features"], held["seconds"]
    wrong = [
        (cache.Known(rows, values, seconds), {**about, "key": "0" * 32}, "something else"),
        (cache.Known(rows[:2], values, seconds), about, "shape"),
        (cache.Known(rows, values[:, :-1], seconds), about, "shape"),
        (cache.Known(rows, values.astype("float64"), seconds), about, "shape"),
        (cache.Known(rows.astype("int32"), values, seconds), about, "shape"),
        (cache.Known(rows, values, seconds[:2]), about, "shape"),
        (cache.Known(rows[::-1].copy(), values, seconds), about, "rows"),
        (cache.Known(rows + 12, values, seconds), about, "rows"),  # of 20 images
    ]
    for known, metadata, word in wrong:
        cache.write(path, known, metadata)
        assert torch.equal(ask(backbone, images, [0, 3, 8]), right)
        (message,) = caplog.messages
        assert word in message
        assert str(path) in message
        caplog.clear()


class Clock:
    """A clock that stands still except while a network works: a second for each batch."""

    def __init__(self, backbone: backbones.Backbone) -> None:
        self.seconds = 0.0
        backbone.register_forward_pre_hook(lambda module, inputs: self.tick())

    def tick(self) -> None:
        self.seconds += 1.0

    def perf_counter(self) -> float:
        return self.seconds


def test_features_take_the_same_seconds_whoever_cached_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone, images = network(), easy.images(100, seed=0)
    monkeypatch.setattr(frozen, "time", Clock(backbone))

    def seconds(indices: list[int]) -> float | None:
        return frozen.cached(backbone, images, torch.tensor(indices), "cpu").seconds

    assert seconds([0, 1, 2, 3]) == pytest.approx(1)  # one chunk for four images
    assert seconds([3, 0]) == pytest.approx(2 / 4)
    assert seconds(list(range(304))) == pytest.approx(1 + 2)  # two more chunks for 300 images
    assert seconds([3, 4, 4]) == pytest.approx(1 / 4 + 2 / 300)
    assert seconds([0, 1, 2, 3]) == pytest.approx(1)
    cache._held.clear()
    assert seconds([3, 0]) == pytest.approx(2 / 4)  # from the disk
    monkeypatch.setenv("FEWSHOT_CACHE_GB", "0")
    assert seconds([3, 0]) == 1


def test_features_of_a_file_without_seconds_are_used_and_their_seconds_unknown(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone, images = network(), easy.images(5, seed=0)
    ask(backbone, images, [0, 3])
    (path,) = files(folder)
    about, held = cache.header(path), load(path.read_bytes())

    class Old(NamedTuple):
        rows: np.ndarray
        features: np.ndarray

    cache._held.clear()
    cache.write(path, Old(held["rows"], held["features"]), about)
    seen = counted(backbone)
    assert frozen.cached(backbone, images, torch.tensor([0, 3]), "cpu").seconds is None
    assert seen == []
    assert frozen.cached(backbone, images, torch.tensor([0, 4]), "cpu").seconds is None
    assert frozen.cached(backbone, images, torch.tensor([4]), "cpu").seconds > 0


HEAD, BODY = {"trainable": "head"}, {"trainable": 1}


@pytest.mark.parametrize(
    ("method", "norm", "phases", "more", "fit"),
    [
        ("scratch", "batch", [HEAD], {}, True),  # which holds the batch norm of a frozen body
        ("scratch", "group", [HEAD], {}, True),
        ("scratch", "batch", [{**HEAD, "share": 0.5}, {**HEAD, "share": 0.5}], {}, True),
        ("scratch", "batch", [{**HEAD, "share": 0.5}, {**BODY, "share": 0.5}], {}, False),
        ("scratch", "none", [{}], {}, False),
        ("scratch", "batch", [HEAD], {"augment": ["flip"]}, False),
        ("finetune", "batch", [HEAD], {}, True),
        ("finetune", "batch", [BODY], {}, False),
    ],
)
@pytest.mark.parametrize("mode", [True, False])
def test_features_stand_in_for_images_where_nothing_of_the_backbone_trains(
    method: str, norm: str, phases: list, more: dict, fit: bool, mode: bool
) -> None:
    network = {"name": "conv4", "weights": "none", "options": {"width": 8, "norm": norm}}
    values = {
        "method": method,
        "shots": 4,
        "backbone": network,
        "train": {"phases": phases},
        "augment": [],
        **more,
    }
    settings = run_settings.configure(values, "few")
    learner = run_settings.build_learner(settings, Task(4), seed=0).train(mode)
    first, last = list(learner.parameters())[:: len(list(learner.parameters())) - 1]
    last.requires_grad_(False)  # the other way round than in a training of the head
    modes = [part.training for part in learner.modules()]
    assert frozen.can_replace_images(settings, learner) == fit
    assert [part.training for part in learner.modules()] == modes
    assert (first.requires_grad, last.requires_grad) == (True, False)


def test_a_batch_norm_that_learns_while_the_head_is_trained_needs_images() -> None:
    """A learner that does not hold it, where scratch and finetune do."""
    settings = run_settings.configure(
        {"method": "scratch", "shots": 4, "train": {"phases": [HEAD]}, "augment": []}, "few"
    )
    learner = run_settings.build_learner(settings, Task(4), seed=0)
    assert frozen.can_replace_images(settings, learner)
    plain = easy.Stub()
    plain.feed, plain.backbone, plain.head = learner.feed, learner.backbone, learner.head
    assert not frozen.can_replace_images(settings, plain)


TWO = """
import sys, torch
from pathlib import Path
from fewshot.features import frozen
from tests.fewshot import easy
from tests.fewshot.features import test_frozen as t
backbone, images = t.network(), easy.images(100, seed=0)
first, step, go = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
print("ready", flush=True)
while not go.exists(): pass
seen = t.counted(backbone)
for start in range(first, 400, step):
    t.ask(backbone, images, [start, 399 - start, 200])
frozen.cached(backbone, easy.images(50, seed=3), torch.arange(200), "cpu")
print(sum(seen), flush=True)
"""


@pytest.mark.slow  # starts two processes
def test_two_processes_that_extend_one_file_at_once_lose_nothing(
    folder: Path, tmp_path: Path
) -> None:
    root = Path(__file__).parents[3]
    command = [sys.executable, "-c", TWO]
    go = tmp_path / "go"
    both = [
        subprocess.Popen(
            [*command, first, "40", str(go)], stdout=subprocess.PIPE, text=True, cwd=root
        )
        for first in ("0", "20")
    ]
    for process in both:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    go.touch()
    counts = [int(process.communicate()[0]) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    held = [load_file(path) for path in files(folder)]
    (shared,) = (value for value in held if len(value["rows"]) < 200)
    asked = {row for start in range(0, 400, 20) for row in (start, 399 - start)} | {200}
    assert shared["rows"].tolist() == sorted(asked)
    direct = frozen.extract(network(), easy.images(100, seed=0), torch.arange(400), "cpu")
    assert torch.equal(torch.from_numpy(shared["features"]), direct[sorted(asked)])
    # twenty requests with new images, and the other set, which one of the two computed
    assert sum(counts) == 256 * 20 + 256
    assert not list(folder.glob("*.part"))


def test_without_a_cache_nothing_is_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone, images = network(), easy.images(2, seed=0)
    saved = ask(backbone, images, [1, 0])
    (path,) = files(folder)
    path.unlink()
    monkeypatch.setenv("FEWSHOT_CACHE_GB", "0")
    assert torch.equal(ask(backbone, images, [1, 0]), saved)
    assert files(folder) == []
