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
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # timm warns of its own renamed models
            body = timm.create_model(settings.name, pretrained=settings.weights == "pretrained", **keywords)
    except Exception as error:
        raise UserError(_why(settings, error)) from None
    if settings.weights not in ("none", "pretrained"):
        _load(body, Path(settings.weights), settings.name)
    known = resolve_data_config(model=body)
    return body, Found(
        int(getattr(body, "head_hidden_size", body.num_features)),  # type: ignore[arg-type]
        known["input_size"][-1],
        (known["mean"], known["std"]),
        _stages(body),
    )


def _load(body: Any, path: Path, name: str) -> None:
    """The weights of a file, which may also hold a classifier of any size; nothing else may differ."""
    from timm.models import load_state_dict

    if not path.is_file():
        raise UserError(f"the weights file {path} does not exist: name a file, or use weights: none.")
    classifier = body.pretrained_cfg.get("classifier") or ()
    heads = tuple(f"{each}." for each in ((classifier,) if isinstance(classifier, str) else classifier))
    try:
        state = {key: each for key, each in load_state_dict(str(path)).items() if not key.startswith(heads)}
        body.load_state_dict(state)
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path} does not hold weights of '{name}': {reason}") from None


def _why(settings: BackboneSettings, error: Exception) -> str:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    if settings.weights == "pretrained":
        return (
            f"the pretrained weights of '{settings.name}' could not be loaded ({reason}): connect to the hub once, "
            "give a local file as --weights, or use --weights none."
        )
    return f"timm could not build '{settings.name}' with backbone.options {settings.options}: {reason}"


def _stages(body: nn.Module) -> list[list[str]]:
    """Parameter names by depth, as timm groups them; a norm that stands alone goes with the stage before it."""
    from timm.models import group_parameters

    by_depth: dict[int, list[str]] = {}
    for name, depth in group_parameters(body, body.group_matcher(coarse=True), reverse=True).items():  # type: ignore[operator]
        by_depth.setdefault(depth, []).append(name)
    dimensions = {name: parameter.ndim for name, parameter in body.named_parameters()}
    stages: list[list[str]] = []
    for depth in sorted(by_depth):
        if stages and all(dimensions[name] < 2 for name in by_depth[depth]):
            stages[-1] += by_depth[depth]
        else:
            stages.append(by_depth[depth])
    return stages
