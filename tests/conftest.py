"""What all tests share: an image cache in a temporary folder, and few threads per process."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

# Set before torch is loaded, as the command line does: idle threads sleep instead of spinning.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if "PYTEST_XDIST_WORKER" in os.environ:  # one of several processes, which share the cores
    os.environ.setdefault("OMP_NUM_THREADS", "1")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # started by a script in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)

OTHER_DEVICES = ("test_gpu.py", "test_gpu_runs.py")  # whose tests also run on FEWSHOT_TEST_DEVICE


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Set FEWSHOT_CACHE for the whole session, so that no test reads or fills the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FEWSHOT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test marked `gpu` if there is no CUDA device.

    The files of `OTHER_DEVICES` decide for themselves.
    """
    if item.get_closest_marker("gpu") is None or item.path.name in OTHER_DEVICES:
        return
    import torch

    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device")
