"""The ways to write the name of a timm model, made one. Imports nothing heavy."""

from __future__ import annotations

import re

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
