"""What stands before the page: only this machine's own browser pages get an answer.

A page of another site could otherwise send requests to the server, either across origins or
through a name that it lets point to 127.0.0.1 (DNS rebinding). The `Host` and `Origin` of each
request are therefore compared with the address of the server. The content security policy makes
the browser load nothing from elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple

# As ASGI defines them: https://asgi.readthedocs.io/en/latest/specs/www.html
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

HOSTS = ("127.0.0.1", "localhost")
# What Gradio offers besides, among it a proxy to other servers.
UNUSED = ("proxy=", "monitoring", "vibe", "custom_component", "run-history", "process_recording")
POLICY = "; ".join(
    (
        "default-src 'self' data: blob:",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'self'",
    )
)
LONGEST_NUMBER = 16  # digits of the length of a request
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


class Refusal(NamedTuple):
    """The answer to a request that is not passed on."""

    status: int
    reason: str


class Guard:
    """An ASGI application that passes on requests of its own pages, and refuses others.

    Args:
        app: the application behind it.
        port: the port of the server.
        largest: bytes that a request may have.
    """

    def __init__(self, app: App, port: int, largest: int) -> None:
        self.app, self.largest = app, largest
        self.hosts = {f"{host}:{port}" for host in HOSTS}
        self.origins = {f"http://{host}" for host in self.hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            await _refuse(scope, send, refusal)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *HEADERS]}
            await send(message)

        await self.app(scope, receive, with_headers)

    def _refusal(self, scope: Scope) -> Refusal | None:
        """Return why a request is refused; None if it is not."""
        if scope["type"] != "http":
            return Refusal(403, "only http is answered")
        headers = [(name, value.decode("latin-1")) for name, value in scope["headers"]]
        hosts = [value for name, value in headers if name == b"host"]
        if len(hosts) != 1 or hosts[0] not in self.hosts:
            return Refusal(403, "this page answers at its own address alone")
        if any(value not in self.origins for name, value in headers if name == b"origin"):
            return Refusal(403, "this page answers no other site")
        if _is_of_other_site(dict(headers)):
            return Refusal(403, "this page answers no other site")
        if any(part in scope["path"] for part in UNUSED):
            return Refusal(404, "the page does not use this")
        values = dict(headers)
        if b"transfer-encoding" in values:
            return Refusal(411, "the length of a request must be known")
        length = values.get(b"content-length", "0")
        if not (length.isdecimal() and len(length) < LONGEST_NUMBER):
            return Refusal(400, "the length of a request is a number")
        if int(length) > self.largest:
            most = self.largest >> 20
            return Refusal(413, f"more than {most} MB at once: drop fewer photos at a time")
        return None


def _is_of_other_site(headers: dict[bytes, str]) -> bool:
    """Return whether the browser says that another page asks, except for a link to this one.

    A page at another port of this machine is of the same site, and of another origin.
    """
    if headers.get(b"sec-fetch-mode") == "navigate":
        return False
    return headers.get(b"sec-fetch-site", "none") not in ("none", "same-origin")


async def _refuse(scope: Scope, send: Send, refusal: Refusal) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    body = json.dumps({"detail": refusal.reason}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    start = {"type": "http.response.start", "status": refusal.status, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": body})
