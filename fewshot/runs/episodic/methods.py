"""The methods of the episodic regime: heads on features, and learners with their own presets."""

from __future__ import annotations

from typing import NamedTuple

from episodes.rng import seeded
from fewshot import backbones, config
from fewshot.errors import UserError
from fewshot.evaluation import independence
from fewshot.evaluation.independence import Independence
from fewshot.heads import HEADS
from fewshot.heads.task_head import TaskHead
from fewshot.learners import LEARNERS
from fewshot.learners.base import Learner, Task

PRESET = "episodes"  # begins the name of every preset of the regime
RANDOM = "random"  # ends the name of the preset for a body with random weights
CLASSIFIER = "baseline"  # the learner whose body a head uses after a meta-training


class Method(NamedTuple):
    """A method of the episodic regime.

    Attributes:
        name: what `--method` takes.
        learner: name of the learner; None for a head.
        variant: the middle part of the names of its presets; empty for the learner itself.
    """

    name: str
    learner: str | None
    variant: str = ""

    @property
    def head_type(self) -> type[TaskHead] | None:
        """The class of a head; None for a learner."""
        return HEADS[self.name] if self.learner is None else None

    @property
    def learner_type(self) -> type[Learner] | None:
        """The class of a learner; None for a head."""
        return None if self.learner is None else LEARNERS[self.learner]

    @property
    def transductive(self) -> bool:
        """Whether the prediction of a query depends on the other queries of its task."""
        return self.head_type is not None and self.head_type.transductive

    @property
    def trains(self) -> str:
        """Name of the learner that is meta-trained for this method."""
        return self.learner or CLASSIFIER

    def preset(self, weights: str) -> str:
        """Return the preset of the learner that is meta-trained, by the weights of the body."""
        random = RANDOM if weights == "none" else ""
        return "-".join(part for part in (PRESET, self.variant, random) if part)


# name -> learner and variant
_OF_LEARNERS = {
    "protonet": ("protonet", ""),
    "matching": ("matching", ""),
    "relation": ("relation", ""),
    "siamese": ("siamese", ""),
    "maml": ("maml", ""),
    "fomaml": ("maml", "first"),
    "anil": ("maml", "anil"),
    "baseline": ("baseline", ""),
    "baseline++": ("baseline", "cosine"),
}


def methods() -> dict[str, Method]:
    """Return every method by its name: heads first, then learners."""
    heads = {name: Method(name, None) for name in HEADS}
    return heads | {name: Method(name, *kind) for name, kind in _OF_LEARNERS.items()}


def method(name: object) -> Method:
    """Return the method of a name.

    Raises:
        UserError: naming the nearest method, if there is none of this name.
    """
    known = methods()
    if name in LEARNERS and name not in known:
        raise UserError(
            f"method '{name}' is one of fewshot run, not of fewshot episodes, which has "
            f"{', '.join(known)}."
        )
    if not isinstance(name, str) or name not in known:
        raise UserError(f"unknown method '{name}': {config.nearest(str(name), list(known))}")
    return known[name]


def check_independence(method: Method) -> Independence:
    """Try whether the prediction of a query depends on the other queries of its task.

    A learner has a small network with random weights, and the settings of its preset.

    Raises:
        UserError: the learner needs a library that is not installed.
    """
    if method.head_type is not None:
        return independence.of_head(method.head_type())
    kind = LEARNERS[method.trains]
    content = config.preset(method.trains, method.preset("none"))
    options = kind.options_type.model_validate(content.get("learner", {}))
    with seeded(0, "independence"):
        network = backbones.build("conv4", options={"width": 8})
        task = Task(independence.N_WAY, n_base=2 * independence.N_WAY)
        return independence.of_learner(kind.from_config(network, task, options))
