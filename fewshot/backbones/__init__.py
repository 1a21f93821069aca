"""name -> feature extractor [n, 3, h, w] in [0, 1] -> [n, d], with resizing, normalisation and precision inside."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import create_model

from fewshot.backbones import from_timm, networks, own_weights, speed, studies
from fewshot.backbones.backbone import (
    Backbone,
    Finish,
    chunk_size,
    embed,
    hold_batch_norm,
    side_by_side,
)
from fewshot.config import BackboneSettings, Settings, check
from fewshot.errors import UserError

__all__ = [
    "OWN", "OWN_INPUT_SIZE", "Backbone", "Finish", "build", "chunk_size", "describe", "embed", "from_file",
    "hold_batch_norm", "resolved_options", "side_by_side", "weights_file",
]  # fmt: skip

OWN: dict[str, Callable[..., networks.Stages]] = {
    "baseline-cnn": studies.baseline_cnn,
    "conv4": networks.conv4,
    "custom-cnn": studies.custom_cnn,
    "dropout-cnn": studies.dropout_cnn,
    "enhanced-cnn": studies.enhanced_cnn,
    "mini-resnet": networks.mini_resnet,
    "mlp": studies.mlp,
    "resnet": networks.resnet,
    "speed-cnn": speed.speed_cnn,
    "vgg": studies.vgg,
    "vit": studies.vit,
}
OWN_INPUT_SIZE = 32


def build(settings: BackboneSettings) -> Backbone:
    """The backbone with random or loaded weights; unknown names, options and unfit weights are UserErrors."""
    backbone = _own(settings) if settings.name in OWN else _timm(settings)
    backbone.another = partial(build, settings)
    return backbone


def from_file(path: Path) -> Backbone:
    """The network that a file of `fewshot pretrain` holds, with its weights; UserError where it is no such file."""
    name, options = own_weights.network_of(path)
    return build(BackboneSettings(name=name, options=options, weights=str(path)))


def _own(settings: BackboneSettings) -> Backbone:
    make = OWN[settings.name]
    input_size = settings.input_size or OWN_INPUT_SIZE
    options = resolved_options(settings)
    body = make(input_size, **options)
    stages = [
        [f"stages.{number}.{name}" for name, _ in stage.named_parameters()]
        for number, stage in enumerate(body.stages)
    ]
    judged = (settings.views, settings.crop)
    backbone = Backbone(
        body, body.n_features, input_size, body.statistics, stages, _form(settings), *judged
    )
    if (path := weights_file(settings)) is not None:
        finish = own_weights.load(body, path, settings.name, options)
        if finish:
            backbone.finish = Finish(**finish)
    return backbone


def weights_file(settings: BackboneSettings) -> Path | None:
    """The file that the weights come from; None for random weights and for timm's published ones.

    Raises UserError where weights: pretrained is asked of one of our own networks that has none.
    """
    if settings.weights not in ("none", "pretrained"):
        return Path(settings.weights)
    if settings.weights == "none" or settings.name not in OWN:
        return None
    path = own_weights.shipped(settings.name)
    if path is None:
        have = ", ".join(name for name in sorted(OWN) if own_weights.shipped(name)) or "none"
        raise UserError(
            f"backbone '{settings.name}' has no pretrained weights (of our own: {have}; timm's have): "
            "use weights: none, or a .safetensors file as `fewshot pretrain` writes."
        )
    return path


def _timm(settings: BackboneSettings) -> Backbone:
    body, found = from_timm.create(settings, sorted(OWN))
    input_size = settings.input_size or found.input_size
    judged = (settings.views, settings.crop)
    return Backbone(
        body, found.n_features, input_size, found.statistics, found.stages, _form(settings), *judged
    )


def _form(settings: BackboneSettings) -> str:
    return f"{settings.name} {sorted(settings.options.items())}"


def resolved_options(settings: BackboneSettings) -> dict[str, Any]:
    """The options of one of our own networks: those given, checked by its builder's signature, and its defaults."""
    make = OWN[settings.name]
    hints = get_type_hints(make, include_extras=True)
    parameters = {
        key: each for key, each in inspect.signature(make).parameters.items() if key != "input_size"
    }
    fields: dict[str, Any] = {key: (hints[key], each.default) for key, each in parameters.items()}
    model = create_model("Options", __base__=Settings, **fields)
    given = check(
        model, settings.options, f"backbone '{settings.name}'", prefix="backbone.options."
    )
    return given.model_dump()


def describe() -> list[tuple[str, str]]:
    """(name, one line) of our own backbones; any other name is timm's."""
    return [
        (
            name,
            (inspect.getdoc(make) or "").splitlines()[0]
            + (" [weights: pretrained]" if own_weights.shipped(name) else ""),
        )
        for name, make in sorted(OWN.items())
    ]
