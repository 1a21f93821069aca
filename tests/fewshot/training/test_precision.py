"""Precision: processors by hand, and timings simulated on machines with and without other work."""

from __future__ import annotations

import json
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch

from episodes.datasets import cache_root
from fewshot.training import devices, precision
from fewshot.training.precision import HALF, HALF_LAST, PLAIN, PLAIN_LAST, Capability, Choice

OPEN = Capability(HALF_LAST, (HALF, PLAIN, PLAIN_LAST))


def processor(flags: str, key: str = "flags") -> str:
    return f"processor\t: 0\nmodel name\t: Some Processor\n{key}\t\t: {flags}\n\nprocessor\t: 1\n"


@pytest.mark.parametrize(
    ("cpuinfo", "default", "is_open"),
    [
        (processor("sse avx2 avx512_bf16 amx_bf16 amx_tile"), HALF_LAST, False),
        (processor("sse avx2 avx512f avx512_bf16"), HALF_LAST, True),
        (processor("fp asimd bf16", "Features"), HALF_LAST, True),  # Arm
        (processor("sse avx2 avx512f"), PLAIN, True),
        (None, PLAIN, True),  # no /proc
    ],
)
def test_the_processor_decides_as_far_as_it_can(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    cpuinfo: str | None,
    default: Choice,
    is_open: bool,
) -> None:
    file = tmp_path / "cpuinfo"
    if cpuinfo is not None:
        file.write_text(cpuinfo)
        assert cpuinfo.startswith("processor")
    monkeypatch.setattr(precision, "CPUINFO", file)
    capability = precision._capability("cpu")
    assert (capability.default, bool(capability.others)) == (default, is_open)
    assert PLAIN_LAST not in capability.others or default in (PLAIN, HALF_LAST)
    if cpuinfo is not None:
        assert precision.processor() == "Some Processor"


@pytest.mark.parametrize(("native", "choice"), [(True, HALF_LAST), (False, PLAIN)])
def test_a_gpu_decides_by_what_it_supports_without_emulation(
    monkeypatch: pytest.MonkeyPatch, native: bool, choice: Choice
) -> None:
    monkeypatch.setattr(torch.cuda, "device", lambda device: nullcontext())
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation: native or including_emulation
    )
    assert precision._capability("cuda:1") == Capability(choice)


def simulated(
    true_seconds: dict[str, float], slowed: float, luck: np.random.Generator
) -> dict[str, list[float]]:
    """Return measured seconds: other work slows some steps, by a factor of up to five."""
    turns: dict[str, list[float]] = {}
    for name, seconds in true_seconds.items():
        factor = np.where(luck.random(precision.TURNS) < slowed, luck.uniform(1, 5, 9), 1)
        turns[name] = list(seconds * factor * luck.normal(1, 0.02, 9).clip(0.9, 1.1))
    return turns


def times(default: float, half: float, plain: float, plain_last: float) -> dict[str, float]:
    choices = (HALF_LAST, HALF, PLAIN, PLAIN_LAST)
    return {
        choice.name: seconds
        for choice, seconds in zip(choices, (default, half, plain, plain_last), strict=True)
    }


@pytest.mark.parametrize(
    ("true_seconds", "idle"),
    [
        (times(0.4, 0.45, 1.0, 0.8), HALF_LAST),
        (times(1.0, 1.0, 1.0, 1.0), HALF_LAST),
        (times(1.0, 1.0, 0.95, 0.9), HALF_LAST),  # faster, but not clearly
        (times(1.0, 0.5, 2.0, 2.0), HALF),
        (times(3.0, 3.0, 1.0, 1.2), PLAIN),
    ],
)
def test_a_loaded_machine_chooses_what_an_idle_one_does(
    true_seconds: dict[str, float], idle: Choice
) -> None:
    luck = np.random.default_rng(0)
    assert precision._choose(OPEN, simulated(true_seconds, 0.0, luck)) == idle
    loaded = [
        precision._choose(OPEN, simulated(true_seconds, slowed, luck))
        for slowed in (0.1, 0.3)
        for _ in range(450)
    ]
    others = sum(choice not in (idle, HALF_LAST) for choice in loaded)
    assert others <= 0.01 * len(loaded)  # what is not clear is the hardware's own choice
    assert sum(choice == idle for choice in loaded) >= 0.8 * len(loaded)


def test_time_without_a_core_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    step = precision._training_step(PLAIN)
    step()
    autocast = torch.autocast

    def waiting(*values: object, **more: object) -> torch.autocast:
        time.sleep(0.5)  # as if another process had the core
        return autocast(*values, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(torch, "autocast", waiting)
    began = time.perf_counter()
    assert step() < 0.5 * (time.perf_counter() - began)


def test_a_real_measurement_has_all_choices_and_drops_the_slow_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(precision, "MEASURED_IMAGES", 1)
    monkeypatch.setattr(precision, "TURNS", 3)
    n_threads = torch.get_num_threads()
    measured = precision._measure(OPEN)
    assert torch.get_num_threads() == n_threads
    assert sorted(measured) == sorted(choice.name for choice in (HALF_LAST, *OPEN.others))
    assert all(2 <= len(turns) <= 3 and min(turns) > 0 for turns in measured.values())
    assert len(measured[HALF_LAST.name]) == 3


def test_a_machine_is_measured_once_whatever_the_threads(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FEWSHOT_CACHE", str(tmp_path))
    monkeypatch.setattr(precision, "_capability", lambda device: OPEN)
    measured = []

    def seconds(capability: Capability) -> dict[str, list[float]]:
        measured.append(capability)
        return {name: [one] * 9 for name, one in times(1.0, 1.0, 0.4, 0.5).items()}

    monkeypatch.setattr(precision, "_measure", seconds)
    compute = devices.resolve("cpu", "auto", threads=1)
    assert compute == ("cpu", "float32", False, 1, 1)
    assert devices.resolve("cpu", "auto", threads=2) == compute._replace(threads=2)
    assert measured == [OPEN]
    (path,) = (cache_root() / "machines").glob("*.json")
    assert json.loads(path.read_text())["choice"] == {
        "precision": "float32", "channels_last": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    "content",
    ["", "[1]", "{}", '{"choice": {"precision": "float8", "channels_last": false}}',
     '{"choice": {"precision": "float32", "channels_last": false, "compiled": true}}'],
    ids=["empty", "list", "nothing", "precision of a later version", "key of a later version"],
)  # fmt: skip
def test_a_damaged_measurement_and_one_of_another_version_are_made_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str
) -> None:
    monkeypatch.setenv("FEWSHOT_CACHE", str(tmp_path))
    monkeypatch.setattr(precision, "_capability", lambda device: OPEN)
    slow_half = {name: [one] * 9 for name, one in times(1.0, 1.0, 0.4, 0.5).items()}
    monkeypatch.setattr(precision, "_measure", lambda capability: slow_half)
    first = precision.choice_here("cpu")
    (path,) = (cache_root() / "machines").glob("*.json")
    whole = path.read_text()
    path.write_text(content)
    assert precision.choice_here("cpu") == first
    assert path.read_text() == whole


def test_hardware_that_decides_is_not_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FEWSHOT_CACHE", str(tmp_path))
    monkeypatch.setattr(precision, "_capability", lambda device: Capability(HALF_LAST))
    monkeypatch.setattr(precision, "_measure", lambda _: pytest.fail("measured"))
    assert devices.resolve("cpu", "auto", threads=1) == ("cpu", "bfloat16", True, 1, 1)
    assert devices.resolve("cpu", "bfloat16", threads=1) == ("cpu", "bfloat16", True, 1, 1)
    assert devices.resolve("cpu", "float32", threads=1) == ("cpu", "float32", False, 1, 1)
    monkeypatch.setattr(precision, "_capability", lambda device: Capability(PLAIN))
    assert devices.resolve("cpu", "bfloat16", threads=1) == ("cpu", "bfloat16", False, 1, 1)
    assert not (cache_root() / "machines").exists()


@pytest.mark.gpu
def test_a_gpu_decides_without_a_measurement(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FEWSHOT_CACHE", str(tmp_path))
    compute = devices.resolve(devices.pick("auto"), "auto")
    is_native = torch.cuda.get_device_capability() >= (8, 0)
    assert (compute.precision == "bfloat16") == compute.channels_last == is_native
    assert not (cache_root() / "machines").exists()
