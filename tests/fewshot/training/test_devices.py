"""Devices: page faults counted by the kernel, choices written by hand, mocked timings and queries."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable

import pytest
import torch

from episodes.datasets import cache_root
from episodes.errors import UserError
from fewshot import backbones
from fewshot.config import BackboneSettings
from fewshot.training import devices

CHURN = """
import resource, torch
from fewshot.training import devices

def page_faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(2**22)  # 16 MB, freed at once
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

before = page_faults()
devices.keep_freed_memory()
page_faults()  # the heap grows once
print(before, page_faults())
"""


@pytest.mark.skipif(os.confstr("CS_GNU_LIBC_VERSION") is None, reason="glibc's malloc alone")
def test_freed_memory_is_kept_for_the_next_step() -> None:
    done = subprocess.run([sys.executable, "-c", CHURN], capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.split())
    assert before > 5 * 2**24 / 4096  # most tensors touch new pages
    assert after < 0.3 * before


@pytest.mark.parametrize(
    ("seconds", "precision", "last"),  # of float32, the same with channels last, bfloat16, the same
    [
        ((1.0, 1.0, 0.95, 0.95), "float32", False),  # no gain worth having
        ((1.0, 0.5, 0.95, 0.95), "float32", True),
        ((1.0, 1.0, 0.5, 0.4), "bfloat16", True),
        ((1.0, 1.0, 0.5, 0.54), "bfloat16", True),  # not clearly slower
        ((1.0, 1.0, 0.5, 0.6), "bfloat16", False),
    ],
)
def test_what_pays(seconds: tuple[float, ...], precision: str, last: bool) -> None:
    names = ("float32", "float32 channels_last", "bfloat16", "bfloat16 channels_last")
    found = devices._choose(dict(zip(names, seconds, strict=True)))
    assert found == (precision, last)


def test_what_pays_is_measured_once_and_kept(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setenv("FEWSHOT_CACHE", str(tmp_path))
    seconds = {
        "float32": 1.0,
        "float32 channels_last": 0.9,
        "bfloat16": 0.8,
        "bfloat16 channels_last": 0.4,
    }
    asked = []

    def step_seconds(device: str) -> dict[str, float]:
        asked.append(device)
        return seconds

    monkeypatch.setattr(devices, "_measure", step_seconds)
    found = devices.resolve("cpu", "auto")
    assert (found.precision, found.channels_last) == ("bfloat16", True)
    assert devices.resolve("cpu", "auto") == found
    assert asked == ["cpu"]
    (kept,) = (cache_root() / "machines").glob("*.json")
    assert json.loads(kept.read_text())["step_seconds"]["bfloat16 channels_last"] == 0.4
    assert devices.resolve("cpu", "float32").precision == "float32"

    monkeypatch.setenv("FEWSHOT_CACHE", str(tmp_path / "other"))
    seconds.update(
        {"bfloat16 channels_last": 0.95, "bfloat16": 0.95}
    )  # a gain too small to be worth it
    assert devices.resolve("cpu", "auto").precision == "float32"


def test_a_real_measurement_takes_all_four() -> None:
    found = devices._measure("cpu", rounds=1)
    assert sorted(found) == [
        "bfloat16",
        "bfloat16 channels_last",
        "float32",
        "float32 channels_last",
    ]
    assert all(0 < seconds < 60 for seconds in found.values())


def test_what_is_far_behind_takes_no_more_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = {"float32": [0.9, 0.5], "float32 channels_last": [3.0, 0.2], "bfloat16": [0.8, 0.4]}
    taken = []

    def step(device: str, choice: devices.Choice) -> Callable[[], float]:
        name = choice.name

        def seconds() -> float:
            taken.append(name)
            return slow.get(name, [0.7, 0.2])[min(taken.count(name), 2) - 1]

        return seconds

    monkeypatch.setattr(devices, "_training_step", step)
    found = devices._measure("cpu", rounds=5)
    assert found == {
        "float32": 0.5,
        "float32 channels_last": 0.2,
        "bfloat16": 0.4,
        "bfloat16 channels_last": 0.2,
    }
    assert {name: taken.count(name) for name in found} == {
        "float32": 2, "float32 channels_last": 5, "bfloat16": 2, "bfloat16 channels_last": 5,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "said"), [("tpu", "tpu"), ("mps", "mps"), ("cuda:99", "CUDA device")]
)
def test_devices_that_are_not_there(wanted: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        devices.pick(wanted)


def test_half_precision_stays_inside_the_backbone() -> None:
    backbone = backbones.build(BackboneSettings(name="resnet", options={"width": 8})).eval()
    images = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        reference = backbone(images)
        backbone.set_compute("bfloat16", channels_last=True)
        features = backbone(images)
    assert features.dtype == torch.float32
    assert not torch.equal(features, reference)
    torch.testing.assert_close(features, reference, rtol=0.05, atol=0.05)
    backbone.set_compute("float32", channels_last=False)
    assert backbone.double()(images.double()).dtype == torch.float64
