"""Oracle: paths written out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fewshot import config
from fewshot.runs import experiment, own_copies
from tests.fewshot.runs.quick_runs import quick


def test_paths_that_exist_are_in_full_and_names_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("photos", "none", "base"):
        (tmp_path / name).mkdir()
    (tmp_path / "mine.safetensors").write_bytes(b"")
    values: dict[str, Any] = {
        "data": "photos",
        "test": 0.2,
        "backbone": {"name": "conv4", "weights": "none"},
        "train": {"base": ["base", "cifar10"]},
    }
    full = own_copies.with_absolute_paths(values)
    assert full == {
        "data": f"{tmp_path}/photos",
        "test": 0.2,
        "backbone": {"name": "conv4", "weights": "none"},
        "train": {"base": [f"{tmp_path}/base", "cifar10"]},
    }
    values |= {"data": "digits", "train": None, "test": "photos"}
    values["backbone"] = {"weights": "mine.safetensors"}
    values["backbone"]["beside"] = [{"name": "mlp", "weights": "mine.safetensors"}]
    full = own_copies.with_absolute_paths(values)
    assert full["backbone"]["beside"][0]["weights"] == f"{tmp_path}/mine.safetensors"
    assert (full["data"], full["test"]) == ("digits", f"{tmp_path}/photos")
    assert full["backbone"]["weights"] == f"{tmp_path}/mine.safetensors"


def test_the_configuration_of_a_run_names_the_data_in_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = experiment.run(quick("probe"), [0], out=tmp_path)
    assert config.read(tmp_path / record.run_id / "config.yaml")["data"] == "digits"
    assert not list((tmp_path / record.run_id).glob("backbone-weights*"))


def test_each_network_of_several_has_its_own_copy(tmp_path: Path) -> None:
    names = ("first", "second")
    for name in names:
        (tmp_path / f"{name}.pth").write_bytes(name.encode())
    sections = [{"name": "resnet18", "weights": str(tmp_path / f"{name}.pth")} for name in names]
    backbone = {**sections[0], "beside": [{"name": "conv4"}, sections[1]]}
    settings = config.RunConfig(method="probe", shots=1, backbone=backbone)
    (tmp_path / "run").mkdir()
    own_copies.copy_weights(settings, tmp_path / "run")
    of_copies = own_copies.with_weights(settings, tmp_path / "run").backbone.networks
    assert [one.weights for one in of_copies][1] == "none"
    contents = [Path(one.weights).read_bytes() for one in (of_copies[0], of_copies[2])]
    assert contents == [b"first", b"second"]
    assert {Path(of_copies[i].weights).parent for i in (0, 2)} == {tmp_path / "run"}
