"""Build backbones by name: our own networks and timm's, with random weights or with loaded ones."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import create_model

from fewshot.backbones import (
    class_names,
    from_timm,
    imagenet_packages,
    input_sizes,
    networks,
    own_weights,
    report_networks,
    speed_cnn,
    timm_names,
    views,
    weight_origins,
)
from fewshot.backbones.backbone import Backbone
from fewshot.backbones.finish import Finish
from fewshot.backbones.side_by_side import SideBySide
from fewshot.config import BackboneSettings, Settings, check
from fewshot.config.origins import Origin
from fewshot.errors import UserError, one_line

OWN: dict[str, Callable[..., networks.Stages]] = {
    "baseline-cnn": report_networks.baseline_cnn,
    "conv4": networks.conv4,
    "custom-cnn": report_networks.custom_cnn,
    "dropout-cnn": report_networks.dropout_cnn,
    "enhanced-cnn": report_networks.enhanced_cnn,
    "mini-resnet": networks.mini_resnet,
    "mlp": report_networks.mlp,
    "resnet": networks.resnet,
    "resnet12": networks.resnet12,
    "speed-cnn": speed_cnn.speed_cnn,
    "vgg": report_networks.vgg,
    "vit": report_networks.vit,
}
OWN_INPUT_SIZE = 32  # pixels


def build(network: str | BackboneSettings, **settings: Any) -> Backbone:
    """Build a backbone with random or loaded weights.

    Random weights come from torch's global generator; seed it for reproducible ones.

    Args:
        network: the name of one of our own networks (`OWN`) or of any timm model, such as
            "resnet18"; several names, as in "mini-resnet+resnet18", for their features side by
            side; or complete settings.
        **settings: fields of `BackboneSettings`, if `network` is a name: weights ("none",
            "pretrained" or a file), input_size (pixels), options (a dict for the network's
            builder), views, crop.

    Returns:
        The backbone in training mode, on the CPU.

    Raises:
        UserError: for an unknown name, unknown or invalid settings and options, and weights that
            cannot be loaded or do not fit the network.

    Example:
        >>> build("conv4", options={"width": 32}).n_features
        128
    """
    if isinstance(network, str):
        values = {"name": network, **settings}
        network = check(BackboneSettings, values, f"backbone '{network}'", prefix="backbone.")
    elif settings:
        raise TypeError("give either a name with settings, or a BackboneSettings alone")
    parts = [_build_own(one) if one.name in OWN else _build_timm(one) for one in network.networks]
    backbone = parts[0] if len(parts) == 1 else SideBySide(parts)
    backbone.build_again = partial(build, network)
    return backbone


def from_file(path: Path) -> Backbone:
    """Build the network of a file that `fewshot pretrain` wrote, with the weights of the file.

    Raises:
        UserError: if the file is not one that `fewshot pretrain` wrote.
    """
    name, options = own_weights.network_of(path)
    side = own_weights.input_size_of(path)
    backbone = build(
        BackboneSettings(name=name, options=options, weights=str(path), input_size=side)
    )
    if name not in OWN:
        backbone.classifier = own_weights.classifier_of(path)
    return backbone


def input_side(settings: BackboneSettings) -> int:
    """Return the side in pixels that images need so that the backbone enlarges no part of them.

    It is the side to which the backbone resizes, divided by the smallest share of an image that it
    resizes to it: the central crop, or a view.

    Raises:
        UserError: for an unknown name, and options that the network refuses.
    """
    sides = []
    for one in settings.networks:
        own = one.name in OWN
        size = _checked_side(one) if own else from_timm.input_size(one, sorted(OWN))
        sides.append(views.image_side(size, one.crop, one.views))
    return max(sides)


def _build_own(settings: BackboneSettings) -> Backbone:
    input_size, options = _checked_side(settings), resolved_options(settings)
    body = _body(settings, input_size, options)
    backbone = Backbone(
        body,
        n_features=body.n_features,
        input_size=input_size,
        statistics=_statistics(settings, body.statistics),
        stages=body.stage_parameters(),
        form=_form(settings),
        views=settings.views,
        crop=settings.crop,
        centre=settings.centre,
        root=settings.root,
    )
    path = weights_file(settings)
    if path is not None:
        finish = own_weights.load(body, path, settings.name, options)
        if finish:
            backbone.finish = Finish(**finish)
        backbone.pretraining = class_names.of_weights(path)
    return backbone


def _body(settings: BackboneSettings, input_size: int, options: dict[str, Any]) -> networks.Stages:
    """Return a network of our own with random weights.

    Raises:
        UserError: it cannot be built with its options.
    """
    try:
        return OWN[settings.name](input_size, **options)
    except Exception as error:  # PyTorch's layers raise errors of several types
        raise UserError(
            f"backbone '{settings.name}' cannot be built with backbone.options {settings.options} "
            f"({one_line(error) or type(error).__name__}): change or remove them."
        ) from error


def _build_timm(settings: BackboneSettings) -> Backbone:
    body, description = from_timm.create(settings, sorted(OWN))
    backbone = Backbone(
        body,
        n_features=description.n_features,
        input_size=description.input_size,
        statistics=_statistics(settings, description.statistics),
        stages=description.stages,
        form=_form(settings),
        views=settings.views,
        crop=settings.crop,
        centre=settings.centre,
        root=settings.root,
    )
    is_of_package = settings.weights == "pretrained" and weights_file(settings) is not None
    if is_of_package:
        backbone.pretraining = class_names.of_data("ImageNet", imagenet_packages.class_names())
    return backbone


def _checked_side(settings: BackboneSettings) -> int:
    """Return the side of the images that a network of our own is given.

    Raises:
        UserError: the network takes no images of that side.
    """
    side, make = settings.input_size, partial(OWN[settings.name], **resolved_options(settings))
    if side is None or side == OWN_INPUT_SIZE:
        return OWN_INPUT_SIZE

    def takes(side: int) -> bool:
        return input_sizes.takes(partial(make, side), side)

    reason = input_sizes.try_out(partial(make, side), side).refusal
    if reason is not None and takes(OWN_INPUT_SIZE):
        near = input_sizes.nearest_sides(takes, side)
        raise input_sizes.refusal(settings.name, side, reason, OWN_INPUT_SIZE, near)
    return side


def _statistics(settings: BackboneSettings, own: networks.Statistics) -> networks.Statistics:
    """Return mean and standard deviation of each channel: the configured ones, or the network's."""
    mean, std = own
    return settings.mean or mean, settings.std or std


def _form(settings: BackboneSettings) -> str:
    return f"{settings.name} {sorted(settings.options.items())}"


def origins(settings: BackboneSettings) -> tuple[Origin, ...]:
    """Return where the weights of each network come from.

    Raises:
        UserError: as `weights_file` does.
    """
    return tuple(weight_origins.origin(one, weights_file(one)) for one in settings.networks)


def weights_file(settings: BackboneSettings) -> Path | None:
    """Return the file of the weights of the first network.

    It is None for random weights, and for weights that timm publishes on a hub.

    Raises:
        UserError: for `weights: pretrained` of a network of our own that has none.
    """
    if settings.weights not in ("none", "pretrained"):
        return Path(settings.weights)
    if settings.weights == "none":
        return None
    if settings.name not in OWN:
        return imagenet_packages.weights_file(settings.name)
    path = own_weights.shipped(settings.name)
    if path is None:
        names = ", ".join(name for name in sorted(OWN) if own_weights.shipped(name)) or "none"
        raise UserError(
            f"backbone '{settings.name}' has no pretrained weights (networks of our own that have: "
            f"{names}; timm's networks have them): use weights: none, or a .safetensors file that "
            "`fewshot pretrain` wrote."
        )
    return path


def weights_files(settings: BackboneSettings) -> list[Path]:
    """Return the files of the weights of all networks, as far as there are files."""
    files = map(weights_file, settings.networks)
    return [file for file in files if file is not None]


def deciding_values(settings: BackboneSettings) -> dict[str, Any]:
    """Return the settings that decide the features, without defaults, and weights by content."""
    sections = []
    for one in settings.networks:
        values = one.model_dump(mode="json", exclude_defaults=True)
        if (path := weights_file(one)) is not None:
            values["weights"] = own_weights.content_hash(path)
        sections.append(values)
    return {**sections[0], **({"beside": sections[1:]} if len(sections) > 1 else {})}


def has_pretrained_weights(settings: BackboneSettings) -> bool:
    """Return whether `weights: pretrained` names weights, of ours or that timm knows of."""
    if settings.name in OWN:
        return own_weights.shipped(settings.name) is not None
    if imagenet_packages.weights_file(settings.name) is not None:
        return True
    return timm_names.has_published_weights(settings.name)


def resolved_options(settings: BackboneSettings) -> dict[str, Any]:
    """Return all options of a network of our own: the given ones, checked, and the defaults.

    The signature of the network's builder states the names, types and defaults of the options.

    Raises:
        UserError: for an unknown option or a value of the wrong type.
    """
    builder = OWN[settings.name]
    hints = get_type_hints(builder, include_extras=True)
    fields: dict[str, Any] = {
        name: (hints[name], parameter.default)
        for name, parameter in inspect.signature(builder).parameters.items()
        if name != "input_size"
    }
    model = create_model("Options", __base__=Settings, **fields)
    options = check(
        model, settings.options, f"backbone '{settings.name}'", prefix="backbone.options."
    )
    return options.model_dump()


def describe() -> list[tuple[str, str]]:
    """Return name and one line of description of each network of our own."""
    descriptions: list[tuple[str, str]] = []
    for name, builder in sorted(OWN.items()):
        first_line = (inspect.getdoc(builder) or "").splitlines()[0]
        mark = " [weights: pretrained]" if own_weights.shipped(name) else ""
        descriptions.append((name, first_line + mark))
    return descriptions
