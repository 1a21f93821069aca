"""Files of weights for timm's networks: read without running code, converted by timm, held to the whole body."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from fewshot.backbones import own_weights
from fewshot.errors import UserError

_ONE_AT_A_TIME = threading.Lock()


def load(body: nn.Module, make: Callable[..., Any], path: Path, name: str) -> Any:
    """The body with the weights of a file, built anew by `make(**keywords of timm.create_model)` where timm converts.

    path: .safetensors, or what torch saved; in timm's layout, in any that timm converts, or of a run. A classifier
    of any size is passed over; apart from it the file holds the body's weights, all of them and nothing else.
    Errors: UserError for a file that is missing, unreadable, of another network, or that asks for code to be run.
    """
    state = _read(path, name)
    if inside := own_weights.body_of(state):
        _fill(nn.Module.load_state_dict, body, inside, path, name)
        return body
    with _held_to_the_body(path, name) as filled:
        try:
            body = make(pretrained=True, pretrained_cfg_overlay={"file": str(path)})
        except UserError:
            raise
        except Exception as error:  # timm's conversion stumbles over what it does not know
            raise _refusal(
                path, name, " ".join(str(error).split())[:200] or type(error).__name__
            ) from None
    if filled != [id(body)]:
        raise _refusal(path, name, "timm did not load it")
    return body


def _read(path: Path, name: str) -> Mapping[str, Any]:
    from timm.models import (
        load_state_dict,
    )  # finds the weights in a training checkpoint; runs no code

    if not path.is_file():
        raise UserError(
            f"the weights file {path} does not exist: name a file, or use weights: none."
        )
    try:
        return load_file(path) if path.suffix == ".safetensors" else load_state_dict(str(path))
    except Exception:
        raise _refusal(path, name, *_why_unreadable(path)) from None


def _why_unreadable(path: Path) -> tuple[str, str]:
    again = "get or save it again"
    if path.suffix == ".safetensors":
        return "it is cut off, or no .safetensors file", again
    try:
        code = torch.serialization.get_unsafe_globals_in_checkpoint(str(path))
    except Exception:  # so it is no pickle that could name any
        code = []
    if code:
        named = ", ".join(sorted(code))
        return (
            f"it asks for code to be run ({named}), which is refused",
            "save its state_dict alone",
        )
    return "it is cut off, or no .safetensors, .pth or .bin file with a state_dict", again


@contextmanager
def _held_to_the_body(path: Path, name: str) -> Iterator[list[int]]:
    """While it lasts, this thread's loading into a model is complete or a UserError; yields ids of models loaded.

    timm passes over missing weights as soon as the classifier differs, for some networks always, and offers no way
    to its conversion but the loading itself; so its one call of load_state_dict is watched.
    """
    plain, here = nn.Module.load_state_dict, threading.get_ident()
    filled: list[int] = []

    def watched(module: nn.Module, state: Mapping[str, Any], *rest: Any, **more: Any) -> Any:
        if threading.get_ident() != here:
            return plain(module, state, *rest, **more)
        filled.append(id(module))
        return _fill(plain, module, state, path, name)

    with _ONE_AT_A_TIME:
        nn.Module.load_state_dict = watched  # type: ignore[method-assign, assignment]
        try:
            yield filled
        finally:
            nn.Module.load_state_dict = plain  # type: ignore[method-assign]


def _fill(
    plain: Callable[..., Any], module: nn.Module, state: Mapping[str, Tensor], path: Path, name: str
) -> Any:
    classifier = getattr(module, "pretrained_cfg", {}).get("classifier") or ()
    heads = tuple(
        f"{each}." for each in ((classifier,) if isinstance(classifier, str) else classifier)
    )
    try:
        result = plain(
            module,
            {key: each for key, each in state.items() if not key.startswith(heads)},
            strict=False,
        )
    except Exception as error:
        said = " ".join(str(error).split())
        raise _refusal(path, name, said[max(0, said.find("size mismatch")) :][:200]) from None
    missing, others = result
    faults = [f"it lacks {len(missing)} of the weights, such as {missing[0]}"] if missing else []
    faults += (
        [f"it holds {len(others)} that are not this network's, such as {others[0]}"]
        if others
        else []
    )
    if faults:
        raise _refusal(path, name, " and ".join(faults))
    return result


def _refusal(path: Path, name: str, fault: str, remedy: str = "") -> UserError:
    remedy = remedy or f"name a file that was saved from '{name}' with these backbone.options"
    return UserError(
        f"{path} does not hold weights of '{name}': {fault}; {remedy}, or use weights: none."
    )
