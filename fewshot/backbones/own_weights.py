"""Weight files of our own networks, in the package, from `fewshot pretrain` and from runs."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from episodes.datasets.stamps import stamp
from episodes.errors import DAMAGED_JSON
from fewshot.errors import UserError, one_line

SHIPPED = Path(__file__).parent / "weights"
METADATA_KEY = "fewshot"
# Prefixes of the names of a learner's state, for the body and for the map from it to the features.
BODY, FINISH = "backbone.body.", "backbone.finish."


def shipped(name: str) -> Path | None:
    """Return the file of a network's weights inside the package, or None if there is none."""
    path = SHIPPED / f"{name}.safetensors"
    return path if path.is_file() else None


def pack(
    body: Mapping[str, Tensor],
    finish: Mapping[str, Tensor],
    name: str,
    options: Mapping[str, Any],
    card: Mapping[str, Any],
    input_size: int | None = None,
) -> bytes:
    """Return the content of a weights file; filters and matrices are stored in half precision.

    Args:
        body: state of the network.
        finish: state of the `Finish` that follows it; empty for none.
        name: name of the network.
        options: all options of the network, so that the file stays valid if a default changes.
        card: how the weights were made, for the metadata.
        input_size: side in pixels of the images that the network was trained on; None for its own.

    Raises:
        UserError: if a weight is beyond the range of half precision.
    """
    state = {**body, **{f"{FINISH}{key}": tensor for key, tensor in finish.items()}}
    halved = {key: tensor.half() if tensor.ndim > 1 else tensor for key, tensor in state.items()}
    if not all(bool(tensor.isfinite().all()) for tensor in halved.values()):
        raise UserError(
            "the weights are beyond the range of half precision: train with a lower learning rate "
            "or more weight decay."
        )
    about: dict[str, Any] = {"backbone": name, "options": dict(options), "card": dict(card)}
    if input_size is not None:
        about["input_size"] = input_size
    tensors = {key: tensor.contiguous() for key, tensor in halved.items()}
    # A single metadata key: safetensors writes several in a varying order, and equal weights should
    # give equal files.
    return to_bytes(tensors, {METADATA_KEY: json.dumps(about)})


def body_of(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the state of the body within a learner's state, under the body's own names."""
    return {key.removeprefix(BODY): value for key, value in state.items() if key.startswith(BODY)}


def content_hash(path: Path) -> str:
    """Return the SHA-256 of a file's weights.

    The metadata of a .safetensors file does not count. Any other file is hashed as a whole. A file
    that has not changed is read once in a process.

    Raises:
        UserError: there is no such file.
    """
    if not path.is_file():
        raise UserError(
            f"the weights file {path} does not exist: name a file, or use weights: "
            "pretrained or none."
        )
    return _content_hash(path, stamp(path.stat()))


@lru_cache(maxsize=64)
def _content_hash(path: Path, state: str) -> str:
    """Return the hash of a file in this state, which belongs to the key of the cache."""
    content = path.read_bytes()
    # Anything else than a .safetensors file is reported when it is loaded.
    with contextlib.suppress(*DAMAGED_JSON, AttributeError):
        end = 8 + int.from_bytes(content[:8], "little")
        header = json.loads(content[8:end])
        tensors = {key: value for key, value in header.items() if key != "__metadata__"}
        described = json.dumps(tensors, sort_keys=True).encode()
        return hashlib.sha256(described + content[end:]).hexdigest()
    return hashlib.sha256(content).hexdigest()


def card(path: Path) -> dict[str, Any]:
    """Return how the weights of a file of `pack` were made; empty for any other file."""
    try:
        return _metadata(path).get("card", {})
    except SafetensorError:  # weights of a timm model that torch saved
        return {}


def _metadata(path: Path) -> dict[str, Any]:
    with safe_open(path, "pt") as file:
        return json.loads((file.metadata() or {}).get(METADATA_KEY, "{}"))


def network_of(path: Path) -> tuple[str, dict[str, Any]]:
    """Return the name and the options of the network that a file of `pack` belongs to.

    Raises:
        UserError: if the file is missing, cannot be read, or does not name its network.
    """
    with _readable(path):
        metadata = _metadata(path)
    if "backbone" not in metadata:
        raise UserError(
            f"{path} does not say which network it is for: name a file that `fewshot pretrain` "
            "wrote."
        )
    return metadata["backbone"], metadata["options"]


def input_size_of(path: Path) -> int | None:
    """Return the `input_size` of a file of `pack`; None for the network's own."""
    return _metadata(path).get("input_size")


def without_finish(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a file of `pack` that belong to the body."""
    return {key: tensor for key, tensor in state.items() if not key.startswith(FINISH)}


def classifier_of(path: Path) -> nn.Linear | None:
    """Return the classifier of the body's features in a file of `pack`; None if it has none."""
    state = load_file(path)
    if FINISH + "weight" not in state:
        return None
    weight, bias = (_single_precision(state[FINISH + key]) for key in ("weight", "bias"))
    classifier = nn.Linear(weight.shape[1], weight.shape[0])
    classifier.load_state_dict({"weight": weight, "bias": bias})
    return classifier


def load(body: nn.Module, path: Path, name: str, options: Mapping[str, Any]) -> dict[str, Tensor]:
    """Load the weights of a body from a weights file or from the model.safetensors of a run.

    Args:
        body: the network to load into.
        path: the file.
        name: name of the network.
        options: all options of the network, as `pack` stores them.

    Returns:
        The state of the `Finish` that follows the body; empty if the file has none.

    Raises:
        UserError: if the file is missing, cannot be read, or belongs to another network.
    """
    with _readable(path):
        metadata, state = _metadata(path), load_file(path)
    options = json.loads(json.dumps(dict(options)))
    # Older files store only the options that differ from the defaults.
    options_of_file = {**options, **metadata.get("options", {})}
    name_of_file = metadata.get("backbone", name)
    if (name_of_file, options_of_file) != (name, options):
        raise UserError(
            f"{path} holds weights of '{name_of_file}' with options {options_of_file}, not of "
            f"'{name}' with {options}: name that backbone and those backbone.options."
        )
    state = {key: _single_precision(tensor) for key, tensor in state.items()}
    finish = {
        key.removeprefix(FINISH): state.pop(key) for key in list(state) if key.startswith(FINISH)
    }
    try:
        body.load_state_dict(body_of(state) or state)
    except RuntimeError as error:
        raise UserError(
            f"{path} does not hold weights of '{name}' with these options: {one_line(error)}"
        ) from None
    return finish


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Raise a UserError if the file is missing or if reading it inside the block fails."""
    if not path.is_file():
        raise UserError(
            f"the weights file {path} does not exist: name a .safetensors file, or use weights: "
            "none."
        )
    try:
        yield
    except Exception as error:
        reason = one_line(error, longest=120)
        raise UserError(
            f"{path} cannot be read as a .safetensors file ({reason}): it is incomplete or another "
            "kind of file; copy it again."
        ) from None


def _single_precision(weights: Tensor) -> Tensor:
    return weights.float() if weights.dtype in (torch.float16, torch.bfloat16) else weights
