"""Fixtures of the tests of backbones."""

from __future__ import annotations

import socket

import pytest


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail the test if it opens a connection or looks up a name."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the test used the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
