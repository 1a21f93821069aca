"""Other machines: whether one can be reached, and downloads that never hang."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import threading
import urllib.request
from collections.abc import Iterator
from urllib.parse import urlsplit

# A working connection is never slower. Without a limit, a missing one is noticed after minutes.
REACH_SECONDS = 5.0
SILENT_SECONDS = 30.0  # in which a server must send something, or a download fails


def answers(url: str) -> bool:
    """Return whether a connection to the host of a URL, or to its proxy, can be made in time."""
    target = urlsplit(_proxy(url) or url)
    port = target.port or (443 if target.scheme == "https" else 80)
    reached = threading.Event()

    async def connect() -> None:
        # All addresses are tried, a quarter of a second apart, so one that never answers does not
        # delay the others.
        _, writer = await asyncio.open_connection(target.hostname, port, happy_eyeballs_delay=0.25)
        reached.set()
        writer.close()

    def attempt() -> None:
        with contextlib.suppress(OSError):
            asyncio.run(asyncio.wait_for(connect(), REACH_SECONDS))

    # A thread, because a name lookup cannot be interrupted and the caller may have a running loop.
    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(REACH_SECONDS)
    return reached.is_set()


def _proxy(url: str) -> str | None:
    """Return the proxy that the environment or the system names for a URL."""
    parts = urlsplit(url)
    if urllib.request.proxy_bypass(parts.hostname or ""):
        return None
    proxies = urllib.request.getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    return proxy if proxy is None or "://" in proxy else f"http://{proxy}"


@contextlib.contextmanager
def downloading() -> Iterator[None]:
    """Let downloads in the block fail with an OSError if the server is silent for too long.

    Python's own never give up. What they print goes to stderr, because stdout is for results.
    """
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SILENT_SECONDS)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        socket.setdefaulttimeout(before)
