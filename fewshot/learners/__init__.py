"""The learners by the name of their method; one method per file."""

from __future__ import annotations

from fewshot.learners import experts, finetune, maml, probe, protonet, scratch, siamese
from fewshot.learners.base import Learner

LEARNERS: dict[str, type[Learner]] = {
    "experts": experts.Experts,
    "finetune": finetune.Finetune,
    "maml": maml.Maml,
    "probe": probe.Probe,
    "protonet": protonet.ProtoNet,
    "scratch": scratch.Scratch,
    "siamese": siamese.Siamese,
}
