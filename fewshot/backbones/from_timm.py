"""Any timm model as the body of a backbone: random, published or local weights."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from fewshot.backbones import hub, imagenet_packages, input_sizes, timm_names, weight_files
from fewshot.backbones.networks import Statistics
from fewshot.config import BackboneSettings
from fewshot.errors import NotHere, UserError

# Options of timm that are not the user's: what they are allowed to be, and the remedy.
_OURS: dict[str, tuple[object, str]] = {
    "in_chans": (3, "remove it, because images always have three channels, grey ones too"),
    "num_classes": (0, "remove it, because the method has a classifier of its own"),
    "features_only": (False, "remove it, because methods need one vector of features for an image"),
    "out_indices": (None, "remove it, because methods need one vector of features for an image"),
    "pretrained": (False, "use --weights pretrained"),
    "pretrained_cfg": (None, "use --weights FILE"),
    "pretrained_cfg_overlay": (None, "use --weights FILE"),
    "checkpoint_path": ("", "use --weights FILE"),
}


class Description(NamedTuple):
    """What timm states about a model.

    Attributes:
        n_features: the number of features.
        input_size: the side in pixels of the images that the network is given by default.
        statistics: mean and standard deviation of each channel.
        stages: names of the parameters of each stage, first to last.
    """

    n_features: int
    input_size: int
    statistics: Statistics
    stages: list[list[str]]


def create(settings: BackboneSettings, own: list[str]) -> tuple[nn.Module, Description]:
    """Create a timm model without its classifier.

    Args:
        settings: the name of the model, its options and its weights.
        own: names of our own networks, which the message for an unknown name proposes too.

    Raises:
        UserError: for an unknown name, options or an input size that the model refuses, and
            weights that cannot be loaded; NotHere, which is one, if there is no connection to
            download them.
    """
    from timm.data import resolve_data_config

    from fewshot.backbones import depthwise  # which imports timm, too

    checked = _checked(settings, own)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # timm warns about models that it has renamed
        body = _create_body(settings, _maker(settings.name, checked.arguments))
    depthwise.train_in_float32(body)
    data_config = resolve_data_config(model=body)
    # Not every model has a hidden size of the head; num_features is then the width of its features.
    n_features = getattr(body, "head_hidden_size", None) or body.num_features
    description = Description(
        n_features=int(n_features),  # type: ignore[arg-type]  # a number in every timm model
        input_size=checked.input_size,
        statistics=(data_config["mean"], data_config["std"]),
        stages=_stages(body),
    )
    return body, description


def architecture(body: nn.Module) -> tuple[str, dict[str, Any]]:
    """Return the name and the options of a model that timm built from a repository or a folder."""
    name: str = vars(body)["pretrained_cfg"]["architecture"]
    arguments: dict[str, Any] = vars(body)["_model_args"]
    return name, {key: value for key, value in arguments.items() if key not in _OURS}


def input_size(settings: BackboneSettings, own: list[str]) -> int:
    """Return the side in pixels of the images that a timm model is given; load no weights.

    Args:
        settings: the name of the model and its options.
        own: names of our own networks, which the message for an unknown name proposes too.

    Raises:
        UserError: for an unknown name, and options or an input size that the model refuses.
    """
    return _checked(settings, own).input_size


class _Checked(NamedTuple):
    """The side of the input, and the arguments of `timm.create_model` that make a model take it."""

    input_size: int
    arguments: dict[str, Any]


_CHECKED: dict[tuple[str, str, int | None], _Checked] = {}  # to try a model once


def _checked(settings: BackboneSettings, own: list[str]) -> _Checked:
    """Check the name, the options and the input size of a model, without weights."""
    timm_names.check(settings.name, own)
    for option, value in settings.options.items():
        if option in _OURS and value != _OURS[option][0]:
            raise UserError(
                f"backbone.options.{option} is not for the user to set: {_OURS[option][1]}."
            )
    key = settings.name, repr(sorted(settings.options.items())), settings.input_size
    if key not in _CHECKED:
        given = {"num_classes": 0, **settings.options}
        _CHECKED[key] = _tried(settings.name, given, settings.input_size)
    return _CHECKED[key]


def _tried(name: str, given: dict[str, Any], side: int | None) -> _Checked:
    """Return how a model takes images of a side; None for the side that it has by default."""
    default = _default_side(name, given)
    _check_output(name, given, default)
    if side is None or side == default:
        return _Checked(default, given)
    if name in imagenet_packages.PACKAGES and given.keys() == {"num_classes"}:
        return _Checked(side, given)  # they take any side; a trial imports for seconds
    tried = input_sizes.try_out(_maker(name, given), side)
    if tried.refusal is None:
        return _Checked(side, given)
    if "img_size" in given:
        raise UserError(
            f"backbone '{name}' takes no images of {side} pixels if backbone.options.img_size is "
            f"{given['img_size']}: leave out one of them."
        )
    # Networks with a position for each part of the image are built for a size.
    built_for_side = {**given, "img_size": side}
    if input_sizes.takes(_maker(name, built_for_side), side):
        return _Checked(side, built_for_side)
    near = input_sizes.nearest_sides(partial(_takes, name, given), side)
    raise input_sizes.refusal(name, side, tried.refusal, default, near)


def _takes(name: str, given: dict[str, Any], side: int) -> bool:
    """Return whether a model takes images of a side, as it is or built for them."""
    arguments = (given, {**given, "img_size": side})
    return any(input_sizes.takes(_maker(name, one), side) for one in arguments)


def _maker(name: str, arguments: dict[str, Any]) -> Callable[..., nn.Module]:
    import timm

    return partial(timm.create_model, name, **arguments)


def _default_side(name: str, given: dict[str, Any]) -> int:
    """Return the side that a model is built for with some options."""
    from timm.data import resolve_data_config

    if isinstance(given.get("img_size"), int):
        return int(given["img_size"])
    try:
        body = input_sizes.on_meta(_maker(name, given))
    except Exception as error:
        raise _not_built(name, given, error) from None
    return int(resolve_data_config(model=body)["input_size"][-1])


def _check_output(name: str, given: dict[str, Any], side: int) -> None:
    """Raise UserError if options leave a model without one vector of features for an image."""
    options = {key: value for key, value in given.items() if key != "num_classes"}
    if not options:
        return
    shape, reason = input_sizes.try_out(_maker(name, given), side)
    if reason is None and (shape is None or len(shape) != 1):
        gives = "several outputs" if shape is None else f"features of shape {list(shape)}"
        raise UserError(
            f"backbone '{name}' with backbone.options {options} gives {gives}, not one vector for "
            "an image: change or remove them."
        )
    if reason is not None and input_sizes.takes(_maker(name, {"num_classes": 0}), side):
        raise UserError(
            f"backbone '{name}' does not work with backbone.options {options} ({reason}): change "
            "or remove them."
        )


def _create_body(settings: BackboneSettings, make: Callable[..., nn.Module]) -> nn.Module:
    if settings.weights == "pretrained":
        return _with_published_weights(settings, make)
    try:
        body = make()
    except Exception as error:
        raise _not_built(settings.name, settings.options, error) from None
    if settings.weights == "none":
        return body
    return weight_files.load(body, make, Path(settings.weights), settings.name)


def _with_published_weights(
    settings: BackboneSettings, make: Callable[..., nn.Module]
) -> nn.Module:
    """Create the model with published weights.

    They come from an installed package, else from the hub's cache, else they are downloaded.
    """
    from timm.models import get_pretrained_cfg

    file_of_package = imagenet_packages.weights_file(settings.name)
    if file_of_package is not None:
        body = make()
        imagenet_packages.load(body, settings.name, file_of_package)
        return body
    remedy = "connect to the hub once, give a local file as --weights, or use --weights none."
    if settings.name in imagenet_packages.PACKAGES:
        remedy = f"install them ({imagenet_packages.EXTRA}), {remedy}"
    failure = f"the pretrained weights of '{settings.name}' could not be loaded"
    try:
        published = get_pretrained_cfg(settings.name)
        if published is not None and not published.has_weights:
            raise UserError(
                f"backbone '{settings.name}' has no pretrained weights that timm knows of: "
                "give a local file as --weights, or use --weights none."
            )
        cached_file = hub.cached(published) if published else None
        if cached_file:
            failure += f" from {cached_file}"
            remedy = (
                "delete that file to fetch it again, give another as --weights, or use "
                "--weights none."
            )
            return make(pretrained=True, pretrained_cfg_overlay={"file": str(cached_file)})
        if published and (reason := hub.unreachable(published)):
            raise NotHere(f"{failure} ({reason}): {remedy}")
        return make(pretrained=True)
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{failure} ({_first_line(error)}): {remedy}") from None


def _not_built(name: str, options: dict[str, Any], error: Exception) -> UserError:
    shown = {key: value for key, value in options.items() if key != "num_classes"}
    return UserError(
        f"timm could not build '{name}' with backbone.options {shown}: {_first_line(error)}"
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _stages(body: nn.Module) -> list[list[str]]:
    """Return the parameter names by depth, as timm groups them, or by the parts of the network.

    A norm that is a group of its own joins the stage before it, so that every stage has filters.
    """
    names_by_depth: dict[int, list[str]] = {}
    for name, depth in _depths(body).items():
        names_by_depth.setdefault(depth, []).append(name)
    dimensions = {name: parameter.ndim for name, parameter in body.named_parameters()}
    stages: list[list[str]] = []
    for _, names in sorted(names_by_depth.items()):
        if stages and all(dimensions[name] < 2 for name in names):
            stages[-1] += names
        else:
            stages.append(names)
    return stages


def _depths(body: nn.Module) -> dict[str, int]:
    """Return the depth of each parameter; a few models of timm have no groups of their own."""
    from timm.models import group_parameters

    if matcher := getattr(body, "group_matcher", None):
        with suppress(AssertionError):  # it has groups, but only of single layers
            return group_parameters(body, matcher(coarse=True), reverse=True)
    depths: dict[str, int] = {}
    parts: dict[str, int] = {}
    for name, _ in body.named_parameters():
        part = ".".join(name.split(".")[:2])
        depths[name] = parts.setdefault(part, len(parts))
    return depths
