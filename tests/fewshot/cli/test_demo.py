"""Oracle: exit codes and messages of the command line, and a request to the page."""

from __future__ import annotations

import importlib.util
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from tests.fewshot.cli.command import fewshot


def test_without_gradio_the_message_says_what_to_install(monkeypatch, capsys) -> None:
    real = importlib.util.find_spec

    def find_spec(name: str) -> ModuleSpec | None:
        return None if name == "gradio" else real(name)

    monkeypatch.setattr("fewshot.app.server.find_spec", find_spec)
    assert fewshot("demo --no-browser", monkeypatch) == 2
    assert "pip install 'fewshot[demo]'" in capsys.readouterr().err


def test_a_port_that_is_taken_is_an_error(monkeypatch, capsys) -> None:
    pytest.importorskip("gradio", reason="the page needs Gradio")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert fewshot(f"demo --no-browser --port {port}", monkeypatch) == 2
    assert f"port {port} cannot be used" in capsys.readouterr().err


def test_a_place_that_does_not_exist_is_an_error(monkeypatch, capsys, tmp_path: Path) -> None:
    pytest.importorskip("gradio", reason="the page needs Gradio")
    assert fewshot(f"demo {tmp_path / 'photos'} --no-browser", monkeypatch) == 2
    assert "photos does not exist" in capsys.readouterr().err


@pytest.mark.slow
def test_the_page_is_served_until_ctrl_c(tmp_path: Path) -> None:
    pytest.importorskip("gradio", reason="the page needs Gradio")
    command = [sys.executable, "-m", "fewshot", "demo", "--no-browser", "--quiet"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        line = process.stdout.readline()
        address = re.match(r"http://127\.0\.0\.1:\d+/", line)
        assert address is not None, process.stderr.read()
        with urllib.request.urlopen(address[0], timeout=60) as answer:
            assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
        assert process.stderr.read() == ""
