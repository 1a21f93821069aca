"""Heads whose logits are linear in the features of a query, after the setting `features`."""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from episodes.tasks.task_set import TaskSet
from fewshot.heads.pool import gathered, inner_products
from fewshot.heads.task_head import TaskClassifier, TaskHead


class Linear(NamedTuple):
    """Linear classifiers, one for each task: logits = weight @ query + bias.

    Attributes:
        weight_TWD: float [t, n_way, d].
        bias_TW: float [t, n_way].
    """

    weight_TWD: Tensor
    bias_TW: Tensor


class LinearHead(TaskHead):
    """A head that fits linear classifiers to the supports.

    Its logits for a query depend on nothing but that query and the support. Because they are
    linear, a pool of images needs no copy of the queries' features for every task.
    """

    transductive = False
    at_once = 8  # the features of the queries are not copied

    @abstractmethod
    def fit(self, support_TSD: Tensor, labels_TS: Tensor, n_way: int) -> Linear:
        """Return the classifiers for prepared features; the arguments are those of `logits`."""

    @property
    def unit_queries(self) -> bool:
        """Whether the queries are scaled to unit length even with `features: UN`."""
        return False

    def logits(
        self, support_TSD: Tensor, labels_TS: Tensor, query_TQD: Tensor, n_way: int
    ) -> Tensor:
        linear = self.fit(support_TSD, labels_TS, n_way)
        if self.unit_queries:
            query_TQD = F.normalize(query_TQD, dim=-1)
        return query_TQD @ linear.weight_TWD.mT + linear.bias_TW[:, None]

    def on_pool(self, features_ND: Tensor, base_mean_D: Tensor | None = None) -> TaskClassifier:
        if self.options.features == "CL2N" and base_mean_D is None:
            return self._with_own_centres(features_ND)
        pool_ND = self._prepared(features_ND, base_mean_D)
        lengths_N = None
        if self.unit_queries and self.options.features == "UN":
            lengths_N = pool_ND.norm(dim=1).clamp(min=1e-12)

        def classify(tasks: TaskSet) -> Tensor:
            linear = self.fit_on_pool(pool_ND, tasks)
            products_TWQ = inner_products(linear.weight_TWD, pool_ND, tasks.query)
            if lengths_N is not None:
                products_TWQ = products_TWQ / lengths_N[tasks.query][:, None]
            return (products_TWQ + linear.bias_TW[..., None]).mT.contiguous()

        return classify

    def fit_on_pool(self, pool_ND: Tensor, tasks: TaskSet) -> Linear:
        """Return the classifiers of tasks among the images of a pool of prepared features."""
        return self.fit(gathered(pool_ND, tasks.support), tasks.support_labels, tasks.n_way)

    def _with_own_centres(self, features_ND: Tensor) -> TaskClassifier:
        """Return the function of `on_pool` if the centre of a task is the mean of its support.

        With the weights w, the centre c and a query x, w (x - c) / |x - c| is computed from the
        inner products of x with w, c and itself.
        """
        pool_ND = features_ND - features_ND.mean(0)  # changes nothing but rounding errors
        squares_N = pool_ND.square().sum(1)
        eps = torch.finfo(pool_ND.dtype).eps

        def classify(tasks: TaskSet) -> Tensor:
            support_TSD = gathered(pool_ND, tasks.support)
            centre_T1D = support_TSD.mean(1, keepdim=True)
            support_TSD = self._prepared(support_TSD, centre_T1D)
            linear = self.fit(support_TSD, tasks.support_labels, tasks.n_way)
            rows_TRD = torch.cat([linear.weight_TWD, centre_T1D], 1)
            products_TRQ = inner_products(rows_TRD, pool_ND, tasks.query)
            at_centre_TR1 = rows_TRD @ centre_T1D.mT
            query_T1Q = squares_N[tasks.query][:, None]
            lengths_T1Q = query_T1Q - 2 * products_TRQ[:, -1:] + at_centre_TR1[:, -1:]
            least = eps * (query_T1Q + at_centre_TR1[:, -1:])  # a query at the centre
            lengths_T1Q = lengths_T1Q.maximum(least).clamp(min=eps**4).sqrt()
            products_TWQ = (products_TRQ - at_centre_TR1)[:, :-1] / lengths_T1Q
            return (products_TWQ + linear.bias_TW[..., None]).mT.contiguous()

        return classify
