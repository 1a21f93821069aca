"""Two processes on one training, talking through gloo, beside the same training in one process."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from episodes.errors import UserError
from fewshot import distributed
from fewshot.errors import Interrupted, ProcessLost
from tests.fewshot import two_processes
from tests.fewshot.cli.command import fewshot


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what each of two processes reports."""
    folder = tmp_path_factory.mktemp("processes")
    for process in two_processes.start(["-m", "tests.fewshot.two_processes", str(folder)]):
        assert process.returncode == 0, process.stderr
    first, second = (torch.load(folder / f"rank-{rank}.pt", weights_only=True) for rank in range(2))
    return first, second


def test_all_processes_get_the_same_answers(results: tuple[dict, dict]) -> None:
    for result in results:
        assert result["world"] == 2
        assert result["agreed"] == "from 0"
        assert result["gathered"] == [0, 10]
        assert result["joined"].tolist() == [0, 1, 10, 11]
        assert result["from_main"] == "computed by 0"


def test_rank_0_is_first_and_locks_for_both(results: tuple[dict, dict]) -> None:
    for result in results:
        assert result["first"] == "written by rank 0"
        assert result["locked"] == ["0 is inside", "1 is inside"]


def test_an_error_of_rank_0_is_raised_in_both_and_neither_waits(
    results: tuple[dict, dict],
) -> None:
    for result, name in zip(results, ("UserError", "RaisedByMainProcess"), strict=True):
        assert result["failed"] == [f"{name}: there is no such data set"] * 2


def test_two_processes_train_as_one_does(results: tuple[dict, dict]) -> None:
    alone = two_processes.train((0, 1))
    first, second = (result["training"] for result in results)
    assert torch.equal(first["weights"], second["weights"])
    torch.testing.assert_close(first["weights"], alone["weights"], rtol=1e-3, atol=1e-5)
    assert first["images"] == alone["images"]
    for row, expected in zip(first["history"], alone["history"], strict=True):
        assert row["validation_loss"] == pytest.approx(expected["validation_loss"], rel=1e-3)
    assert second["history"] == []  # rank 0 alone evaluates


def test_a_signal_to_one_process_stops_both_at_the_same_step(results: tuple[dict, dict]) -> None:
    steps = [result["interrupted"]["left_after"] for result in results]
    assert steps == [20, 20]  # the next time that they ask each other


def test_one_process_answers_itself() -> None:
    rows = torch.rand(2, 3)
    assert (distributed.world(), distributed.rank()) == (1, 0)
    assert distributed.agree("a") == "a"
    assert distributed.gather("a") == ["a"]
    assert distributed.from_main(lambda: "a") == "a"
    assert distributed.gather_rows(rows) is rows


@pytest.mark.parametrize(
    ("device", "gpus", "message"),
    [("cuda", 1, "need a GPU each, and there are 1"), ("cuda:0", 2, "--device names cuda:0")],
)
def test_every_process_needs_its_own_gpu(
    device: str, gpus: int, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    with pytest.raises(UserError, match=message):
        distributed.join(device)


def test_a_process_that_falls_silent_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    store = torch.distributed.HashStore()
    first, second, third = (distributed.Heartbeats(store, rank, 3) for rank in range(3))
    for clock[0] in (10.0, 60.0, 110.0):
        for process in (second, third, first):
            process.beat()
        assert first.silent() is None
    third.beat(distributed.ENDED)  # it has ended as it should, and second hangs
    for clock[0] in (140.0, 170.0, 180.0):
        first.beat()
        assert first.silent() == (1 if clock[0] > 170 else None)


def test_processes_that_show_each_other_that_they_run_end_without_being_aborted() -> None:
    program = (
        "import time; from fewshot import distributed; distributed.BEAT_SECONDS = 0.0; "
        "distributed.join('cpu'); time.sleep(0.2)"
    )
    for process in two_processes.start(["-c", program]):
        assert process.returncode == 0, process.stderr
        assert "terminate" not in process.stderr


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("[gloo/transport/tcp/pair.cc] Connection reset by peer", ProcessLost),
        ("the shapes do not match", RuntimeError),
    ],
)
def test_only_a_broken_connection_is_a_lost_process(
    message: str, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distributed, "world", lambda: 2)
    with pytest.raises(error, match=re.escape(message)), distributed.losses_named():
        raise RuntimeError(message)


def test_a_process_does_not_wait_for_a_torchrun_that_was_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]  # nothing listens there when the block ends
    for name, value in {
        "WORLD_SIZE": "2", "TORCHELASTIC_USE_AGENT_STORE": "True",
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    with pytest.raises(Interrupted):
        distributed.join("cpu")


# Stands for torchrun: starts a process that would sleep for minutes, and prints its number.
TORCHRUN_OF_ONE = """
import os, socket, subprocess, sys, time
server = socket.create_server(("127.0.0.1", 0))
os.environ |= {"TORCHELASTIC_USE_AGENT_STORE": "True", "MASTER_ADDR": "127.0.0.1"}
os.environ["MASTER_PORT"] = str(server.getsockname()[1])
code = "import time; from fewshot import distributed; distributed._follow_torchrun(); "
code += "print('following', flush=True); time.sleep(300)"
rank = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
print(rank.pid, flush=True)
time.sleep(300)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="/proc lists the processes")
def test_a_process_ends_with_its_torchrun() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", TORCHRUN_OF_ONE], stdout=subprocess.PIPE, text=True
    ) as torchrun:
        assert torchrun.stdout is not None
        rank = Path("/proc", torchrun.stdout.readline().strip())
        assert torchrun.stdout.readline() == "following\n"
        torchrun.kill()
    deadline = time.monotonic() + 60
    while rank.exists() and "zombie" not in (rank / "status").read_text():
        assert time.monotonic() < deadline, "the process goes on"
        time.sleep(0.1)


SETTINGS = [
    "backbone.options.width=8", "backbone.options.norm=group", "precision=float32",
    "train.steps=12", "train.batch_size=16", "train.optimizer.name=sgd", "train.lr=0.05",
    "validation.share=0.25", "select=holdout", "learner.recall=0.5",
    "augment=[]",  # each process would augment in its own way, and results would differ
]  # fmt: skip
COMMAND = "run --method scratch --data digits --shots 8 --seeds 1 --backbone conv4"
RUN = COMMAND.split()
for setting in SETTINGS:
    RUN += ["--set", setting]


def record_and_weights(out: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    (path,) = out.glob("*/record.json")
    return json.loads(path.read_text()), load_file(path.parent / "trial-0" / "model.safetensors")


def files(out: Path) -> list[str]:
    paths = (path for path in out.glob("*/**/*") if path.is_file())
    # A run of several processes is not noted as a finished request.
    return sorted(path.name for path in paths if path.parent.name != ".requests")


def test_a_run_of_two_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its record, files and output are those of one process, which may not resume it."""
    one, two = tmp_path / "one", tmp_path / "two"
    assert fewshot(" ".join([*RUN, "--out", str(one)]), monkeypatch) == 0
    output_alone = capsys.readouterr().out
    together = two_processes.start(["-m", "fewshot", *RUN, "--out", str(two)])
    for process in together:
        assert process.returncode == 0, process.stderr
    assert together[0].stdout.count("scratch") == output_alone.count("scratch") == 1
    assert together[1].stdout == ""

    (record, weights), (record_of_two, weights_of_two) = map(record_and_weights, (one, two))
    assert record_of_two["run_id"] == record["run_id"]
    assert record_of_two["scores"]["accuracy"] == record["scores"]["accuracy"]
    loss = record["validation"]["loss"]["mean"]
    assert record_of_two["validation"]["loss"]["mean"] == pytest.approx(loss, rel=1e-3)
    assert sorted(weights_of_two) == sorted(weights)
    for name, value in weights.items():
        torch.testing.assert_close(weights_of_two[name], value, rtol=1e-3, atol=1e-5)
    assert not any("past" in name for name in weights)
    assert files(one) == files(two)

    assert fewshot(" ".join([*RUN, "--seeds", "2", "--out", str(two)]), monkeypatch) == 2
    assert "was computed by 2 processes at once, and now there is 1" in capsys.readouterr().err


TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "fewshot"]


@pytest.mark.slow
def test_what_processes_cannot_share_is_reported_once(tmp_path: Path) -> None:
    request = [*RUN, "--set", "select=support_cv", "--set", "validation=null"]
    process = subprocess.run(
        [sys.executable, *TORCHRUN, *request, "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert process.returncode != 0
    lines = [line for line in process.stderr.splitlines() if line.startswith("fewshot: ")]
    assert len(lines) == 1, process.stderr
    assert "use --set select=last" in lines[0]
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_stopped_run_of_two_processes_is_resumed(tmp_path: Path) -> None:
    """torchrun passes the signal on; the same command then ends as if undisturbed."""
    request = [*RUN, "--set", "train.steps=800", "--set", "train.log_every_epochs=20"]
    command = [sys.executable, *TORCHRUN, *request, "--out", str(tmp_path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    running = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    while not list(tmp_path.glob("*/trial-0/metrics.jsonl")):
        assert running.poll() is None, running.communicate()[1]
        time.sleep(0.1)
    running.send_signal(signal.SIGTERM)
    running.communicate(timeout=120)
    assert list(tmp_path.glob("*/trial-0/checkpoint.pt"))
    for out in (tmp_path, tmp_path / "whole"):
        arguments = ["-m", "fewshot", *request, "--out", str(out)]
        for process in two_processes.start(arguments):
            assert process.returncode == 0, process.stderr
    (_, weights), (_, undisturbed) = (
        record_and_weights(tmp_path),
        record_and_weights(tmp_path / "whole"),
    )
    assert all(torch.equal(weights[name], undisturbed[name]) for name in weights)
