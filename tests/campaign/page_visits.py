"""Serve the page of `fewshot demo` and visit it as its own browser and as other sites would.

`tests.campaign.test_page` starts this file in a network namespace. The visits are made by a thread,
because the server, which handles signals, has to run in the main thread.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fewshot.app import server
from fewshot.app.guard import App, Guard
from tests.campaign import black_hole
from tests.campaign.black_hole import Watch

SECONDS = 10  # in which the page stays open, for what it would send later
OTHER_SITES = {
    "foreign host": {"Host": "evil.example"},
    "host without the port": {"Host": "127.0.0.1"},
    "name that points here": {"Host": "127.0.0.1.nip.example:{port}"},
    "foreign origin": {"Origin": "https://evil.example"},
    "opaque origin": {"Origin": "null"},
    "another port's origin": {"Origin": "http://127.0.0.1:1"},
    "image on another site": {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    "image on another port's page": {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"},
    "web socket": {"Upgrade": "websocket", "Connection": "Upgrade", "Origin": "http://evil"},
}
_OUTSIDE = re.compile(rb"(?:src|href)=[\"']?(https?:)?//(?!127\.0\.0\.1)[^\"' >]+")


class _Seen:
    """The guard that the server made, and its application."""

    guard: Guard | None = None


class _Watched(Guard):
    def __init__(self, app: App, port: int, largest: int) -> None:
        super().__init__(app, port, largest)
        _Seen.guard = self


def routes(app: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the method and the path of all routes of an application and of what it mounts."""
    for route in app.routes:
        path = prefix + getattr(route, "path", "")
        # What is mounted, or an included router, which is FastAPI's own class without a path.
        inner = getattr(route, "original_router", getattr(route, "app", None))
        if hasattr(inner, "routes"):
            yield from routes(inner, path.rstrip("/"))
        else:
            for method in sorted(getattr(route, "methods", None) or {"GET"}):
                yield method, re.sub(r"\{[^}]*\}", "x", path) or "/"


def _status(port: int, method: str, path: str, headers: dict[str, str]) -> tuple[int, bytes]:
    """Return the status and the body of an answer; -1 if the connection is closed instead."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read(2**20)
    except (ConnectionError, http.client.HTTPException):
        return -1, b""
    finally:
        connection.close()


def _answers_from_outside(port: int) -> bool:
    """Return whether the page can be reached at the address of the network card."""
    try:
        socket.create_connection(("10.99.0.2", port), timeout=5).close()
    except OSError:
        return False
    return True


def _visit(result: dict[str, Any], watch: Watch) -> None:
    """Make all visits and note what came of them."""
    while _Seen.guard is None:
        time.sleep(0.1)
    guard = _Seen.guard
    port = int(next(iter(guard.hosts)).rsplit(":", 1)[1])
    deadline = time.monotonic() + 120
    while (home := _status(port, "GET", "/", {}))[0] != 200 and time.monotonic() < deadline:
        time.sleep(0.2)
    result["own page"] = home[0]
    result["outside references"] = [match.decode() for match in _OUTSIDE.findall(home[1])]
    result["refused"], result["answered"] = 0, []
    result["routes"] = sorted(set(routes(guard.app)))
    for method, path in result["routes"]:
        for name, headers in OTHER_SITES.items():
            own = {key: text.format(port=port) for key, text in headers.items()}
            status, _ = _status(port, method, path, own)
            if status == 403 or (name == "web socket" and status in (-1, 400, 404, 426)):
                result["refused"] += 1
            else:
                result["answered"].append(f"{name}: {method} {path}: {status}")
    result["listening"] = sorted(black_hole.listening_beyond_here())
    result["from outside"] = _answers_from_outside(port)
    time.sleep(SECONDS)
    result["sent"] = watch.sent


def _main(folder: str, answer: str) -> None:
    """Serve the page with the photos of a folder, visit it, end it, and write what came of it."""
    result: dict[str, Any] = {"error": None}
    watch = Watch()
    server.Guard = _Watched  # type: ignore[misc]

    def visit() -> None:
        try:
            _visit(result, watch)
        except Exception as error:
            result["error"] = repr(error)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=visit, daemon=True).start()
    server.serve([Path(folder)], None, False, "cpu")
    Path(answer).write_text(json.dumps(result))


if __name__ == "__main__":
    _main(*sys.argv[1:])
