"""CUDA's Multi-Process Service (MPS), with which several processes compute on one GPU at once.

Without it their kernels take turns, so that small ones leave most of the GPU idle. The service
changes no setting of the GPU: it is a process, which ends with the block that uses it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

CONTROL = "nvidia-cuda-mps-control"
FOLDERS = ("/usr/local/nvidia/bin",)  # of containers that mount the driver, beside the path
START_SECONDS = 60.0  # for the service and a first process that computes through it
STOP_SECONDS = 2  # for processes that still have the GPU open, as the one that started them may
CLIENT = "import torch; print(torch.ones(2, device='cuda').sum().item())"


@contextmanager
def multi_process_service(device: str) -> Iterator[bool]:
    """Let the processes that start inside the block share the GPU through MPS, if it works here.

    Args:
        device: cuda or cuda:1, for which the service is started; any other has none.

    Yields:
        Whether MPS runs. If not, the processes share the GPU without it.
    """
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *FOLDERS])
    if not device.startswith("cuda") or shutil.which(CONTROL, path=path) is None:
        yield False
        return
    folder = tempfile.mkdtemp(prefix="mps-")  # a short path: sockets allow 107 characters
    names = {"CUDA_MPS_PIPE_DIRECTORY": folder, "CUDA_MPS_LOG_DIRECTORY": folder, "PATH": path}
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(names)
    runs = False
    try:
        runs = _starts()
        if not runs:
            _stop()
            _restore(before)
        yield runs
    finally:
        if runs:
            _stop()
            _restore(before)
        shutil.rmtree(folder, ignore_errors=True)


def _starts() -> bool:
    """Start the service and return whether a process computes through it."""
    commands = ([CONTROL, "-d"], [sys.executable, "-c", CLIENT])
    try:
        # No pipes: the service would hold them open.
        return all(
            subprocess.run(
                command,
                timeout=START_SECONDS,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            ).returncode
            == 0
            for command in commands
        )
    except (OSError, subprocess.TimeoutExpired):
        return False


def _stop() -> None:
    """Ask the service to end; one that does not answer is left alone.

    Without a time it would wait for the end of this process, if this has the GPU open.
    """
    try:
        subprocess.run(
            [CONTROL],
            input=f"quit -t {STOP_SECONDS}\n".encode(),
            timeout=STOP_SECONDS + 3,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return


def _restore(values: dict[str, str | None]) -> None:
    """Set environment variables to earlier values; None removes one."""
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
