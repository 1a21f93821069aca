"""Published weights: what lies in the caches already, and whether the rest can be had, without a long wait."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch

REACH_SECONDS = (
    5.0  # a connection takes longer only where it would take minutes to learn that there is none
)


def cached(published: Any) -> Path | None:
    """The file of weights in the hub's cache, where it lies there; `published` is timm's pretrained_cfg."""
    from huggingface_hub import try_to_load_from_cache

    if not published.hf_hub_id:
        return None
    repository, _, revision = published.hf_hub_id.partition("@")
    names = (
        (published.hf_hub_filename,)
        if published.hf_hub_filename
        else ("model.safetensors", "pytorch_model.bin")
    )
    found = (try_to_load_from_cache(repository, name, revision=revision or None) for name in names)
    return next((Path(path) for path in found if isinstance(path, str)), None)


def unreachable(published: Any) -> str | None:
    """Why the weights cannot be fetched, known within REACH_SECONDS; None where a connection can be made.

    Left to itself the hub's client tries again for most of a minute before it says that there is no network.
    """
    from huggingface_hub import constants

    if not published.hf_hub_id:
        name = Path(urlsplit(published.url).path).name
        there = (Path(torch.hub.get_dir()) / "checkpoints" / name).is_file()
        return (
            None
            if there or _answers(published.url)
            else f"{urlsplit(published.url).hostname} does not answer"
        )
    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set, and they are not in the hub's cache"
    return None if _answers(constants.ENDPOINT) else f"{constants.ENDPOINT} does not answer"


def _answers(url: str) -> bool:
    """Whether a connection to the url's host, or to the proxy on the way, can be made within REACH_SECONDS."""
    target = urlsplit(_proxy(url) or url)
    port = target.port or (443 if target.scheme == "https" else 80)
    reached = threading.Event()

    async def connect() -> None:
        # All addresses in turn, a quarter of a second apart: one that is never answered does not delay the others.
        _, writer = await asyncio.open_connection(target.hostname, port, happy_eyeballs_delay=0.25)
        reached.set()
        writer.close()

    def attempt() -> None:
        with contextlib.suppress(OSError):
            asyncio.run(asyncio.wait_for(connect(), REACH_SECONDS))

    # In a thread, because looking a name up cannot be interrupted, and because the caller may have a loop running.
    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(REACH_SECONDS)
    return reached.is_set()


def _proxy(url: str) -> str | None:
    """The proxy that the environment or the system names for a url."""
    parts = urlsplit(url)
    if urllib.request.proxy_bypass(parts.hostname or ""):
        return None
    proxies = urllib.request.getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    return proxy if proxy is None or "://" in proxy else f"http://{proxy}"
