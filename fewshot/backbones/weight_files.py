"""Weight files for timm models: read without running code, converted by timm, and complete.

timm ignores missing weights if the classifier differs, and for some networks always. It offers no
access to its conversion of other layouts except through loading. Therefore its single call of
`load_state_dict` is intercepted here and held to the whole body.
"""

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
from fewshot.errors import UserError, one_line

_ONE_AT_A_TIME = threading.Lock()


def load(body: nn.Module, make: Callable[..., nn.Module], path: Path, name: str) -> nn.Module:
    """Return the body with the weights of a file; it is built anew if timm converts the file.

    Args:
        body: the model without a classifier.
        make: builds the model from keyword arguments of `timm.create_model`.
        path: a .safetensors file or one that torch saved, in timm's layout, in a layout that timm
            converts, or of a run. A classifier of any size in it is ignored. Apart from that, it
            must hold all weights of the body and no others.
        name: name of the model, for messages.

    Raises:
        UserError: if the file is missing, cannot be read, belongs to another network, or asks for
            code to be run.
    """
    state = _read(path, name)
    body_state = own_weights.body_of(state)
    if not body_state and len(without := own_weights.without_finish(state)) < len(state):
        body_state = without  # a file of `fewshot pretrain` with the classifier of the pretraining
    if body_state:
        _fill(nn.Module.load_state_dict, body, body_state, path, name)
        return body
    with _complete_loading(path, name) as filled:
        try:
            body = make(pretrained=True, pretrained_cfg_overlay={"file": str(path)})
        except UserError:
            raise
        except Exception as error:  # timm's conversion fails at names that it does not know
            reason = one_line(error) or type(error).__name__
            raise _refusal(path, name, reason) from None
    if filled != [id(body)]:
        raise _refusal(path, name, "timm did not load it")
    return body


def _read(path: Path, name: str) -> Mapping[str, Any]:
    # It also finds the weights inside a training checkpoint, and runs no code.
    from timm.models import load_state_dict

    if not path.is_file():
        raise UserError(
            f"the weights file {path} does not exist: name a file, or use weights: "
            "pretrained or none."
        )
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return load_state_dict(str(path), weights_only=True)  # older timm runs code by default
    except Exception:
        raise _refusal(path, name, *_why_unreadable(path)) from None


def _why_unreadable(path: Path) -> tuple[str, str]:
    """Return what is wrong with a file and the remedy."""
    again = "get or save it again"
    if path.suffix == ".safetensors":
        return "it is cut off, or no .safetensors file", again
    try:
        functions = torch.serialization.get_unsafe_globals_in_checkpoint(str(path))
    except Exception:  # not a pickle, so it cannot name any
        functions = []
    if functions:
        names = ", ".join(sorted(functions))
        fault = f"it asks for code to be run ({names}), which is refused"
        return fault, "save its state_dict alone"
    return "it is cut off, or no .safetensors, .pth or .bin file with a state_dict", again


@contextmanager
def _complete_loading(path: Path, name: str) -> Iterator[list[int]]:
    """Make every `load_state_dict` of this thread inside the block complete or a UserError.

    Yields:
        A list to which the ids of the modules that were loaded are added.
    """
    original, this_thread = nn.Module.load_state_dict, threading.get_ident()
    filled: list[int] = []

    def checked(module: nn.Module, state: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        if threading.get_ident() != this_thread:
            return original(module, state, *args, **kwargs)
        filled.append(id(module))
        return _fill(original, module, state, path, name)

    with _ONE_AT_A_TIME:
        nn.Module.load_state_dict = checked  # type: ignore[method-assign, assignment]
        try:
            yield filled
        finally:
            nn.Module.load_state_dict = original  # type: ignore[method-assign]


def _fill(
    original: Callable[..., Any],
    module: nn.Module,
    state: Mapping[str, Tensor],
    path: Path,
    name: str,
) -> Any:
    """Load all weights of a module except its classifier's, or raise a UserError.

    Returns:
        What `original` returns: the names that are missing and those that are unexpected.
    """
    prefixes = _classifier_prefixes(module)
    body_state = {key: tensor for key, tensor in state.items() if not key.startswith(prefixes)}
    try:
        result = original(module, body_state, strict=False)
    except Exception as error:
        message = " ".join(str(error).split())
        reason = message[max(0, message.find("size mismatch")) :][:200]
        raise _refusal(path, name, reason) from None
    missing, unexpected = result
    faults: list[str] = []
    if missing:
        faults.append(f"it lacks {len(missing)} of the weights, such as {missing[0]}")
    if unexpected:
        faults.append(
            f"it holds {len(unexpected)} that are not this network's, such as {unexpected[0]}"
        )
    if faults:
        raise _refusal(path, name, " and ".join(faults))
    return result


def _classifier_prefixes(module: nn.Module) -> tuple[str, ...]:
    """Return the prefixes of the names of a timm model's classifier; none for other modules."""
    classifier = getattr(module, "pretrained_cfg", {}).get("classifier") or ()
    names = (classifier,) if isinstance(classifier, str) else classifier
    return tuple(f"{name}." for name in names)


def _refusal(path: Path, name: str, fault: str, remedy: str = "") -> UserError:
    remedy = remedy or f"name a file that was saved from '{name}' with these backbone.options"
    return UserError(
        f"{path} does not hold weights of '{name}': {fault}; {remedy}, or use weights: none."
    )
