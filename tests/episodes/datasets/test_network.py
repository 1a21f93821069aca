"""Oracle: sockets that listen or refuse, and a name server that never answers."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from episodes.datasets import network


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_a_server_answers_until_it_is_closed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}/a/path"
        assert network.answers(address)
    assert not network.answers(address)


def test_a_name_lookup_that_stalls_is_abandoned(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = threading.Event()
    monkeypatch.setattr(network, "REACH_SECONDS", 0.3)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answer.wait(20) and [])
    started = time.monotonic()
    try:
        assert not network.answers("https://never.invalid")
        assert time.monotonic() - started < 3
    finally:
        answer.set()
