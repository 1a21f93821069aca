"""Devices: page faults counted by the kernel, choices by hand, mocked timings and queries."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from episodes.datasets import cache_root
from episodes.errors import UserError
from fewshot.training import devices

CHURN = """
import resource, torch
from fewshot.training import devices

def page_faults(tensors):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(tensors):
        torch.ones(10**7)  # 40 MB, freed at once; glibc maps so much anew by default
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

before = page_faults(3)
devices.keep_freed_memory()
page_faults(10)  # the heap settles
print(before, page_faults(3))
"""


@pytest.mark.skipif(os.confstr("CS_GNU_LIBC_VERSION") is None, reason="glibc's malloc alone")
def test_freed_memory_is_kept_for_the_next_step() -> None:
    done = subprocess.run([sys.executable, "-c", CHURN], capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.split())
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
def test_the_choice_by_seconds(seconds: tuple[float, ...], precision: str, last: bool) -> None:
    names = ("float32", "float32 channels_last", "bfloat16", "bfloat16 channels_last")
    choice = devices._choose(dict(zip(names, seconds, strict=True)))
    assert choice == (precision, last)


def test_a_machine_is_measured_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FEWSHOT_CACHE", str(tmp_path))
    seconds = {
        "float32": 1.0,
        "float32 channels_last": 0.9,
        "bfloat16": 0.8,
        "bfloat16 channels_last": 0.4,
    }
    measured = []

    def step_seconds(device: str) -> dict[str, float]:
        measured.append(device)
        return seconds

    monkeypatch.setattr(devices, "_measure", step_seconds)
    compute = devices.resolve("cpu", "auto")
    assert (compute.precision, compute.channels_last) == ("bfloat16", True)
    assert devices.resolve("cpu", "auto") == compute
    assert measured == ["cpu"]
    (path,) = (cache_root() / "machines").glob("*.json")
    assert json.loads(path.read_text())["step_seconds"]["bfloat16 channels_last"] == 0.4
    assert devices.resolve("cpu", "float32").precision == "float32"

    monkeypatch.setenv("FEWSHOT_CACHE", str(tmp_path / "other"))
    small_gain = {"bfloat16 channels_last": 0.95, "bfloat16": 0.95}
    seconds.update(small_gain)
    assert devices.resolve("cpu", "auto").precision == "float32"


def test_a_real_measurement_has_all_choices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(devices.MEASURED_IMAGES, "cpu", 4)
    measured = devices._measure("cpu", rounds=1)
    assert sorted(measured) == [
        "bfloat16",
        "bfloat16 channels_last",
        "float32",
        "float32 channels_last",
    ]
    assert all(0 < seconds < 60 for seconds in measured.values())


def test_a_choice_far_behind_takes_no_more_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = {"float32": [0.9, 0.5], "float32 channels_last": [3.0, 0.2], "bfloat16": [0.8, 0.4]}
    turns = []

    def step(device: str, choice: devices.Choice) -> Callable[[], float]:
        name = choice.name

        def seconds() -> float:
            turns.append(name)
            return slow.get(name, [0.7, 0.2])[min(turns.count(name), 2) - 1]

        return seconds

    monkeypatch.setattr(devices, "_training_step", step)
    measured = devices._measure("cpu", rounds=5)
    assert measured == {
        "float32": 0.5,
        "float32 channels_last": 0.2,
        "bfloat16": 0.4,
        "bfloat16 channels_last": 0.2,
    }
    assert {name: turns.count(name) for name in measured} == {
        "float32": 2, "float32 channels_last": 5, "bfloat16": 2, "bfloat16 channels_last": 5,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("requested", "message"), [("tpu", "tpu"), ("mps", "mps"), ("cuda:99", "CUDA device")]
)
def test_devices_that_do_not_exist(requested: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        devices.pick(requested)


def test_a_requested_bfloat16_has_the_layout_of_the_automatic_choice(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FEWSHOT_CACHE", str(tmp_path))
    seconds = {"float32": 1.0, "bfloat16": 0.5, "bfloat16 channels_last": 0.4}
    monkeypatch.setattr(devices, "_measure", lambda _: {**seconds, "float32 channels_last": 1.0})
    compute = devices.resolve("cpu", "bfloat16")
    assert compute == ("cpu", "bfloat16", True, torch.get_num_threads(), 1)
    seconds["bfloat16"] = seconds["bfloat16 channels_last"] = 2.0
    monkeypatch.setenv("FEWSHOT_CACHE", str(tmp_path / "other"))
    assert not devices.resolve("cpu", "bfloat16").channels_last  # plain float32 is the choice


@pytest.mark.parametrize(
    ("requested", "count", "picked"),
    [(None, 0, "cpu"), ("auto", 2, "cuda"), ("cuda", 1, "cuda"), ("cuda:1", 2, "cuda:1")],
)
def test_the_device_by_the_number_of_gpus(
    monkeypatch: pytest.MonkeyPatch, requested: str | None, count: int, picked: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    assert devices.pick(requested) == picked
    with pytest.raises(UserError, match=f"cuda:{count}"):
        devices.pick(f"cuda:{count}")


def test_the_name_of_the_processor_is_the_kernels() -> None:
    name = devices.name("cpu")
    n_threads = torch.get_num_threads()
    assert name.endswith(", 1 thread" if n_threads == 1 else f", {n_threads} threads")
    path = Path("/proc/cpuinfo")
    if path.exists() and "model name" in path.read_text():
        assert name.split(",")[0] in path.read_text()


@pytest.mark.gpu
def test_a_gpu_is_measured_and_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FEWSHOT_CACHE", str(tmp_path))
    compute = devices.resolve(devices.pick("auto"), "auto")
    assert compute.device == "cuda"
    (path,) = (cache_root() / "machines").glob("*.json")
    measured = json.loads(path.read_text())
    assert torch.cuda.get_device_name() in measured["machine"]
    assert all(0 < seconds < 10 for seconds in measured["step_seconds"].values())
