"""name -> learner and the typed options of its `learner:` section; one method per file."""

from __future__ import annotations

from typing import Any, NamedTuple

from fewshot.config import Settings
from fewshot.learners import experts, finetune, maml, probe, protonet, scratch, siamese


class Method(NamedTuple):
    """build(backbone, task, options) gives the learner; options is the class that checks its settings."""

    build: Any
    options: type[Settings]


LEARNERS: dict[str, Method] = {
    "experts": Method(experts.Experts, experts.Options),
    "finetune": Method(finetune.Finetune, finetune.Options),
    "maml": Method(maml.Maml, maml.Options),
    "probe": Method(probe.Probe, probe.Options),
    "protonet": Method(protonet.ProtoNet, protonet.Options),
    "scratch": Method(scratch.Scratch, scratch.Options),
    "siamese": Method(siamese.Siamese, siamese.Options),
}
