"""Published weights of timm: whether they are in a local cache or can be downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import torch

from episodes.datasets import network

if TYPE_CHECKING:
    from timm.models import PretrainedCfg


def cached(published: PretrainedCfg) -> Path | None:
    """Return the file of the weights in the hub's local cache, or None if it is not there."""
    from huggingface_hub import try_to_load_from_cache

    if not published.hf_hub_id:
        return None
    repository, _, revision = published.hf_hub_id.partition("@")
    names = [published.hf_hub_filename or "model.safetensors"]
    if not published.hf_hub_filename:
        names.append("pytorch_model.bin")
    for name in names:
        path = try_to_load_from_cache(repository, name, revision=revision or None)
        if isinstance(path, str):
            return Path(path)
    return None


def repository_missing(repository: str, revision: str | None) -> str | None:
    """Return why the configuration of a repository cannot be read, or None if it can be.

    The configuration is in the hub's local cache, or a connection to the hub can be made.
    """
    from huggingface_hub import constants, try_to_load_from_cache

    if isinstance(try_to_load_from_cache(repository, "config.json", revision=revision), str):
        return None
    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    return None if network.answers(constants.ENDPOINT) else f"{constants.ENDPOINT} does not answer"


def unreachable(published: PretrainedCfg) -> str | None:
    """Return why the weights cannot be downloaded, or None if a connection can be made.

    The answer takes seconds. The hub's client on its own retries for most of a minute before it
    reports that there is no network.
    """
    from huggingface_hub import constants

    if not published.hf_hub_id:
        url = published.url[0] if isinstance(published.url, tuple) else published.url
        if url is None:
            return "timm knows no address of them"
        target = urlsplit(url)
        checkpoint = Path(torch.hub.get_dir()) / "checkpoints" / Path(target.path).name
        if checkpoint.is_file() or network.answers(url):
            return None
        return f"{target.hostname} does not answer"
    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set, and they are not in the hub's cache"
    return None if network.answers(constants.ENDPOINT) else f"{constants.ENDPOINT} does not answer"
