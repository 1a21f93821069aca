"""From a request to complete settings: the method, its preset, and what the request overrides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from episodes import augment
from fewshot import config
from fewshot.config import EpisodesConfig, MethodConfig
from fewshot.errors import UserError
from fewshot.learners import LEARNERS
from fewshot.runs import run_settings
from fewshot.runs.episodic import methods
from fewshot.runs.episodic.methods import Method

OUR_BODY = {"name": "mini-resnet", "weights": "pretrained"}
OF_IMAGES = ("data", "backbone", "base", "split", "part", "preset")  # no use for given features
GIVEN = "given features"  # name of the backbone where features are given
OF_TRAINING = ("train", "augment", "append")  # sections of a preset that only a training reads
ONLY_FOR_TRAINING = ("augment", "append", "train_seed", "select", "base")  # keys of a request


class Settled(NamedTuple):
    """The complete settings of a request and its method."""

    config: EpisodesConfig
    method: Method


def settle(values: Mapping[str, Any], *, given: bool = False) -> Settled:
    """Return the complete settings of a request.

    Args:
        values: settings on top of the preset, as nested mappings. `train` may be true, for the
            preset's own training; without it, or with null or false, nothing is trained.
        given: features are given, so that there is no network.

    Raises:
        UserError: a name, key, type or value is wrong, or a section has no use.
    """
    request = config.expand(values.items())
    config.check_first(request)
    method = methods.method(request.get("method"))
    trained = _wants_training(request)
    if isinstance(request.get("base"), str):
        request["base"] = [name.strip() for name in request["base"].split(",") if name.strip()]
    if isinstance(request.get("base"), list):
        names = request["base"]
        request["base"] = [name for place, name in enumerate(names) if name not in names[:place]]
    if (request.get("backbone") or {}).get("name") == GIVEN:  # settings that such a run wrote
        if not given:
            raise UserError(
                "these settings are from a run on your own features: name their "
                "file with --features."
            )
        request = {key: value for key, value in request.items() if key not in OF_IMAGES}
    if not trained:
        _check_untrained(request, method)
    if given:
        return Settled(_of_features(request, method, trained), method)
    preset = request.get("preset") or ""
    base: dict[str, Any] = {"backbone": OUR_BODY}
    if method.learner is not None or trained:
        preset = preset or method.preset(_weights(request))
        base = config.preset(method.trains, preset)
        base = {key: value for key, value in base.items() if key != "method"}
    elif preset:
        raise UserError(
            f"method '{method.name}' has no preset without a training: leave out preset, or ask "
            "for the training (--train)."
        )
    if trained:
        _require_section(request, base, method, preset)
    else:
        base = {key: value for key, value in base.items() if key not in OF_TRAINING}
        request = {key: value for key, value in request.items() if key not in OF_TRAINING}
    if request.get("train") is True:
        del request["train"]
    learner = method.learner_type or (LEARNERS[method.trains] if trained else None)
    if learner is not None:
        base, request = (run_settings.with_new_keys(one, learner) for one in (base, request))
    merged = config.overlay(base, {**request, "preset": config.preset_name(preset) or None})
    settings = config.check(EpisodesConfig, merged, "the configuration")
    return Settled(_checked(settings, method), method)


def _wants_training(request: Mapping[str, Any]) -> bool:
    train = request.get("train")
    if not (train is None or isinstance(train, bool | Mapping)):
        raise UserError(
            f"train: expected true, false or a mapping of settings, not {train!r}: remove it."
        )
    return train is True or isinstance(train, Mapping)


def _check_untrained(request: Mapping[str, Any], method: Method) -> None:
    """Raise UserError for a value that only a training reads; defaults and nothing are accepted."""
    for key in ONLY_FOR_TRAINING:
        value = request.get(key)
        if not value or value == EpisodesConfig.model_fields[key].default:
            continue
        if key == "base" and method.learner is None:  # the centre of a head
            continue
        raise UserError(
            f"'{key}' has no effect without a training: leave it out, or ask for the training "
            "(--train)."
        )


def _require_section(
    request: Mapping[str, Any], base: Mapping[str, Any], method: Method, preset: str
) -> None:
    """Raise UserError unless there is a training."""
    if LEARNERS[method.trains].feed is None:
        raise UserError(f"method '{method.name}' cannot be trained: leave out --train.")
    if not base.get("train") and not isinstance(request.get("train"), Mapping):
        raise UserError(
            f"the preset '{preset}' of '{method.trains}' has no section 'train': take another "
            "preset, or leave out --train."
        )


def _weights(request: Mapping[str, Any]) -> str:
    """Return the weights of the body that a request names; another body than ours is random."""
    backbone = request.get("backbone") or {}
    if "weights" in backbone:
        return str(backbone["weights"])
    ours = backbone.get("name", OUR_BODY["name"]) == OUR_BODY["name"]
    return OUR_BODY["weights"] if ours else "none"


def _of_features(request: dict[str, Any], method: Method, trained: bool) -> EpisodesConfig:
    if method.learner is not None:
        heads = ", ".join(name for name, one in methods.methods().items() if one.learner is None)
        raise UserError(
            f"given features are for heads, and method '{method.name}' has a network: use one of "
            f"{heads}."
        )
    unused = [key for key in OF_IMAGES if request.get(key)]
    if trained or unused:
        raise UserError(
            f"'{'train' if trained else unused[0]}' has no effect on given features: remove it."
        )
    request = {key: value for key, value in request.items() if key not in OF_TRAINING}
    merged = config.overlay(request, {"backbone": {"name": GIVEN}, "preset": None})
    return _checked(config.check(EpisodesConfig, merged, "the configuration"), method)


def _checked(settings: EpisodesConfig, method: Method) -> EpisodesConfig:
    """Return the settings with the complete options of the head or the learner."""
    changes: dict[str, Any] = {"augment": tuple(augment.check(settings.augment))}
    learner_type = method.learner_type
    if learner_type is None and settings.train is not None:
        learner_type = LEARNERS[method.trains]
    if method.head_type is not None:
        options = config.check(
            method.head_type.options_type, settings.head, "the configuration", prefix="head."
        )
        changes["head"] = options.model_dump(mode="json")
    elif settings.head:
        raise UserError(f"method '{method.name}' is no head: remove the section 'head'.")
    if learner_type is not None:
        learner = config.check(
            learner_type.options_type, settings.learner, "the configuration", prefix="learner."
        )
        changes["learner"] = learner.model_dump(mode="json")
    elif settings.learner:
        raise UserError(
            f"method '{method.name}' is a head: its settings are in the section 'head', not in "
            "'learner'."
        )
    if method.learner is not None and settings.train is None:
        changes["base"] = ()  # only a training and the centre of a head read base classes
    return settings.model_copy(update=changes)


def of_learner(settings: EpisodesConfig, method: Method) -> MethodConfig:
    """Return the settings of the learner that is meta-trained, or that is used as it is."""
    values = settings.model_dump(mode="json", include=set(MethodConfig.model_fields))
    return MethodConfig.model_validate({**values, "method": method.trains})
