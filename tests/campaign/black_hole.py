"""Run commands where every packet to another machine is counted, and none is answered.

`run` starts this file in a network namespace of its own. Its one way out is a pair of virtual
network cards whose other end discards everything, and the name server is behind it too. A command
that asks for the network is therefore seen, whatever code opens the socket, and waits as long as it
would behind the worst firewall. The commands run in one process, because each import costs seconds.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from glob import glob
from itertools import chain
from pathlib import Path
from typing import NamedTuple

CARD, SINK = "out0", "sink0"
SET_UP = f"""
set -e
sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
ip link set lo up
ip link add {CARD} type veth peer name {SINK}
ip addr add 10.99.0.2/24 dev {CARD}
ip link set {SINK} up
ip link set {CARD} up
ip neigh replace 10.99.0.1 lladdr 02:00:00:00:00:01 dev {CARD} nud permanent
ip route add default via 10.99.0.1 dev {CARD}
mount --bind "$1" /etc/resolv.conf
shift
exec "$@"
"""
OF_OTHERS = ("FEWSHOT_", "HF_", "TORCH_", "XDG_", "RAY_", "GRADIO_", "WANDB_", "http", "HTTP")
HERE = ("127.", "localhost", "::1", "0.0.0.0", "10.99.0.2", "/")  # as names and addresses begin
SECONDS_OF_COMMAND = 600  # after which it counts as hanging


class Answer(NamedTuple):
    """How a command ended.

    Attributes:
        arguments: the command.
        code: its exit code; None for an exception that it does not turn into one.
        output: what it printed to stdout.
        messages: what it printed to stderr.
        sent: where packets went that left this machine meanwhile; of a question to the name
            server, the name.
        asked: what Python code looked up or connected to, other than this machine.
        listened: addresses other than 127.0.0.1 at which a process listened, in hexadecimal.
        seconds: time that it took.
    """

    arguments: list[str]
    code: int | None
    output: str
    messages: str
    sent: list[str]
    asked: list[str]
    listened: list[str]
    seconds: float

    def __str__(self) -> str:
        command = " ".join(self.arguments)
        network = f"sent {self.sent}, asked {self.asked}, listened {self.listened}"
        return f"{command}: exit code {self.code}, {network}, {self.messages.strip()!r}"


def reason_to_skip() -> str | None:
    """Return why this machine cannot make the namespace; None if it can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "network namespaces need Linux and root"
    with tempfile.TemporaryDirectory(prefix="fewshot-black-hole-") as folder:
        tried = subprocess.run(inside(Path(folder), ["true"]), capture_output=True, text=True)
    return f"no network namespace: {tried.stderr.strip()[-200:]}" if tried.returncode else None


def inside(folder: Path, command: Sequence[str]) -> list[str]:
    """Return what runs a command in the namespace; it writes a file to the folder."""
    resolver = folder / "resolv.conf"
    resolver.write_text("nameserver 10.99.0.1\n")
    return ["unshare", "-n", "-m", "bash", "-c", SET_UP, "bash", str(resolver), *command]


def environment(folder: Path) -> dict[str, str]:
    """Return the environment of a user whose home is in a folder, so that no cache has a file."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    own = {key: text for key, text in os.environ.items() if not key.startswith(OF_OTHERS)}
    paths = os.pathsep.join(filter(None, [os.getcwd(), os.environ.get("PYTHONPATH")]))
    return {**own, "HOME": str(home), "PYTHONPATH": paths, "FEWSHOT_CACHE": str(folder / "cache")}


def run(commands: Sequence[Sequence[str]], folder: Path, *, outside: bool = False) -> list[Answer]:
    """Run commands one after the other in one process, and return how each ended.

    Args:
        commands: the arguments of each command; one with `*` stands for the paths of that pattern.
        folder: the existing folder in which they run.
        outside: run them with the network that this machine has.
    """
    jobs, answers = folder / "commands.json", folder / "answers.json"
    jobs.write_text(json.dumps([list(command) for command in commands]))
    answers.unlink(missing_ok=True)
    python = [sys.executable, "-m", "tests.campaign.black_hole", str(jobs), str(answers)]
    process = subprocess.Popen(
        python if outside else inside(folder, python),
        cwd=folder,
        env=environment(folder),
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        _, messages = process.communicate(timeout=SECONDS_OF_COMMAND * len(commands))
    finally:
        with suppress(ProcessLookupError):  # also what a command left behind
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, messages[-2000:]
    return [Answer(**one) for one in json.loads(answers.read_text())]


class Watch:
    """Threads that watch the network of this process's namespace.

    Attributes:
        sent: where packets went that left through the card, as in `Answer`.
        listened: where processes listened, as in `Answer`.
    """

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.listened: set[str] = set()
        names = [name for _, name in socket.if_nameindex()]
        if SINK in names:
            threading.Thread(target=self._read_packets, daemon=True).start()
            threading.Thread(target=self._read_sockets, daemon=True).start()

    def _read_packets(self) -> None:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(3)) as sink:
            sink.bind((SINK, 0))
            while True:
                self.sent.append(_destination(sink.recv(65536)))

    def _read_sockets(self) -> None:
        while True:
            self.listened |= listening_beyond_here()
            time.sleep(0.2)


def _destination(packet: bytes) -> str:
    """Return where an Ethernet packet goes; the name of a question to the name server."""
    internet = packet[14:]
    header = 4 * (internet[0] & 15)
    address, is_udp = ".".join(map(str, internet[16:20])), internet[9] == socket.IPPROTO_UDP
    if not is_udp or int.from_bytes(internet[header + 2 : header + 4]) != 53:
        return address
    question, labels = internet[header + 8 + 12 :], []
    while question[0]:
        labels.append(question[1 : question[0] + 1].decode("latin-1"))
        question = question[question[0] + 1 :]
    return ".".join(labels)


def listening_beyond_here() -> set[str]:
    """Return where processes of this namespace listen, but for 127.0.0.1, in hexadecimal."""
    places = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/self/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *_ = line.split()
            if state == "0A" and not local.startswith("0100007F:"):
                places.add(local)
    return places


def _asked_of(event: str, values: tuple[object, ...]) -> str | None:
    """Return which other machine an audit event is about; None for none."""
    if event == "socket.getaddrinfo":
        place = str(values[0])
    elif event in ("socket.connect", "socket.sendto"):
        address = values[1]
        place = str(address[0]) if isinstance(address, tuple) else "/a file"
    else:
        return None
    return None if place.startswith(HERE) or place == "None" else f"{event} {place}"


def _answer(arguments: list[str], asked: list[str], watch: Watch) -> Answer:
    """Run one command in this process, whose stdout and stderr go to files meanwhile."""
    from fewshot.cli import main

    for seen in (asked, watch.sent, watch.listened):
        seen.clear()
    started, code = time.perf_counter(), None
    terminal = [os.dup(1), os.dup(2)]
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as messages:
        os.dup2(output.fileno(), 1)
        os.dup2(messages.fileno(), 2)
        paths = [sorted(glob(one)) if "*" in one else [one] for one in arguments]
        sys.argv = ["fewshot", *chain.from_iterable(paths)]
        signal.alarm(SECONDS_OF_COMMAND)
        try:
            main.main()
        except SystemExit as end:
            code = int(end.code or 0)
        except BaseException as error:  # what a user would see as a traceback
            os.write(2, f"{type(error).__name__}: {error}".encode())
        finally:
            signal.alarm(0)
            sys.stdout.flush()
            for number, copy in enumerate(terminal, start=1):
                os.dup2(copy, number)
                os.close(copy)
        seconds = time.perf_counter() - started
        output.seek(0)
        messages.seek(0)
        texts = [file.read().decode(errors="replace") for file in (output, messages)]
    network = list(watch.sent), list(asked), sorted(watch.listened)
    return Answer(arguments, code, *texts, *network, seconds)


def _main(jobs: Path, answers: Path) -> None:
    """Run the commands of a file, and write how they ended to another."""
    asked: list[str] = []

    def listen(event: str, values: tuple[object, ...]) -> None:
        place = _asked_of(event, values) if event.startswith("socket.") else None
        if place is not None:
            asked.append(place)

    sys.addaudithook(listen)
    ended, watch = [], Watch()
    for arguments in json.loads(jobs.read_text()):
        ended.append(_answer(arguments, asked, watch)._asdict())
        answers.write_text(json.dumps(ended))


if __name__ == "__main__":
    _main(*map(Path, sys.argv[1:]))
