"""Oracle: the port and the temporary folder. End `fewshot demo` at random moments."""

from __future__ import annotations

import os
import random
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.campaign import kills
from tests.campaign.conftest import Outcomes
from tests.fewshot.model import own_photos

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="/proc is read")

END_SECONDS = 25.0  # an idle machine needs less than five
CODES = {
    signal.SIGINT: (0, 130),
    signal.SIGTERM: (0, 130),
    signal.SIGKILL: (-signal.SIGKILL,),
}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def is_open(port: int) -> bool:
    """Return whether a program answers at a port of this machine."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def test_an_ended_page_leaves_its_port_and_no_photos(
    tmp_path: Path,
    amount: Callable[[int], int],
    outcomes: Callable[[str], Outcomes],
    seed: int,
) -> None:
    pytest.importorskip("gradio", reason="the page needs Gradio")
    own_photos.write(tmp_path / "photos", {"red": 4, "blue": 4})
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    luck, port = random.Random(f"{seed} demo"), free_port()
    seconds: list[float] = []
    words = ["demo", "photos", "--no-browser", "--port", str(port), "--quiet"]
    with outcomes("kills-demo") as part, kills.Launcher() as launcher:
        for number in range(amount(8)):
            own = (signal.SIGTERM, signal.SIGKILL, signal.SIGINT)[number % 3]
            process = launcher.start(words, tmp_path, environment={"TMPDIR": str(temporary)})
            deadline = time.monotonic() + kills.LONGEST
            while "http" not in process.stdout and process.poll() is None:
                assert time.monotonic() < deadline, process.stderr
                time.sleep(kills.POLL)
            time.sleep(luck.uniform(0, 1))
            connection = socket.create_connection(("127.0.0.1", port))  # a page that is open
            began = time.monotonic()
            process.send(own)
            process.wait(END_SECONDS)
            seconds.append(time.monotonic() - began)
            connection.close()
            left = os.listdir(temporary)
            if process.returncode not in CODES[own] or "Traceback" in process.stderr:
                part.fail(f"{own.name}: exit code {process.returncode}, {process.stderr[-300:]}")
            elif is_open(port):
                part.fail(f"{own.name}: the port is still taken")
            elif len(left) > (own == signal.SIGKILL):
                part.fail(f"{own.name}: {left} is left in the temporary folder")
            else:
                part.count("ended, port free, the next page starts on it")
        part.figures["longest_seconds_to_end"] = round(max(seconds), 1)
        assert not os.listdir(temporary) or own == signal.SIGKILL
