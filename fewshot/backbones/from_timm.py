"""Any timm model as a body: random weights, published weights from the hub, or a local file."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from episodes.errors import UserError
from fewshot.config import BackboneSettings, nearest


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
    keywords: dict[str, Any] = {"num_classes": 0, **settings.options}
    if settings.weights not in ("none", "pretrained"):
        path = Path(settings.weights)
        if not path.is_file():
            raise UserError(f"the weights file {path} does not exist: name a file, or use weights: none.")
        keywords["pretrained_cfg_overlay"] = {"file": str(path), "num_classes": 0}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # timm warns of its own renamed models
            body = timm.create_model(settings.name, pretrained=settings.weights != "none", **keywords)
    except Exception as error:
        raise UserError(_why(settings, error)) from None
    known = resolve_data_config(model=body)
    return body, Found(
        int(getattr(body, "head_hidden_size", body.num_features)),  # type: ignore[arg-type]
        known["input_size"][-1],
        (known["mean"], known["std"]),
        _stages(body),
    )


def _why(settings: BackboneSettings, error: Exception) -> str:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    if settings.weights == "pretrained":
        return (
            f"the pretrained weights of '{settings.name}' could not be loaded ({reason}): connect to the hub once, "
            "give a local file as --weights, or use --weights none."
        )
    if settings.weights == "none":
        return f"timm could not build '{settings.name}' with backbone.options {settings.options}: {reason}"
    return f"{settings.weights} does not hold weights of '{settings.name}': {reason}"


def _stages(body: nn.Module) -> list[list[str]]:
    from timm.models import group_parameters

    by_depth: dict[int, list[str]] = {}
    for name, depth in group_parameters(body, body.group_matcher(coarse=True), reverse=True).items():  # type: ignore[operator]
        by_depth.setdefault(depth, []).append(name)
    return [by_depth[depth] for depth in sorted(by_depth)]
