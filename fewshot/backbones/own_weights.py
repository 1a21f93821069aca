"""Weights of our own networks: those that ship with the package, files that `pretrain` wrote, bodies of runs."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from fewshot.errors import UserError

SHIPPED = Path(__file__).parent / "weights"
ABOUT = "fewshot"  # the key of the metadata
BODY, FINISH = (
    "backbone.body.",
    "backbone.finish.",
)  # where a learner keeps the body and the map of its features


def shipped(name: str) -> Path | None:
    """The file of a network's weights inside the package, None where there is none."""
    path = SHIPPED / f"{name}.safetensors"
    return path if path.is_file() else None


def packed(
    body: Mapping[str, Tensor],
    finish: Mapping[str, Tensor],
    name: str,
    options: Mapping[str, Any],
    card: Mapping[str, Any],
) -> bytes:
    """A file of a body's state and what follows it: filters and matrices in half precision, the card as metadata.

    options: all of the network's, so that a default that changes later does not change what the file is for.
    """
    body = {**body, **{f"{FINISH}{key}": each for key, each in finish.items()}}
    halved = {key: each.half() if each.ndim > 1 else each for key, each in body.items()}
    if not all(bool(each.isfinite().all()) for each in halved.values()):
        raise UserError(
            "the weights are beyond the range of half precision: train with a lower rate or more decay."
        )
    about = {"backbone": name, "options": dict(options), "card": dict(card)}
    # one key: safetensors writes several in an order that changes, and the same weights are to be the same file
    return to_bytes(
        {key: each.contiguous() for key, each in halved.items()}, {ABOUT: json.dumps(about)}
    )


def body_of(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The part of a learner's state that is the backbone's body, under the body's own names."""
    return {key.removeprefix(BODY): each for key, each in state.items() if key.startswith(BODY)}


def content_hash(path: Path) -> str:
    """Hash of a file's weights: of a .safetensors file without its metadata, of another whole."""
    content = path.read_bytes()
    with contextlib.suppress(ValueError):  # what is no such file is refused when it is loaded
        end = 8 + int.from_bytes(content[:8], "little")
        tensors = {
            key: each for key, each in json.loads(content[8:end]).items() if key != "__metadata__"
        }
        return hashlib.sha256(
            json.dumps(tensors, sort_keys=True).encode() + content[end:]
        ).hexdigest()
    return hashlib.sha256(content).hexdigest()


def card(path: Path) -> dict[str, Any]:
    """What a file that `packed` made says of itself; empty for another file."""
    return _about(path).get("card", {})


def _about(path: Path) -> dict[str, Any]:
    with safe_open(path, "pt") as file:
        return json.loads((file.metadata() or {}).get(ABOUT, "{}"))


def network_of(path: Path) -> tuple[str, dict[str, Any]]:
    """Name and options of the network that a file of `packed` is for."""
    with _reading(path):
        about = _about(path)
    if "backbone" not in about:
        raise UserError(
            f"{path} does not say which network it is for: name a file that `fewshot pretrain` wrote."
        )
    return about["backbone"], about["options"]


def load(body: nn.Module, path: Path, name: str, options: Mapping[str, Any]) -> dict[str, Tensor]:
    """Load the body's weights from a file of them, or from the model.safetensors of a run.

    options: all of the network's, as `packed` keeps them.
    What is returned follows the body: the tensors of a map of its features, or nothing.
    Raises UserError where the file is missing, broken, or of another network.
    """
    with _reading(path):
        about, state = _about(path), load_file(path)
    asked = json.loads(json.dumps(dict(options)))
    # files of before options were kept in full leave defaults out
    made_for = (about.get("backbone", name), {**asked, **about.get("options", {})})
    if made_for != (name, asked):
        raise UserError(
            f"{path} holds weights of '{made_for[0]}' with options {made_for[1]}, not of '{name}' with "
            f"{asked}: name that backbone and those backbone.options."
        )
    state = {key: _full(each) for key, each in state.items()}
    finish = {
        key.removeprefix(FINISH): state.pop(key) for key in list(state) if key.startswith(FINISH)
    }
    try:
        body.load_state_dict(body_of(state) or state)
    except RuntimeError as error:
        raise UserError(
            f"{path} does not hold weights of '{name}' with these options: {' '.join(str(error).split())[:200]}"
        ) from None
    return finish


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    """A file that is missing or broken is told in a sentence."""
    if not path.is_file():
        raise UserError(
            f"the weights file {path} does not exist: name a .safetensors file, or use weights: none."
        )
    try:
        yield
    except Exception as error:
        raise UserError(
            f"{path} cannot be read as a .safetensors file ({' '.join(str(error).split())[:120]}): "
            "it is cut short or another kind of file; copy it again."
        ) from None


def _full(weights: Tensor) -> Tensor:
    return weights.float() if weights.dtype in (torch.float16, torch.bfloat16) else weights
