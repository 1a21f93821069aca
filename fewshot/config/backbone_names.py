"""The ways to write the name of a network, made one. Imports nothing heavy."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# A page of the hub, such as https://huggingface.co/timm/resnet18.a1_in1k
_PAGE = re.compile(
    r"(?:https?://)?(?:www\.)?(?:huggingface\.co|hf\.co)/([^/\s]+/[^/?#\s]+).*", re.I
)
_HUB = re.compile(r"hf(?:[-_]?hub)?:(?://)?", re.I)
_TIMM = re.compile(r"(?:hf-hub:)?timm[/:]", re.I)


def plain(name: object) -> object:
    """Return the name of a backbone without prefixes that say that it is timm's.

    A repository of another owner on the hub becomes `hf-hub:OWNER/NAME`, which timm reads; a value
    that is not text is returned as it is.
    """
    if not isinstance(name, str):
        return name
    text = name.strip()
    if page := _PAGE.fullmatch(text):
        text = f"hf-hub:{page[1]}"
    text = _HUB.sub("hf-hub:", text, count=1) if _HUB.match(text) else text
    return _TIMM.sub("", text, count=1) if _TIMM.match(text) else text


def parts(name: object) -> list[str]:
    """Return the names of networks that stand side by side, as in "mini-resnet+resnet18".

    The path of a folder after `local-dir:` may contain a plus, so it reaches to the end.
    """
    if not isinstance(name, str):
        return []
    before, prefix, path = name.partition("local-dir:")
    names = before.split("+")
    names[-1] += prefix + path
    return [one.strip() for one in names]


def together(section: Mapping[str, Any]) -> object:
    """Return the name of a section of settings of a backbone, with those that stand beside it."""
    beside = section.get("beside") or ()
    names = [section.get("name"), *(one.get("name") for one in beside)]
    return "+".join(map(str, names)) if beside else names[0]
