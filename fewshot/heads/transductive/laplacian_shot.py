"""LaplacianShot: the nearest prototype, with a reward for agreeing with similar queries.

Let a_jw = |x_j - p_w|^2 be the distances of the queries to the prototypes, rectified as in BD-CSPN
(fewshot/heads/transductive/bd_cspn.py), and V_ij = 1 if query j is one of the nearest neighbours of
query i, else 0. The assignments y_i over the classes minimise a bound of the sum of a_iw y_iw minus
L / 2 times the sum of V_ij y_i . y_j; each of `steps` updates is

    y_i = softmax over w of  -a_iw + L sum over j of V_ij y_jw.

The logits are the arguments of the last softmax. Only the rectification assumes balanced queries.

What differs: the authors stop once the bound changes by less than a millionth; here all updates
run, so that the tasks of a batch do not depend on each other. The authors choose L on tasks of
validation classes (0.7 for 1 shot and 0.3 for 5 shots on miniImageNet); here 0.7 is the default.

Source: Ziko et al., Laplacian regularized few-shot learning, arXiv 2006.15486, algorithm 1.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from fewshot.config import Count, NotNegative
from fewshot.functional import prototypes
from fewshot.heads.task_head import TaskHead
from fewshot.heads.transductive.bd_cspn import Rectification, rectified
from fewshot.heads.transductive.geometry import squared_distances


class Options(Rectification):
    """The settings of `laplacian-shot`."""

    neighbours: Count = Field(
        default=3,
        description="Number of nearest neighbours of a query; as in the authors' program, the "
        "first is the query itself and does not count. [queries]",
    )
    smoothness: NotNegative = Field(
        default=0.7, description="Weight L of the agreement with the neighbours."
    )
    steps: Count = Field(default=20, description="Number of updates of the assignments.")
    rectify: bool = Field(
        default=True, description="Rectify the prototypes as BD-CSPN does; false: class means."
    )


def neighbours(query_TQD: Tensor, count: int) -> Tensor:
    """Return 1 in row i and column j if query j is one of `count` nearest to query i, [t, q, q]."""
    distances_TQQ = squared_distances(query_TQD, query_TQD)
    distances_TQQ.diagonal(dim1=1, dim2=2).fill_(torch.inf)
    nearest_TQK = distances_TQQ.topk(min(count, query_TQD.shape[1] - 1), largest=False).indices
    return torch.zeros_like(distances_TQQ).scatter_(2, nearest_TQK, 1.0)


class LaplacianShot(TaskHead):
    """The nearest prototype, smoothed over a graph of the queries."""

    transductive = True
    options_type = Options
    options: Options

    def logits(
        self, support_TSD: Tensor, labels_TS: Tensor, query_TQD: Tensor, n_way: int
    ) -> Tensor:
        if self.options.rectify:
            prototypes_TWD = rectified(support_TSD, labels_TS, query_TQD, n_way, self.options)
        else:
            prototypes_TWD = prototypes(support_TSD, labels_TS, n_way)
        unary_TQW = -squared_distances(query_TQD, prototypes_TWD)
        graph_TQQ = self.options.smoothness * neighbours(query_TQD, self.options.neighbours - 1)
        logits_TQW = unary_TQW
        for _ in range(self.options.steps):
            logits_TQW = unary_TQW + graph_TQQ @ logits_TQW.softmax(-1)
        return logits_TQW
