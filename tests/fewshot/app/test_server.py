"""Oracle: sockets, and answers of the real application to requests that are written by hand."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from fewshot.app import server
from fewshot.errors import UserError
from fewshot.model import file_format
from tests.fewshot.model import own_photos


def test_only_this_machine_can_connect() -> None:
    with server.listen(None) as own:
        assert own.getsockname()[0] == "127.0.0.1"


def test_a_taken_port_is_passed_over_unless_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        monkeypatch.setattr(server, "FIRST_PORT", port)
        with server.listen(None) as own:
            assert own.getsockname()[1] > port
        with pytest.raises(UserError, match=f"port {port} cannot be used .*--port"):
            server.listen(port)
        monkeypatch.setattr(server, "N_PORTS", 1)
        with pytest.raises(UserError, match="none of the ports"):
            server.listen(None)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_the_server_starts_ends_it_too(number: int) -> None:
    pytest.importorskip("uvicorn", reason="the page needs Gradio, which brings uvicorn")

    async def app(scope: object, receive: object, send: object) -> None:
        raise NotImplementedError  # uvicorn then knows that the application has no start of its own

    before = signal.getsignal(number)
    with server.listen(None) as own, server._ended_by_signals(server._uvicorn(app)) as page:
        signal.raise_signal(number)
        page.run(sockets=[own])
    assert signal.getsignal(number) is before


def _answer(address: str, path: str, method: str = "GET", **headers: str) -> tuple[int, bytes]:
    """Return the status and the body of the answer to a request."""
    connection = http.client.HTTPConnection(address, timeout=120)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    status, body = answer.status, answer.read()
    connection.close()
    return status, body


@pytest.mark.slow
def test_files_are_served_from_the_own_folder_alone(tmp_path: Path, model: Path) -> None:
    pytest.importorskip("gradio", reason="the page needs Gradio")
    (tmp_path / "secret.txt").write_text("secret")
    photos = own_photos.write(tmp_path / "own", {"red": 2}, first=70) / "red"
    abandoned = tmp_path / "temporary" / "fewshot-page-1.part" / "photos"
    abandoned.mkdir(parents=True)  # by a page that was killed
    command = [sys.executable, "-m", "fewshot", "demo", str(model), str(photos), "--no-browser"]
    environment = {**os.environ, "TMPDIR": str(tmp_path / "temporary")}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        address = process.stdout.readline().split()[0].removeprefix("http://").strip("/")
        small = next((tmp_path / "temporary").glob("fewshot-page-*/photos/*.jpg"))
        status, body = _answer(address, f"/gradio_api/file={small}")
        assert (status, body) == (200, small.read_bytes())
        for path in (tmp_path / "secret.txt", "/etc/passwd", photos / "70.png", small.parent):
            assert _answer(address, f"/gradio_api/file={path}")[0] in (403, 404)
        assert _answer(address, "/gradio_api/proxy=https://example.org/")[0] == 404
        assert _answer(address, "/", Host="example.org")[0] == 403
        for method, path in (("POST", "/gradio_api/upload"), ("GET", "/config")):
            assert _answer(address, path, method, Origin="https://example.org")[0] == 403
        status, body = _answer(address, "/download/predictions.csv")
        assert (status, body.count(b"\n")) == (200, 3)
        (tmp_path / "out.fewshot").write_bytes(_answer(address, "/download/model.fewshot")[1])
        classes = file_format.load(model, "cpu").classes
        assert file_format.load(tmp_path / "out.fewshot", "cpu").classes == classes
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
    assert list((tmp_path / "temporary").iterdir()) == []
    assert len(list(photos.iterdir())) == 2
