"""Any timm model as a body: random weights, published weights from the hub, or a local file."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from fewshot.backbones import hub, weight_files
from fewshot.config import BackboneSettings, nearest
from fewshot.errors import NotHere, UserError


class Found(NamedTuple):
    """What timm knows of a model: its features, input side, mean and std, parameter names by stage."""

    n_features: int
    input_size: int
    statistics: tuple[tuple[float, ...], tuple[float, ...]]
    stages: list[list[str]]


def create(settings: BackboneSettings, own: list[str]) -> tuple[nn.Module, Found]:
    """The model without its classifier; unknown names, options, and weights that cannot be had are UserErrors."""
    import timm
    from timm.data import resolve_data_config

    if not timm.is_model(settings.name):
        near = nearest(settings.name, own + timm.list_models())
        near = near if near.startswith("did") else f"own: {', '.join(own)}; all others are timm's."
        raise UserError(f"unknown backbone '{settings.name}': {near}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # timm warns of its own renamed models
        body = _body(settings)
    known = resolve_data_config(model=body)
    return body, Found(
        int(getattr(body, "head_hidden_size", body.num_features)),
        known["input_size"][-1],
        (known["mean"], known["std"]),
        _stages(body),
    )


def _body(settings: BackboneSettings) -> Any:
    import timm

    make = partial(timm.create_model, settings.name, **{"num_classes": 0, **settings.options})
    if settings.weights == "pretrained":
        return _published(settings, make)
    try:
        body = make()
    except Exception as error:
        said = f"timm could not build '{settings.name}' with backbone.options {settings.options}: {_line(error)}"
        raise UserError(said) from None
    if settings.weights == "none":
        return body
    return weight_files.load(body, make, Path(settings.weights), settings.name)


def _published(settings: BackboneSettings, make: Callable[..., Any]) -> Any:
    """The model with published weights: from the hub's cache where they lie there, else fetched."""
    from timm.models import get_pretrained_cfg

    remedy = "connect to the hub once, give a local file as --weights, or use --weights none."
    lacking = f"the pretrained weights of '{settings.name}' could not be loaded"
    try:
        known = get_pretrained_cfg(settings.name)
        if known is not None and not known.has_weights:
            raise UserError(
                f"backbone '{settings.name}' has no pretrained weights that timm knows of: "
                "give a local file as --weights, or use --weights none."
            )
        kept = hub.cached(known) if known else None
        if kept:
            lacking += f" from {kept}"
            remedy = "delete that file to fetch it again, give another as --weights, or use --weights none."
            return make(pretrained=True, pretrained_cfg_overlay={"file": str(kept)})
        if known and (why := hub.unreachable(known)):
            raise NotHere(f"{lacking} ({why}): {remedy}")
        return make(pretrained=True)
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{lacking} ({_line(error)}): {remedy}") from None


def _line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _stages(body: nn.Module) -> list[list[str]]:
    """Parameter names by depth, as timm groups them; a norm that stands alone goes with the stage before it."""
    from timm.models import group_parameters

    by_depth: dict[int, list[str]] = {}
    matcher = body.group_matcher(coarse=True)  # type: ignore[operator]
    for name, depth in group_parameters(body, matcher, reverse=True).items():
        by_depth.setdefault(depth, []).append(name)
    dimensions = {name: parameter.ndim for name, parameter in body.named_parameters()}
    stages: list[list[str]] = []
    for depth in sorted(by_depth):
        if stages and all(dimensions[name] < 2 for name in by_depth[depth]):
            stages[-1] += by_depth[depth]
        else:
            stages.append(by_depth[depth])
    return stages
