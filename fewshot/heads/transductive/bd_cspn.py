"""BD-CSPN: class means that are corrected for two biases, with the queries.

The queries x_j are shifted by the mean of the support minus the mean of the queries (the bias
between support and queries). Each shifted query joins the class w whose mean m_w has the greatest
cosine with it. The new prototype of a class (corrected for the bias within the class) is the
weighted mean of its support and of the shifted queries that joined it,

    p_w = sum over i of v_iw x_i / sum over i of v_iw,    v_iw = softmax over w of e cos(x_i, m_w),

and the logits are e cos(x_j, p_w), with the queries as they were before the shift.

Assumption: the shift is right if the classes have equal shares of the support and of the queries.
With unequal queries it moves the queries towards classes that are rare among them.

What differs: the paper adds the Z queries of each class that are most similar to its mean; here all
queries join a class, as in the programs of Ziko et al. (LaplacianShot) and Veilleux et al. easyfsl
takes v_iw = exp(cos(x_i, m_w)), without the sum over the classes (`weights: exponential`).

Source: Liu, Song, Qin, Prototype rectification for few-shot learning, arXiv 1911.10713, section 3.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from fewshot.config import Positive
from fewshot.functional import one_hot, prototypes
from fewshot.heads.task_head import TaskHead, TaskHeadOptions


class Rectification(TaskHeadOptions):
    """The settings of the prototypes, here and in LaplacianShot."""

    scale: Positive = Field(default=10.0, description="Factor e of the cosines.")
    weights: Literal["softmax", "exponential"] = Field(
        default="softmax",
        description="Weight of an image in the prototype of its class: the softmax of its scaled "
        "cosines over the classes, or the exponential of the one with its class.",
    )


def rectified(
    support_TSD: Tensor,
    labels_TS: Tensor,
    query_TQD: Tensor,
    n_way: int,
    options: Rectification,
) -> Tensor:
    """Return the rectified prototypes, [t, n_way, d].

    Args:
        support_TSD: features of the support, float [t, s, d].
        labels_TS: labels within the task, int64 [t, s].
        query_TQD: features of the queries, float [t, q, d].
        n_way: the number of classes.
        options: the settings.
    """
    query_TQD = query_TQD + support_TSD.mean(1, keepdim=True) - query_TQD.mean(1, keepdim=True)
    one_hot_TSW = one_hot(labels_TS, n_way, support_TSD)
    means_TWD = F.normalize(prototypes(support_TSD, labels_TS, n_way), dim=-1)
    images_TND = torch.cat([support_TSD, query_TQD], 1)
    cosines_TNW = F.normalize(images_TND, dim=-1) @ means_TWD.mT
    joined_TQ = cosines_TNW[:, labels_TS.shape[1] :].argmax(-1)
    members_TNW = torch.cat([one_hot_TSW, one_hot(joined_TQ, n_way, support_TSD)], 1)
    if options.weights == "softmax":
        weights_TNW = (options.scale * cosines_TNW).softmax(-1) * members_TNW
    else:
        weights_TNW = (options.scale * (cosines_TNW - 1)).exp() * members_TNW
    return weights_TNW.mT @ images_TND / weights_TNW.sum(1)[..., None]


class BDCSPN(TaskHead):
    """Cosines to prototypes that were rectified with the queries."""

    transductive = True
    options_type = Rectification
    options: Rectification

    def logits(
        self, support_TSD: Tensor, labels_TS: Tensor, query_TQD: Tensor, n_way: int
    ) -> Tensor:
        prototypes_TWD = rectified(support_TSD, labels_TS, query_TQD, n_way, self.options)
        query_TQD = F.normalize(query_TQD, dim=-1)
        return self.options.scale * query_TQD @ F.normalize(prototypes_TWD, dim=-1).mT
