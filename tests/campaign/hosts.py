"""Two hosts on one machine: Linux namespaces with a cable between them, and a shared disk.

Each host has its own network, processes, name, shared memory and /mnt. It ends, with everything on
it, when it is switched off or when the test ends for any reason.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMESPACES = ("--net", "--pid", "--mount", "--uts", "--ipc")
TOOLS = ("unshare", "nsenter", "ip", "bash", "taskset")
# The first process of a host; it ends when its stdin does, and the host with it.
INIT = """
hostname {name} && ip link set lo up && mount -t tmpfs tmpfs /dev/shm &&
mount -t tmpfs tmpfs /mnt && echo ready && read
"""
PORT = 6379  # of Ray's head
DEVICE, CABLE = "net0", "cable"  # the first has the address, also without a cable
PATIENCE = 600.0  # seconds of a command on a machine that does much else


class Host:
    """One of two machines.

    Args:
        name: its host name.
        address: its IP address.
        core: the processor core that it has for itself; None for all.
        environment: variables of every command that runs on it.
    """

    def __init__(
        self, name: str, address: str, core: int | None, environment: dict[str, str]
    ) -> None:
        self.name, self.address, self.core = name, address, core
        variables = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "HOME": "/mnt"}
        self.environment = {**os.environ, **variables, **environment}
        words = ["unshare", *NAMESPACES, "--fork", "--kill-child", "--mount-proc", "bash", "-c"]
        self.process = subprocess.Popen(
            [*words, INIT.format(name=name)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n", f"host {name} did not start"
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        self.pid = int(children.read_text())
        self.started: list[subprocess.Popen[str]] = []

    def start(
        self, *words: str, output: int = subprocess.PIPE, **variables: str
    ) -> subprocess.Popen[str]:
        """Start a Python command on this host, in its shared environment."""
        pinned = [] if self.core is None else ["taskset", "-c", str(self.core)]
        enter = ["nsenter", "-t", str(self.pid), "-n", "-p", "-m", "-u", "-i"]
        process = subprocess.Popen(
            [*pinned, *enter, sys.executable, *words],
            env={**self.environment, **variables},
            cwd=ROOT,
            stdout=output,
            stderr=output,
            text=True,
        )
        self.started.append(process)
        return process

    def command(self, *words: str) -> None:
        """Run a program of the system on this host, with the test's files."""
        enter = ["nsenter", "-t", str(self.pid), "-n", "-m"]
        subprocess.run([*enter, *words], check=True, capture_output=True)

    def processes(self, name: str) -> list[int]:
        """Return the processes on this host whose command line begins with a name."""
        space = os.readlink(f"/proc/{self.pid}/ns/pid")
        pids = []
        for folder in Path("/proc").iterdir():
            try:
                if folder.name.isdigit() and os.readlink(folder / "ns" / "pid") == space:
                    words = (folder / "cmdline").read_bytes()
                    pids += [int(folder.name)] if words.startswith(name.encode()) else []
            except OSError:  # it has ended meanwhile
                continue
        return pids

    def listens(self, port: int) -> bool:
        """Return whether a process on this host accepts connections."""
        test = f"exec 3<>/dev/tcp/{self.address}/{port}"
        words = ["nsenter", "-t", str(self.pid), "-n", "bash", "-c", test]
        return subprocess.run(words, stderr=subprocess.DEVNULL).returncode == 0

    def unplug(self) -> None:
        """Pull the cable: no packet arrives or leaves, and everything on the host runs on."""
        self.command("ip", "link", "set", CABLE, "down")

    def off(self) -> None:
        """Switch the host off: all of its processes end at once."""
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()
        for process in self.started:
            process.wait()
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()


def lacking() -> str:
    """Return what this machine lacks for two hosts; empty if nothing."""
    if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
        return f"{missing[0]} is not installed"
    words = ["unshare", *NAMESPACES, "--fork", "--kill-child", "--mount-proc", "true"]
    if subprocess.run(words, capture_output=True).returncode:
        return "namespaces need root"
    return ""


@contextmanager
def two(environment: dict[str, str], cores: bool = False) -> Iterator[tuple[Host, Host]]:
    """Start two hosts with a cable between them, and switch them off at the end.

    Args:
        environment: variables of every command on them.
        cores: whether each has one processor core for itself.
    """
    hosts: list[Host] = []
    try:
        for number, name in enumerate(("left", "right")):
            core = number if cores else None
            hosts.append(Host(name, f"10.77.0.{number + 1}", core, environment))
        left, right = hosts
        ends = [CABLE, "netns", str(left.pid), "type", "veth", "peer", "name", CABLE]
        subprocess.run(["ip", "link", "add", *ends, "netns", str(right.pid)], check=True)
        for host, other in ((left, right), (right, left)):
            host.command("ip", "link", "add", DEVICE, "type", "bridge")
            host.command("ip", "address", "add", f"{host.address}/32", "dev", DEVICE)
            for device in (DEVICE, CABLE):
                host.command("ip", "link", "set", device, "up")
            route = [other.address, "dev", CABLE, "src", host.address]
            host.command("ip", "route", "add", *route)
        yield left, right
    finally:
        for host in hosts:
            host.off()


def start_ray(host: Host, head: Host) -> None:
    """Start Ray on a host, with one processor; the head first."""
    words = ["-m", "ray.scripts.scripts", "start", "--block", "--num-cpus", "1"]
    words += ["--node-ip-address", host.address, "--temp-dir", "/mnt/ray"]
    words += ["--object-store-memory", "100000000", "--disable-usage-stats"]
    if host is head:
        words += ["--head", "--port", str(PORT), "--include-dashboard", "false"]
    else:
        words += ["--address", f"{head.address}:{PORT}"]
    host.start(*words, output=subprocess.DEVNULL)
    until(lambda: bool(host.processes(str(raylet()))) and head.listens(PORT))


def raylet() -> Path:
    """Return the program that Ray runs on every host."""
    ray = pytest.importorskip("ray")
    return Path(ray.__file__).parent / "core" / "src" / "ray" / "raylet" / "raylet"


def until(is_true: Callable[[], bool], seconds: float = PATIENCE) -> None:
    """Wait until something is true.

    Raises:
        TimeoutError: it is not true after so many seconds.
    """
    deadline = time.monotonic() + seconds
    while not is_true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"it did not come true within {seconds:.0f} s")
        time.sleep(0.1)


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for a command and return its exit code and stderr."""
    _, messages = process.communicate(timeout=PATIENCE)
    return process.returncode, messages or ""


def fewshot(*words: str) -> Sequence[str]:
    """Return the words of a command of this checkout."""
    return ["-m", "fewshot", *words]
