"""Oracle: the same study in one process. Two hosts, of which one is lost in the middle."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.campaign import hosts, kills
from tests.campaign.conftest import Outcomes
from tests.campaign.hosts import Host

pytestmark = pytest.mark.skipif(bool(hosts.lacking()), reason=hosts.lacking())

CELLS = 60
ROW: dict[str, Any] = {
    "title": "Short cells",
    "question": "Does a node that is lost change a result?",
    "source": "the campaign",
    "trials": 1,
}
BASE: dict[str, Any] = {
    "method": "scratch",
    "data": "digits",
    "shots": 5,
    "backbone": {"name": "conv4", "options": {"width": 8}},
    "train": {"steps": 20, "batch_size": 16, "log_every_epochs": 2},
}
ADDRESS = f"10.77.0.1:{hosts.PORT}"


class Study:
    """A study of short cells in a shared folder, and its results in one process."""

    def __init__(self, folder: Path, n_cells: int, base: Mapping[str, Any] = BASE) -> None:
        self.folder = folder
        rates = [round(0.001 * (1 + i), 4) for i in range(n_cells)]
        (folder / "study").mkdir()
        row = {**ROW, "base": dict(base), "grid": [{"train.lr": rates}]}
        (folder / "study" / "X1.yaml").write_text(yaml.safe_dump(row))
        (folder / "token").write_text("2" * 64)
        self.environment = {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(folder / "token"),
            "RAY_worker_niceness": "0",
            "FEWSHOT_CACHE": str(folder / "cache"),
        }

    def sweep(self, name: str, *options: str) -> Sequence[str]:
        """Return the words of a sweep that writes into a folder of this name."""
        study, out = self.folder / "study", self.folder / name
        words = ["sweep", str(study), "--scale", "full", "--quiet"]
        return hosts.fewshot(*words, "--out", str(out), *options)

    def alone(self, name: str) -> None:
        """Run the whole study in one process on this machine."""
        variables = {**os.environ, **self.environment, "OMP_NUM_THREADS": "1"}
        words = [sys.executable, *self.sweep(name)]
        subprocess.run(words, env=variables, cwd=hosts.ROOT, check=True, capture_output=True)

    def results(self, name: str) -> list[Path]:
        """Return the files of results that a sweep has written."""
        return sorted((self.folder / name / "studies" / "study" / "full" / "X1").glob("*.json"))

    def differing(self, name: str) -> list[str]:
        """Return the results that are missing or differ from one process."""
        alone, other = (
            {path.name: kills.without_times(kills.content(path)) for path in self.results(folder)}
            for folder in ("alone", name)
        )
        assert alone
        return kills.differences(alone, other)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, amount: Callable[[int], int]) -> Study:
    pytest.importorskip("ray")
    study = Study(tmp_path_factory.mktemp("shared"), max(6, amount(CELLS)))
    study.alone("alone")
    return study


def compare(part: Outcomes, study: Study, name: str) -> None:
    """Count the results of a sweep by whether they are those of one process."""
    differing = study.differing(name)
    for path in study.results("alone"):
        if path.name in differing:
            part.fail(f"{name}: the result {path.name} differs from one process")
        else:
            part.count("cells with the result of one process")


@pytest.mark.parametrize("loss", [Host.off, Host.unplug], ids=["switched off", "unplugged"])
def test_a_node_lost_in_the_middle_changes_no_result(
    loss: Callable[[Host], None],
    study: Study,
    outcomes: Callable[[str], Outcomes],
    request: pytest.FixtureRequest,
) -> None:
    how = request.node.callspec.id.replace(" ", "-")
    name = f"lost-{how}"
    with outcomes(f"two-nodes-{how}") as part, hosts.two(study.environment) as (left, right):
        for host in (left, right):
            hosts.start_ray(host, left)
        sweep = left.start(*study.sweep(name, "--ray-address", ADDRESS))
        third = len(study.results("alone")) // 3
        hosts.until(lambda: len(study.results(name)) >= third)
        hosts.until(lambda: bool(right.processes("ray::run_cell")) or sweep.poll() is not None)
        assert sweep.poll() is None, "the sweep ended before a node was lost"
        loss(right)
        part.figures["cells_finished_before_the_loss"] = len(study.results(name))
        code, messages = hosts.ended(sweep)
        if code or messages:
            part.fail(f"{name}: exit code {code}: {messages[-300:]}")
        compare(part, study, name)


def test_the_node_with_the_head_is_lost_and_the_same_command_resumes(
    study: Study, outcomes: Callable[[str], Outcomes]
) -> None:
    name = "lost-head"
    # Ray looks for a lost head for a minute, in which the other node may do all that is left.
    impatient = {**study.environment, "RAY_gcs_rpc_server_reconnect_timeout_s": "5"}
    with outcomes("two-nodes-head") as part:
        with hosts.two(impatient) as (left, right):
            for host in (left, right):
                hosts.start_ray(host, left)
            sweep = right.start(*study.sweep(name, "--ray-address", ADDRESS))
            hosts.until(lambda: len(study.results(name)) >= 2 or sweep.poll() is not None)
            left.off()
            part.figures["cells_finished_before_the_loss"] = len(study.results(name))
            code, messages = hosts.ended(sweep)
            part.count(f"the sweep on the other node ended with exit code {code}")
            if code == 0 or "Traceback" in messages:
                part.fail(f"{name}: exit code {code}: {messages[-300:]}")
        with hosts.two(study.environment) as (left, right):
            hosts.start_ray(left, left)
            code, messages = hosts.ended(left.start(*study.sweep(name, "--ray-address", ADDRESS)))
            if code:
                part.fail(f"{name}, resumed: exit code {code}: {messages[-300:]}")
        compare(part, study, name)


@pytest.mark.parametrize(
    ("stranger", "variables"),
    [
        ("no token", {"RAY_AUTH_MODE": "disabled"}),
        ("another token", {"RAY_AUTH_TOKEN": "3" * 64, "RAY_AUTH_TOKEN_PATH": ""}),
    ],
)
def test_a_process_without_the_token_is_refused(
    stranger: str,
    variables: dict[str, str],
    study: Study,
    outcomes: Callable[[str], Outcomes],
) -> None:
    name = stranger.replace(" ", "-")
    with outcomes(f"two-nodes-{name}") as part, hosts.two(study.environment) as (left, right):
        hosts.start_ray(left, left)
        words = study.sweep(name, "--ray-address", ADDRESS)
        code, messages = hosts.ended(right.start(*words, **variables))
        if code != 2 or messages.count("\n") > 1 or "could not be joined" not in messages:
            part.fail(f"{stranger}: exit code {code}: {messages[-300:]}")
        part.count(f"{stranger}: exit code {code}, one sentence")
        assert not (study.folder / name).exists() or not study.results(name)


def test_a_node_without_the_shared_folder_is_named(
    study: Study, outcomes: Callable[[str], Outcomes]
) -> None:
    name = "not-shared"
    with outcomes("two-nodes-not-shared") as part, hosts.two(study.environment) as (left, right):
        (study.folder / name).mkdir()
        right.command("mount", "-t", "tmpfs", "tmpfs", str(study.folder / name))
        for host in (left, right):
            hosts.start_ray(host, left)
        code, _ = hosts.ended(left.start(*study.sweep(name, "--ray-address", ADDRESS)))
        reasons = [kills.content(path)["reason"] for path in study.results(name)]
        refused = [reason for reason in reasons if reason is not None]
        is_named = all("node right does not see" in reason for reason in refused)
        if code == 1 and refused and is_named:
            part.count("sweeps that name the node")
        else:
            part.fail(f"exit code {code}, reasons {refused[:1]}")


def test_shards_need_no_ray_and_a_lost_node_is_resumed(
    study: Study, outcomes: Callable[[str], Outcomes]
) -> None:
    name = "shards"
    with outcomes("two-nodes-shards") as part, hosts.two(study.environment) as (left, right):
        sweeps = [
            host.start(*study.sweep(name, "--shard", f"{number}/2"))
            for number, host in enumerate((left, right), start=1)
        ]
        hosts.until(lambda: len(study.results(name)) >= len(study.results("alone")) // 3)
        assert sweeps[1].poll() is None, "the shard ended before its node was lost"
        right.off()
        part.figures["cells_finished_before_the_loss"] = len(study.results(name))
        again = left.start(*study.sweep(name, "--shard", "2/2"))
        for sweep in (sweeps[0], again):
            code, messages = hosts.ended(sweep)
            if code:
                part.fail(f"{name}: exit code {code}: {messages[-300:]}")
        compare(part, study, name)


TRAINING = [
    "run", "--method", "scratch", "--data", "digits", "--shots", "8", "--seeds", "1", "--quiet",
    "--backbone", "conv4", "--set", "backbone.options.width=8", "--set", "precision=float32",
    "--set", "train.batch_size=16", "--set", "train.log_every_epochs=20",
    "--set", "validation.share=0.25", "--set", "select=holdout", "--set", "train.steps=300",
]  # fmt: skip


def torchrun(out: Path, *options: str) -> Sequence[str]:
    """Return the words of a training by several processes, started by torchrun."""
    command = hosts.fewshot(*TRAINING, "--out", str(out))
    return ["-m", "torch.distributed.run", *options, *command]


def together(nodes: Sequence[Host], n_processes: int, out: Path) -> list[subprocess.Popen[str]]:
    """Start one training on these hosts, with so many processes on each."""
    shape = ["--nnodes", str(len(nodes)), "--nproc-per-node", str(n_processes)]
    meeting = ["--master-addr", nodes[0].address, "--master-port", "29500"]
    return [
        host.start(
            *torchrun(out, *shape, "--node-rank", str(rank), *meeting),
            GLOO_SOCKET_IFNAME=hosts.DEVICE,
        )
        for rank, host in enumerate(nodes)
    ]


def trained(out: Path) -> dict[str, object]:
    """Return the record and all files of the trial of a finished training."""
    (record,) = out.glob("*/record.json")
    folder = record.parent
    files = {path.name: kills.content(path) for path in folder.glob("trial-0/*")}
    return {**files, "record.json": kills.content(record)}


@pytest.mark.parametrize("loss", [None, Host.off, Host.unplug], ids=["none", "off", "unplugged"])
def test_one_training_on_two_nodes(
    loss: Callable[[Host], None] | None,
    tmp_path: Path,
    outcomes: Callable[[str], Outcomes],
    request: pytest.FixtureRequest,
) -> None:
    case = request.node.callspec.id
    with outcomes(f"two-nodes-torchrun-{case}") as part:
        environment = {"FEWSHOT_CACHE": str(tmp_path / "cache")}
        with hosts.two(environment) as (left, _):
            (on_one,) = together([left], 2, tmp_path / "one")
            code, messages = hosts.ended(on_one)
            assert code == 0, messages
        with hosts.two(environment) as (left, right):
            if loss is not None:
                both = together([left, right], 1, tmp_path / "two")
                hosts.until(lambda: bool(list(tmp_path.glob("two/*/trial-0/metrics.jsonl"))))
                loss(right)
                lost_at = time.monotonic()
                code, messages = hosts.ended(both[0])
                part.figures["seconds_until_the_other_node_ended"] = time.monotonic() - lost_at
                sentences = [line for line in messages.splitlines() if "fewshot: " in line]
                if not code or len(sentences) != 1 or "same command resumes" not in sentences[0]:
                    part.fail(f"exit code {code}: {messages[-500:]}")
                part.count("losses that the other node names in one sentence")
        with hosts.two(environment) as (left, right):
            for process in together([left, right], 1, tmp_path / "two"):
                code, messages = hosts.ended(process)
                if code:
                    part.fail(f"exit code {code}: {messages[-300:]}")
        one, two = trained(tmp_path / "one"), trained(tmp_path / "two")
        for name in kills.differences(one, two):
            part.fail(f"{name} differs between one node and two")
        part.count("trainings bit-equal to one node with two processes")
