"""Oracle: answers, written by hand, to requests of other sites, other hosts and too many bytes."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from fewshot.app import guard
from fewshot.app.guard import Guard

PORT = 7860
OWN = [(b"host", b"127.0.0.1:7860")]


async def _application(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"page"})


def answer(
    headers: list[tuple[bytes, bytes]], path: str = "/", kind: str = "http", method: str = "GET"
) -> tuple[int, dict[bytes, bytes], bytes]:
    """Return the status, the headers and the body of the answer to a request."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    scope = {"type": kind, "method": method, "path": path, "headers": headers}
    asyncio.run(Guard(_application, PORT, largest=2**20)(scope, receive, send))
    if kind == "websocket":
        return 0, {}, sent[0]["type"].encode()
    return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]


@pytest.mark.parametrize(
    "headers",
    [
        OWN,
        [(b"host", b"localhost:7860")],
        [*OWN, (b"origin", b"http://127.0.0.1:7860"), (b"sec-fetch-site", b"same-origin")],
        [*OWN, (b"sec-fetch-site", b"none")],  # typed by the user
        [*OWN, (b"sec-fetch-site", b"cross-site"), (b"sec-fetch-mode", b"navigate")],
        [*OWN, (b"content-length", b"1048576")],
    ],
)
def test_requests_of_the_page_are_passed_on(headers: list[tuple[bytes, bytes]]) -> None:
    status, sent, body = answer(headers)
    assert (status, body) == (200, b"page")
    assert b"frame-ancestors 'none'" in sent[b"content-security-policy"]
    assert b"http" not in sent[b"content-security-policy"]  # nothing from elsewhere
    assert sent[b"x-content-type-options"] == b"nosniff"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([], 403),
        ([(b"host", b"evil.example:7860")], 403),  # a name that points to 127.0.0.1
        ([(b"host", b"127.0.0.1:7861")], 403),
        ([(b"host", b"127.0.0.1")], 403),
        ([*OWN, (b"host", b"evil.example")], 403),
        ([*OWN, (b"origin", b"https://evil.example")], 403),
        ([*OWN, (b"origin", b"null")], 403),  # a file, or a frame in a sandbox
        ([*OWN, (b"origin", b"http://127.0.0.1:8888")], 403),  # another server here
        ([*OWN, (b"origin", b"https://127.0.0.1:7860")], 403),
        ([*OWN, (b"sec-fetch-site", b"cross-site"), (b"sec-fetch-mode", b"no-cors")], 403),
        ([*OWN, (b"sec-fetch-site", b"same-site"), (b"sec-fetch-mode", b"no-cors")], 403),
        ([*OWN, (b"content-length", b"1048577")], 413),
        ([*OWN, (b"content-length", b"-1")], 400),
        ([*OWN, (b"transfer-encoding", b"chunked")], 411),
    ],
)
def test_other_requests_are_refused(headers: list[tuple[bytes, bytes]], status: int) -> None:
    refused, sent, body = answer(headers, method="POST")
    assert refused == status
    assert json.loads(body)["detail"]
    assert sent[b"content-length"] == b"%d" % len(body)


@pytest.mark.parametrize(
    "path", ["/gradio_api/proxy=https://a.example", "/monitoring", "/gradio_api/vibe-edit"]
)
def test_what_the_page_does_not_use_is_not_there(path: str) -> None:
    assert answer(OWN, path)[0] == 404


def test_web_sockets_are_closed() -> None:
    assert answer(OWN, kind="websocket")[2] == b"websocket.close"


def test_the_server_starts_and_stops_behind_the_guard() -> None:
    seen = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    async def nothing(*_: Any) -> Any:
        return {}

    asyncio.run(guard.Guard(application, PORT, 1)({"type": "lifespan"}, nothing, nothing))
    assert seen == ["lifespan"]
