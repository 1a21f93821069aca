"""Devices: page faults counted by the kernel, threads by threadpoolctl, mocked queries."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

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
    ("requested", "message"), [("tpu", "tpu"), ("mps", "mps"), ("cuda:99", "CUDA device")]
)
def test_devices_that_do_not_exist(requested: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        devices.pick(requested)


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


THREADS = """
import numpy, torch, threadpoolctl
from fewshot.training import devices
devices.use_threads(3)
blas = [one["num_threads"] for one in threadpoolctl.threadpool_info() if one["user_api"] == "blas"]
print(torch.get_num_threads(), *blas)
"""


def test_torch_and_numpy_use_the_threads_of_a_trial() -> None:
    code = [sys.executable, "-c", THREADS]
    done = subprocess.run(code, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == {"3"}
