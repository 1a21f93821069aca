"""Rebuild a backbone from its settings and its state, without asking for published weights.

The settings and the state may come from a file that somebody else made: nothing is loaded from
elsewhere, and the size of the network is known before memory is allocated for it.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules import module as hooks

from fewshot.backbones import factory, from_timm, timm_names
from fewshot.backbones.backbone import Backbone
from fewshot.backbones.finish import Finish
from fewshot.backbones.networks import Statistics
from fewshot.backbones.side_by_side import SideBySide
from fewshot.config import BackboneSettings
from fewshot.errors import UserError, one_line

FINISH = "finish."  # in the names of the state of a backbone
FINISH_TENSORS = {"shift", "mix", "shift_before", "mix_before", "weight", "bias"}
LARGEST_SIDE = 1024  # pixels
LARGEST_NUMBER = 65_536  # among the options of a network
MOST_OPTIONS = 500
LONGEST_TEXT = 200  # characters, among the options of a network
# A network is built a few times until its settings are checked, and has layers without weights.
PARTS_OF_A_TENSOR = 30
LARGEST_LAYERS = 2**31  # bound of the numbers that a layer returns for all views of an image
MOST_TENSORS = 6000  # of a network
LARGEST_STATE = 2**30  # numbers of a network whose weights are not in the file


class Misfit(UserError):
    """Report that settings and weights are not those of one network that a file may hold."""


class StoredNetwork(NamedTuple):
    """What a network is rebuilt from, apart from its state.

    Attributes:
        settings: the network by name, with the side of its input.
        statistics: mean and standard deviation of each channel, for each backbone within the
            network by the name of its module, which is empty for the network itself.
    """

    settings: BackboneSettings
    statistics: Mapping[str, Statistics]


def network_of(settings: BackboneSettings, backbone: Backbone) -> StoredNetwork:
    """Return what a backbone is rebuilt from.

    The settings name no file, folder or repository, because these mean nothing elsewhere: a network
    of a repository or of a folder gets the name and the options that timm built it from.
    """
    parts = backbone.networks if isinstance(backbone, SideBySide) else (backbone,)
    networks = []
    for one, part in zip(settings.networks, parts, strict=True):
        if one.name.startswith((timm_names.HUB, timm_names.FOLDER)):
            name, options = from_timm.architecture(part.body)
            one = one.model_copy(update={"name": name, "options": options, "weights": "none"})
        weights = one.weights if one.weights == "pretrained" else "none"
        update = {"input_size": part.input_size, "weights": weights}
        networks.append(one.model_copy(update=update))
    statistics: dict[str, Statistics] = {
        name: (tuple(module.mean.flatten().tolist()), tuple(module.std.flatten().tolist()))
        for name, module in backbone.named_modules()
        if isinstance(module, Backbone)
    }
    return StoredNetwork(_joined(networks), statistics)


def hash_of(state: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of a state: names, shapes, types and numbers, the same on every device."""
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        numbers = tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
        digest.update(numbers.data)
    return digest.hexdigest()


def layout(network: StoredNetwork, shapes: Mapping[str, tuple[int, ...]]) -> Backbone:
    """Return the network without memory for its weights, if a state of these shapes fits it.

    Args:
        network: the network.
        shapes: shape of every tensor of the state.

    Raises:
        Misfit: the settings are not those of a network of a file, or the shapes do not fit.
    """
    state = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    with torch.device("meta"), _at_most(PARTS_OF_A_TENSOR * (len(shapes) + 10)):
        backbone = _built(network, state)
    expected = {name: tuple(tensor.shape) for name, tensor in backbone.state_dict().items()}
    differing = sorted(
        name for name in {*expected, *shapes} if expected.get(name) != shapes.get(name)
    )
    if differing:
        raise Misfit(f"its weights are not those of its network, such as '{differing[0][:100]}'")
    _check_size(backbone, 2 * sum(tensor.numel() for tensor in state.values()) + 2**24)
    return backbone


def _check_size(backbone: Backbone, most: int) -> None:
    """Raise Misfit if a network without memory would have more numbers, or too large layers."""
    if sum(one.numel() for one in (*backbone.parameters(), *backbone.buffers())) > most:
        raise Misfit("its network is larger than its weights")
    for part in backbone.modules():
        if isinstance(part, Backbone) and not isinstance(part, SideBySide):
            widths = [len(weights) for weights in part.parameters() if weights.ndim > 1]
            largest_layer = max(widths, default=1) * part.input_size**2
            if largest_layer * part.n_views > LARGEST_LAYERS:
                raise Misfit("the layers of its network would take too much memory")


def rebuild(network: StoredNetwork, state: Mapping[str, Tensor]) -> Backbone:
    """Return the network with the weights of a state, in evaluation mode, on the CPU.

    Args:
        network: the network.
        state: the state of the backbone; numbers may have another precision than its own.

    Raises:
        Misfit: the state does not fit the network.
    """
    layout(network, {name: tuple(tensor.shape) for name, tensor in state.items()})
    with torch.random.fork_rng(devices=[]):
        backbone = _built(network, state)
    types = {name: tensor.dtype for name, tensor in backbone.state_dict().items()}
    backbone.load_state_dict({name: state[name].to(types[name]) for name in types})
    for name, (mean, std) in network.statistics.items():
        part = backbone.get_submodule(name)
        part.mean, part.std = torch.tensor(mean)[:, None, None], torch.tensor(std)[:, None, None]
    backbone.build_again = partial(rebuild, network, state)
    return backbone.eval()


def published(settings: BackboneSettings, sha256: str) -> Backbone:
    """Return a network with the published weights that its settings name, in evaluation mode.

    Raises:
        UserError: they cannot be loaded, or are not those with this hash of the state.
        Misfit: the settings are not those of a network of a file.
    """
    if any(one.weights != "pretrained" for one in settings.networks):
        raise Misfit("its network has no published weights")
    with torch.device("meta"), _at_most(PARTS_OF_A_TENSOR * MOST_TENSORS):
        _check_size(_with_random_weights(settings), LARGEST_STATE)
    with torch.random.fork_rng(devices=[]):
        backbone = factory.build(settings).eval()
    if hash_of(backbone.state_dict()) != sha256:
        raise UserError(
            f"the published weights of backbone '{settings.full_name}' differ from those that the "
            "model was made with: install the package version that was used then, or make the "
            "model again with `fewshot fit`."
        )
    return backbone


def _joined(networks: Sequence[BackboneSettings]) -> BackboneSettings:
    """Return the settings of several networks side by side as one."""
    first, *others = networks
    return first.model_copy(update={"beside": tuple(others)})


def _with_random_weights(settings: BackboneSettings) -> Backbone:
    """Build a network of a file without its weights."""
    for one in settings.networks:
        _check(one)
    networks = [one.model_copy(update={"weights": "none"}) for one in settings.networks]
    try:
        return factory.build(_joined(networks))
    except UserError:
        raise
    except Exception as error:  # networks refuse their options by exceptions of any kind
        raise Misfit(f"its network cannot be built ({one_line(error)})") from None


def _built(network: StoredNetwork, state: Mapping[str, Tensor]) -> Backbone:
    """Return the network with random weights and the maps to the features that the state names."""
    backbone = _with_random_weights(network.settings)
    parts = {name: part for name, part in backbone.named_modules() if isinstance(part, Backbone)}
    if parts.keys() != network.statistics.keys():
        raise Misfit("its networks are not those that its statistics belong to")
    for name, part in parts.items():
        prefix = f"{name}.{FINISH}" if name else FINISH
        maps = {
            key.removeprefix(prefix): tensor.float()
            for key, tensor in state.items()
            if key.startswith(prefix)
        }
        if not maps:
            continue
        if not {"shift", "mix"} <= maps.keys() <= FINISH_TENSORS:
            raise Misfit("the map to its features is incomplete")
        part.finish = Finish(**maps)
    return backbone


def _check(settings: BackboneSettings) -> None:
    """Raise Misfit for settings that no model file has, and for numbers beyond all bounds."""
    if settings.name.startswith((timm_names.HUB, timm_names.FOLDER)):
        raise Misfit(f"its network '{settings.name}' is of a repository or of a folder")
    if (settings.input_size or 1) > LARGEST_SIDE:
        raise Misfit(f"its network takes images of more than {LARGEST_SIDE} pixels")
    if sum(1 for _ in _values(settings.options)) > MOST_OPTIONS:
        raise Misfit("its network has too many options")
    for value in _values(settings.options):
        if isinstance(value, str) and len(value) > LONGEST_TEXT:
            raise Misfit("an option of its network is too long")
        if isinstance(value, int | float) and not abs(value) <= LARGEST_NUMBER:
            raise Misfit(f"an option of its network is beyond {LARGEST_NUMBER}")


def _values(options: Any) -> Iterator[Any]:
    """Yield every single value of nested options."""
    waiting = [options]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list | tuple):
            waiting += value
        else:
            yield value


@contextlib.contextmanager
def _at_most(most: int) -> Iterator[None]:
    """Raise Misfit inside the block as soon as this thread has built more parts of a network."""
    n_parts, this_thread = 0, threading.get_ident()

    def count(module: nn.Module, name: str, part: object) -> None:
        nonlocal n_parts
        if threading.get_ident() != this_thread:
            return
        n_parts += 1
        if n_parts > most:
            raise Misfit("its network has more parts than its weights")

    handles = [
        hooks.register_module_parameter_registration_hook(count),
        hooks.register_module_module_registration_hook(count),
        hooks.register_module_buffer_registration_hook(count),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
