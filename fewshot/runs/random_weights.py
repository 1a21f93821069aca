"""A remark on networks whose weights are random and that the training leaves as they are."""

from __future__ import annotations

from fewshot import backbones
from fewshot.backbones import Backbone
from fewshot.config import BackboneSettings, MethodConfig
from fewshot.learners.base import Learner
from fewshot.training import optim


def remark(settings: MethodConfig, backbone: Backbone, trained: Learner | None) -> str | None:
    """Return a sentence on the weights of the backbone that are random and never trained.

    Args:
        settings: the settings of the run.
        backbone: its network.
        trained: the learner that its training trained; None if nothing was trained.

    Returns:
        None if the weights were loaded, or if all of them are trained.
    """
    random = [one for one in settings.backbone.networks if one.weights == "none"]
    if not random:
        return None
    if settings.backbone.beside and trained is None:
        remedy = _remedy(random[0])
        return f"backbone '{random[0].name}' has random weights that nothing trains: {remedy}"
    if settings.backbone.beside:
        return None
    stages, changed = backbone.stages, _changed(settings, trained)
    n_random = sum(not any(f"backbone.{name}" in changed for name in stage) for stage in stages)
    if n_random == 0:
        return None
    name, remedy = settings.backbone.name, _remedy(settings.backbone)
    if n_random == len(stages):
        return f"backbone '{name}' has random weights that nothing trains: {remedy}"
    return (
        f"{n_random} of the {len(stages)} stages of backbone '{name}' have random weights that "
        f"nothing trains: {remedy}, or let train.phases train all stages"
    )


def _changed(settings: MethodConfig, learner: Learner | None) -> set[str]:
    """Return the names of the parameters that the training changes."""
    if settings.train is None or learner is None:
        return set()
    names: set[str] = set()
    for phase in settings.train.phases:
        names |= optim.trained_names(learner, settings.train, phase.trainable)
    return names


def _remedy(backbone: BackboneSettings) -> str:
    if backbones.has_pretrained_weights(backbone):
        return "use --weights pretrained"
    return "it has no pretrained ones, so use a file, or another network (see `fewshot list`)"
