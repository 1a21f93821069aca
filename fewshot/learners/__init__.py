"""The learners by the name of their method; one method per file.

A learner of your own joins the others with `LEARNERS["mine"] = Mine`.
"""

from __future__ import annotations

from fewshot.learners.base import Learner
from fewshot.learners.baseline import Baseline
from fewshot.learners.experts import Experts
from fewshot.learners.finetune import FineTune
from fewshot.learners.maml import MAML
from fewshot.learners.matching import Matching
from fewshot.learners.probe import Probe
from fewshot.learners.protonet import ProtoNet
from fewshot.learners.relation import Relation
from fewshot.learners.scratch import Scratch
from fewshot.learners.siamese import Siamese

LEARNERS: dict[str, type[Learner]] = {
    "baseline": Baseline,
    "experts": Experts,
    "finetune": FineTune,
    "maml": MAML,
    "matching": Matching,
    "probe": Probe,
    "protonet": ProtoNet,
    "relation": Relation,
    "scratch": Scratch,
    "siamese": Siamese,
}
