"""Label propagation: labels spread from the support over a graph of all images of a task.

Images i and j of the task are joined with the weight

    W_ij = exp(-|x_i - x_j|^2 / (s_i s_j)),    W_ii = 0,

if one of them is among the nearest neighbours of the other, else 0. With D_ii = sum over j of W_ij,
S = D^-1/2 W D^-1/2 and the one-hot labels Y of the support, each divided by the shots of its class
(zeros for the queries), the scores are

    F = (I - A S)^-1 Y,

the limit of repeating F <- A S F + Y. The logits of a query are the logarithms of its scores,
divided by their sum. No balance of the queries is assumed.

What differs: TPN learns the lengths s_i with a network that was trained on tasks; here s_i is the
distance of image i to its seventh neighbour, as Zelnik-Manor and Perona suggest (Self-tuning
spectral clustering, NIPS 2004), so that nothing has to be learned or chosen. The
division by the shots, which has no effect for equal shots, prevents large classes from winning.
An image has at most a quarter of the task's images as neighbours, which is TPN's share, 20 of 80:
where every image is joined with every other one, all queries get the class of the support image
with the largest D, whatever they show.

Sources: Zhou et al., Learning with local and global consistency, NIPS 2003; Liu et al., TPN, arXiv
1805.10002, section 3.2.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from fewshot.config import Count, Share
from fewshot.functional import one_hot
from fewshot.heads.task_head import TaskHead, TaskHeadOptions
from fewshot.heads.transductive.geometry import log_probabilities, squared_distances

LOCAL = 7  # neighbour whose distance is the length of an image


class Options(TaskHeadOptions):
    """The settings of `label-propagation`."""

    neighbours: Count = Field(
        default=20,
        description="Number of nearest neighbours of an image, at most a quarter of the task's "
        "images. [images of the task]",
    )
    spread: Share = Field(
        default=0.99,
        description="Share A of its neighbours' scores that an image takes, the paper's alpha.",
    )


def graph(images_TND: Tensor, n_neighbours: int) -> Tensor:
    """Return the normalised weights S of the neighbours, symmetric, [t, n, n]."""
    squares_TNN = squared_distances(images_TND, images_TND)
    squares_TNN.diagonal(dim1=1, dim2=2).fill_(torch.inf)
    n_images = images_TND.shape[1]
    n_nearest = max(1, min(n_neighbours, n_images // 4))
    nearest = squares_TNN.topk(n_nearest, largest=False)
    joined_TNN = torch.zeros_like(squares_TNN).scatter_(2, nearest.indices, 1.0)
    joined_TNN = torch.maximum(joined_TNN, joined_TNN.mT)
    lengths_TN = squares_TNN.kthvalue(min(LOCAL, n_images - 1)).values.clamp(min=1e-12).sqrt()
    scales_TNN = lengths_TN[:, :, None] * lengths_TN[:, None, :]
    weights_TNN = joined_TNN * (-squares_TNN / scales_TNN).exp()
    roots_TN = weights_TNN.sum(-1).clamp(min=1e-12).rsqrt()
    return roots_TN[:, :, None] * weights_TNN * roots_TN[:, None, :]


class LabelPropagation(TaskHead):
    """Scores that spread from the support over a graph of neighbours."""

    transductive = True
    options_type = Options
    options: Options

    def logits(
        self, support_TSD: Tensor, labels_TS: Tensor, query_TQD: Tensor, n_way: int
    ) -> Tensor:
        n_support = labels_TS.shape[1]
        images_TND = torch.cat([support_TSD, query_TQD], 1)
        system_TNN = -self.options.spread * graph(images_TND, self.options.neighbours)
        system_TNN.diagonal(dim1=1, dim2=2).add_(1.0)
        labels_TNW = images_TND.new_zeros(*images_TND.shape[:2], n_way)
        one_hot_TSW = one_hot(labels_TS, n_way, images_TND)
        labels_TNW[:, :n_support] = one_hot_TSW / one_hot_TSW.sum(1, keepdim=True)
        scores_TNW = torch.linalg.solve(system_TNN, labels_TNW)
        return log_probabilities(scores_TNW[:, n_support:])
