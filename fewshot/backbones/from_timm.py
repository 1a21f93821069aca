"""Any timm model as the body of a backbone: random, published or local weights."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from torch import nn

from fewshot.backbones import hub, weight_files
from fewshot.backbones.networks import Statistics
from fewshot.config import BackboneSettings, nearest
from fewshot.errors import NotHere, UserError


class Description(NamedTuple):
    """What timm states about a model.

    Attributes:
        n_features: the number of features.
        input_size: the side in pixels of the images that the weights were trained on.
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
        UserError: for an unknown name, options that the model refuses, and weights that cannot be
            loaded; NotHere, which is one, if there is no connection to download them.
    """
    from timm.data import resolve_data_config

    _check_name(settings.name, own)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # timm warns about models that it has renamed
        body = _create_body(settings)
    data_config = resolve_data_config(model=body)
    # Not every model has a hidden size of the head; num_features is then the width of its features.
    n_features = getattr(body, "head_hidden_size", None) or body.num_features
    description = Description(
        n_features=int(n_features),  # type: ignore[arg-type]  # a number in every timm model
        input_size=data_config["input_size"][-1],
        statistics=(data_config["mean"], data_config["std"]),
        stages=_stages(body),
    )
    return body, description


def default_input_size(settings: BackboneSettings, own: list[str]) -> int:
    """Return the side in pixels of the images that a timm model was trained on.

    The model is built without weights and without memory for them.

    Args:
        settings: the name of the model and its options.
        own: names of our own networks, which the message for an unknown name proposes too.

    Raises:
        UserError: for an unknown name, and options that the model refuses.
    """
    import torch
    from timm.data import resolve_data_config

    _check_name(settings.name, own)
    without_weights = settings.model_copy(update={"weights": "none"})
    with warnings.catch_warnings(), torch.device("meta"):
        warnings.simplefilter("ignore")
        body = _create_body(without_weights)
    return int(resolve_data_config(model=body)["input_size"][-1])


def _check_name(name: str, own: list[str]) -> None:
    """Raise UserError, with the nearest names, unless timm has a model of that name."""
    import timm

    if not timm.is_model(name):
        hint = nearest(name, own + timm.list_models())
        if not hint.startswith("did"):
            hint = f"own: {', '.join(own)}; all others are timm's."
        raise UserError(f"unknown backbone '{name}': {hint}")


def _create_body(settings: BackboneSettings) -> nn.Module:
    import timm

    make = partial(timm.create_model, settings.name, **{"num_classes": 0, **settings.options})
    if settings.weights == "pretrained":
        return _with_published_weights(settings, make)
    try:
        body = make()
    except Exception as error:
        raise UserError(
            f"timm could not build '{settings.name}' with backbone.options {settings.options}: "
            f"{_first_line(error)}"
        ) from None
    if settings.weights == "none":
        return body
    return weight_files.load(body, make, Path(settings.weights), settings.name)


def _with_published_weights(
    settings: BackboneSettings, make: Callable[..., nn.Module]
) -> nn.Module:
    """Create the model with published weights, from the hub's cache or by downloading them."""
    from timm.models import get_pretrained_cfg

    remedy = "connect to the hub once, give a local file as --weights, or use --weights none."
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


def has_published_weights(name: str) -> bool:
    """Return whether timm knows of published weights of a model."""
    from timm.models import get_pretrained_cfg

    published = get_pretrained_cfg(name)
    return published is not None and published.has_weights


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _stages(body: nn.Module) -> list[list[str]]:
    """Return the parameter names by depth, as timm groups them.

    A norm that is a group of its own joins the stage before it, so that every stage has filters.
    """
    from timm.models import group_parameters

    matcher = body.group_matcher(coarse=True)  # type: ignore[operator]  # every timm model has it
    names_by_depth: dict[int, list[str]] = {}
    for name, depth in group_parameters(body, matcher, reverse=True).items():
        names_by_depth.setdefault(depth, []).append(name)
    dimensions = {name: parameter.ndim for name, parameter in body.named_parameters()}
    stages: list[list[str]] = []
    for _, names in sorted(names_by_depth.items()):
        if stages and all(dimensions[name] < 2 for name in names):
            stages[-1] += names
        else:
            stages.append(names)
    return stages
