"""Oracle: ports that nothing listens on, and the addresses that the system reports."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest

from fewshot.errors import ProcessLost, UserError
from fewshot.studies import node_checks, ray_executor


def test_a_cell_fails_on_a_node_that_does_not_see_the_folder(tmp_path: Path) -> None:
    required = node_checks.required_by(tmp_path / "runs")
    outcome = ray_executor.run_cell_on_node(
        required._replace(folder_id="another"), {}, [0], "cpu", threads=1
    )
    assert outcome["status"] == "failed"
    assert f"does not see {tmp_path / 'runs'}" in str(outcome["reason"])


def closed_port() -> int:
    """Return a port of this machine on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.mark.parametrize(
    ("address", "reason"),
    [("127.0.0.1:{}", "Connection refused"), ("127.0.0.1:99999", ""), ("[::1]:{}", "")],
)
def test_a_cluster_that_does_not_answer_is_named_at_once(address: str, reason: str) -> None:
    pytest.importorskip("ray")
    address = address.format(closed_port())
    with pytest.raises(UserError, match="could not be joined") as error:
        ray_executor.InRay(1, address, "cpu").__enter__()
    assert address in str(error.value)
    assert reason in str(error.value)


def test_lines_of_ray_do_not_reach_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    with ray_executor._stderr_closed():
        os.write(2, b"trying again")
    os.write(2, b"an error")
    assert capfd.readouterr().err == "an error"


@pytest.mark.slow
def test_ray_on_one_machine_listens_there_alone() -> None:
    pytest.importorskip("ray")
    code = (
        "from fewshot.studies.ray_executor import InRay\n"
        "with InRay(1, None, 'cpu') as pool:\n"
        "    print(pool.ray.get_runtime_context().gcs_address)"
    )
    environment = {key: text for key, text in os.environ.items() if not key.startswith("RAY_")}
    command = [sys.executable, "-c", code]
    address = subprocess.check_output(command, env=environment, text=True, timeout=300)
    assert address.startswith("127.0.0.1:")


def test_a_sweep_ends_with_one_sentence_if_ray_does_not_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ray = pytest.importorskip("ray")

    def fail(*args: object, **options: object) -> None:
        raise Exception("The current node timed out\nduring startup.")

    monkeypatch.setattr(ray, "init", fail)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    with pytest.raises(ProcessLost, match=r"did not start \(The current node timed out during"):
        ray_executor.InRay(2, None, "cpu").__enter__()
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_does_not_wait_for_cells_of_a_ray_that_has_ended() -> None:
    pytest.importorskip("ray")
    pool = ray_executor.InRay(2, None, "cpu")
    pool.ray = Mock()
    pool.ray.wait.side_effect = [([], ["a"]), ([], ["a"])]
    pool.ray.nodes.side_effect = [[{"Alive": True}], [{"Alive": False}]]
    with pytest.raises(ProcessLost, match="the same command resumes"):
        pool.wait(["a"], lambda handle: None)
    assert pool.ray.nodes.call_count == 2


def in_ray(device: str | None, n_gpus: int) -> ray_executor.InRay:
    """Return what runs cells with a Ray that knows so many GPUs."""
    pool = ray_executor.InRay(2, None, device)
    pool.ray = Mock()
    pool.ray.cluster_resources.return_value = {"CPU": 2, **({"GPU": n_gpus} if n_gpus else {})}
    return pool


@pytest.mark.parametrize(
    ("device", "n_gpus", "gpus", "of_cell"),
    [
        ("cpu", 4, 0, "cpu"),
        (None, 0, 0, None),
        (None, 4, 1, "cuda"),
        ("cuda", 4, 1, "cuda"),
    ],
)
def test_a_cell_has_a_gpu_of_its_own_where_there_are_any(
    device: str | None, n_gpus: int, gpus: int, of_cell: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    pool = in_ray(device, n_gpus)
    monkeypatch.setattr(pool, "_start", lambda: None)
    pool._enter()
    assert pool.ray.remote.call_args.kwargs["num_gpus"] == gpus
    assert pool.device == of_cell


@pytest.mark.parametrize(
    ("device", "n_gpus", "message"),
    [("cuda:1", 4, "Ray chooses the GPU of each cell"), ("cuda", 0, "Ray knows no GPU")],
)
def test_a_gpu_that_ray_cannot_give_is_an_error(device: str, n_gpus: int, message: str) -> None:
    pytest.importorskip("ray")
    with pytest.raises(UserError, match=message):
        in_ray(device, n_gpus)._gpus_of_a_cell()
