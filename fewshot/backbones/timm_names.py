"""The names of timm's models: which exist, and what a wrong one was meant to be."""

from __future__ import annotations

import re
from pathlib import Path

from fewshot.backbones import hub
from fewshot.config import nearest
from fewshot.errors import NotHere, UserError

HUB, FOLDER = "hf-hub:", "local-dir:"  # timm's prefixes of models that are not its own


def check(name: str, own: list[str]) -> None:
    """Raise UserError, with the remedy, unless timm has a model of a name, or can load it.

    Args:
        name: a name of timm, perhaps with the tag of its weights; or a repository of the hub or a
            folder that hold a model of timm.
        own: names of our own networks, which the message for an unknown name proposes too.
    """
    import timm

    if name.startswith(HUB):
        _check_repository(name)
    elif name.startswith(FOLDER):
        if not (Path(name.removeprefix(FOLDER)) / "config.json").is_file():
            raise UserError(
                f"backbone '{name}' is not a folder with a config.json: name one that "
                "timm.models.save_for_hf wrote."
            )
    elif not timm.is_model(name):
        raise UserError(f"unknown backbone '{name}': {_hint(name, own)}")
    else:
        _check_tag(name)


def has_published_weights(name: str) -> bool:
    """Return whether there are pretrained weights of a name that `check` accepts."""
    from timm.models import get_pretrained_cfg

    if name.startswith((HUB, FOLDER)):
        return True
    published = get_pretrained_cfg(name)
    return published is not None and bool(published.has_weights)


def _hint(name: str, own: list[str]) -> str:
    """Return what an unknown name may have been meant to be."""
    import timm

    known = own + timm.list_models()
    spelled = {_letters(one): one for one in reversed(known)}
    last = re.split(r"[/:]", name)[-1]
    base, _, tag = last.partition(".")
    if alike := spelled.get(_letters(last)) or spelled.get(_letters(base)):
        return f"did you mean '{alike}{'.' + tag if tag and _letters(base) in spelled else ''}'?"
    hint = nearest(re.sub(r"[-\s]", "_", base.lower()), known)
    if "/" in name:
        proposal = f"; {hint}" if hint.startswith("did") else "."
        return (
            f"a model of timm has no '/', and a repository of the hub that holds one is named "
            f"{HUB}{name}{proposal}"
        )
    if not hint.startswith("did"):
        return f"own: {', '.join(own)}; all others are timm's (timm.list_models())."
    return hint


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _check_tag(name: str) -> None:
    """Raise UserError if timm has the model but no weights of the tag."""
    import timm

    base, _, tag = name.partition(".")
    tags = [one.partition(".")[2] for one in timm.list_models(f"{base}.*", pretrained=True)]
    if tag and tags and tag not in tags:
        hint = nearest(tag, tags)
        raise UserError(f"backbone '{base}' has no weights of the tag '{tag}': {hint}")


def _check_repository(name: str) -> None:
    """Raise NotHere if a repository is neither in the hub's cache nor to be reached."""
    repository, _, revision = name.removeprefix(HUB).partition("@")
    if "/" not in repository:
        raise UserError(f"backbone '{name}' names no repository: use {HUB}OWNER/NAME.")
    if reason := hub.repository_missing(repository, revision or None):
        raise NotHere(
            f"backbone '{name}' is not in the hub's cache, and {reason}: connect to the hub once, "
            "or use a model of timm."
        )
