"""BD-CSPN: class means that are corrected for two biases, with the queries.

The queries x_j are shifted by the mean of the support minus the mean of the queries (the bias
between support and queries). Each shifted query joins the class w whose mean m_w has the greatest
cosine with it. The new prototype of a class (corrected for the bias within the class) is the
weighted mean of its support and of the shifted queries that joined it,

    p_w = sum over i of v_iw x_i,    v_iw = exp(e cos(x_i, m_w)) / sum over i of the same,

and the logits are e cos(x_j, p_w), with the queries as they were before the shift.

Assumption: the shift is right if the classes have equal shares of the support and of the queries.
With unequal queries it moves the queries towards classes that are rare among them.

What differs: the paper adds the Z queries of each class that are most similar to its mean; here all
queries join a class, as in the implementations of Veilleux et al. and of easyfsl (with e = 1). The
weights of a prototype sum to one here and in easyfsl; Veilleux et al. take weights that sum to one
over the classes.

Source: Liu, Song, Qin, Prototype rectification for few-shot learning, arXiv 1911.10713, section 3.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from fewshot.config import Positive
from fewshot.functional import prototypes
from fewshot.heads.task_head import TaskHead, TaskHeadOptions
from fewshot.heads.transductive.geometry import one_hot

SCALE = 10.0  # e of the paper, section 4.1


def rectified(
    support_TSD: Tensor, labels_TS: Tensor, query_TQD: Tensor, n_way: int, scale: float = SCALE
) -> Tensor:
    """Return the rectified prototypes, [t, n_way, d].

    Args:
        support_TSD: features of the support, float [t, s, d].
        labels_TS: labels within the task, int64 [t, s].
        query_TQD: features of the queries, float [t, q, d].
        n_way: the number of classes.
        scale: factor e of the cosines in the weights.
    """
    query_TQD = query_TQD + support_TSD.mean(1, keepdim=True) - query_TQD.mean(1, keepdim=True)
    one_hot_TSW = one_hot(labels_TS, n_way, support_TSD)
    means_TWD = F.normalize(prototypes(support_TSD, labels_TS, n_way), dim=-1)
    images_TND = torch.cat([support_TSD, query_TQD], 1)
    cosines_TNW = F.normalize(images_TND, dim=-1) @ means_TWD.mT
    joined_TQ = cosines_TNW[:, labels_TS.shape[1] :].argmax(-1)
    members_TNW = torch.cat([one_hot_TSW, one_hot(joined_TQ, n_way, support_TSD)], 1)
    weights_TNW = members_TNW * (scale * (cosines_TNW - 1)).exp()
    return weights_TNW.mT @ images_TND / weights_TNW.sum(1)[..., None]


class Options(TaskHeadOptions):
    """The settings of `bd-cspn`."""

    scale: Positive = Field(
        default=SCALE, description="Factor e of the cosines in the weights and in the logits."
    )


class BDCSPN(TaskHead):
    """Cosines to prototypes that were rectified with the queries."""

    transductive = True
    options_type = Options
    options: Options

    def logits(
        self, support_TSD: Tensor, labels_TS: Tensor, query_TQD: Tensor, n_way: int
    ) -> Tensor:
        scale = self.options.scale
        prototypes_TWD = rectified(support_TSD, labels_TS, query_TQD, n_way, scale)
        query_TQD = F.normalize(query_TQD, dim=-1)
        return scale * query_TQD @ F.normalize(prototypes_TWD, dim=-1).mT
