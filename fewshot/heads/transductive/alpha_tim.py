"""Alpha-TIM: TIM with alpha-entropies, for queries that are not balanced.

The loss and its minimisation are those of TIM (fewshot/heads/transductive/tim.py) with another
entropy of the mean prediction and of the predictions,

    H(p) = (1 - sum over w of p_w^A) / (A - 1),

which is flat around equal shares and therefore tolerates unequal ones. A -> 1 gives the entropy of
TIM. The cross-entropy of the support stays as it is.

What differs: as for TIM. The authors choose A on tasks of validation classes; by default it is what
their program takes for the shots of a task: 2 for 1 shot, 7 for 5 shots or more, 5 between.

Source: Veilleux et al., Realistic evaluation of transductive few-shot learning, arXiv 2204.11181,
sections 3 and 4, and the authors' program.
"""

from __future__ import annotations

from functools import partial

from pydantic import Field
from torch import Tensor

from fewshot.config import Positive
from fewshot.heads.transductive import tim


class Options(tim.Options):
    """The settings of `alpha-tim`."""

    alpha: Positive | None = Field(
        default=None,
        description="Order A of the entropies; null takes 2 for 1 shot, 7 for 5 shots or more and "
        "5 between, by the mean shots of the classes.",
    )


def slopes(probabilities: Tensor, alpha: float) -> Tensor:
    """Return the derivatives of the entropy of order alpha, less a constant without effect."""
    if alpha == 1:
        return tim.shannon(probabilities)
    return -alpha / (alpha - 1) * (probabilities + tim.TINY) ** (alpha - 1)


class AlphaTIM(tim.TIM):
    """Transductive information maximisation with alpha-entropies."""

    transductive = True
    options_type = Options
    options: Options

    def logits(
        self, support_TSD: Tensor, labels_TS: Tensor, query_TQD: Tensor, n_way: int
    ) -> Tensor:
        alpha = self.options.alpha
        if alpha is None:
            shots = labels_TS.shape[1] / n_way
            alpha = 7.0 if shots >= 5 else 5.0 if shots > 1 else 2.0
        tasks = self._tasks(support_TSD, labels_TS, query_TQD, n_way)
        return self.descend(tasks, partial(slopes, alpha=alpha))
