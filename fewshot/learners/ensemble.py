"""Several networks in one training, whose mean class probabilities are the prediction.

Source: Lakshminarayanan et al., Simple and scalable predictive uncertainty estimation using deep
ensembles, arXiv 1612.01474.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from fewshot import functional
from fewshot.backbones import concatenate
from fewshot.heads.trainable import EnsembleHead
from fewshot.learners.supervised import HeadLearner, Supervised


class Ensemble(HeadLearner):
    """Supervised learners of one form that see the same batches; each trains by its own loss.

    Args:
        learners: two or more learners whose backbones have the same form.
    """

    def __init__(self, learners: Sequence[Supervised]) -> None:
        super().__init__(concatenate([learner.backbone for learner in learners]))
        self.head = EnsembleHead([learner.head for learner in learners])
        self.n_way = learners[0].n_way

    def logits_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return functional.ensemble_cross_entropy(logits, labels)

    def combine(self, logits: Tensor) -> Tensor:
        return functional.ensemble_log_probabilities(logits)
