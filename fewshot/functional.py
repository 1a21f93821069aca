"""The mathematics: prototypes, distances, pair losses, mixtures, soft-label cross-entropy.

Suffixes: N queries, S support images, W ways, G groups (superclasses), D feature dimensions.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def cross_entropy(logits_NW: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy; labels int64 [n] or probabilities float [n, n_way]."""
    return F.cross_entropy(logits_NW, labels)


def members_cross_entropy(logits_NMW: Tensor, labels: Tensor) -> Tensor:
    """Mean over members of each one's own mean cross-entropy, with the gradient of their sum: each learns as if alone.

    labels as in `cross_entropy`, of n images that all members saw; or of n for each, the first member's first, and what
    is left over is of images that none saw.
    """
    n, m = logits_NMW.shape[:2]
    own = (
        labels[: n * m].unflatten(0, (m, n)).transpose(0, 1).flatten(0, 1)
        if len(labels) > n
        else None
    )
    mean = F.cross_entropy(
        logits_NMW.flatten(0, 1), labels.repeat_interleave(m, 0) if own is None else own
    )
    return m * mean - (m - 1) * mean.detach()


def together(logits_NMW: Tensor) -> Tensor:
    """Logarithms of the members' mean class probabilities, [n, n_way] (Lakshminarayanan et al., arXiv 1612.01474)."""
    return logits_NMW.log_softmax(2).logsumexp(1) - math.log(logits_NMW.shape[1])


def hardest(logits_NW: Tensor, labels: Tensor, n: int) -> Tensor:
    """Places of the n images of greatest cross-entropy, the greatest first, int64 [n]; labels as in `cross_entropy`."""
    return F.cross_entropy(logits_NW, labels, reduction="none").topk(n).indices


def recalled(labels: Tensor, past_NW: Tensor, share: Tensor) -> Tensor:
    """Targets [n, n_way]: the labels, and with `share` (a number, 0-dim) what was said of each image in the past.

    labels as in `cross_entropy`; past_NW: class probabilities, or zeros where nothing was said, and the label is all.
    Source: Kim et al., arXiv 2006.12000, equation 4, where the past is that of the last epoch.
    """
    if labels.ndim == 1:
        labels = (labels[:, None] == torch.arange(past_NW.shape[1], device=labels.device)).to(
            past_NW.dtype
        )
    shares_N1 = share * past_NW.sum(1, keepdim=True)
    return (1 - shares_N1) * labels + share * past_NW


def distillation(logits_NW: Tensor, taught_NW: Tensor, temperature: float) -> Tensor:
    """Mean divergence of softmax(logits / T) from the probabilities that are taught, times T squared.

    The square keeps the gradient's size whatever T is (Hinton et al., arXiv 1503.02531, section 2).
    """
    log_shares_NW = (logits_NW / temperature).log_softmax(1)
    return temperature**2 * F.kl_div(log_shares_NW, taught_NW, reduction="batchmean")


def prototypes(features_SD: Tensor, labels_S: Tensor, n_way: int) -> Tensor:
    """Class means, [n_way, d]; a class without support gives zeros (Snell et al., arXiv 1703.05175, eq. 1)."""
    # not F.one_hot, which looks at the labels
    one_hot_SW = (labels_S[:, None] == torch.arange(n_way, device=labels_S.device)).to(
        features_SD.dtype
    )
    counts_W = one_hot_SW.sum(0).clamp(min=1)
    return (one_hot_SW.T @ features_SD) / counts_W[:, None]


def squared_distances(a_ND: Tensor, b_WD: Tensor) -> Tensor:
    """Squared Euclidean distances [n, w], exact to rounding even where they are small."""
    return (a_ND[:, None, :] - b_WD[None, :, :]).square().sum(-1)


def cosine_similarities(a_ND: Tensor, b_WD: Tensor) -> Tensor:
    """Cosines in [-1, 1], [n, w]."""
    return F.normalize(a_ND, dim=-1) @ F.normalize(b_WD, dim=-1).T


def contrastive(left_ND: Tensor, right_ND: Tensor, same_N: Tensor, margin: float) -> Tensor:
    """Mean over pairs: squared distance where the classes agree, else the square of what it lacks of the margin.

    Hadsell, Chopra, LeCun, CVPR 2006, equation 4, without its factors of one half; same: float, 1 or 0.
    """
    squares_N = (left_ND - right_ND).square().sum(1)
    # the root has no slope at 0, where pairs of one class may well lie
    distances_N = squares_N.clamp(min=1e-12).sqrt()
    return (same_N * squares_N + (1 - same_N) * (margin - distances_N).clamp(min=0).square()).mean()


def supervised_contrastive(features_ND: Tensor, labels_N: Tensor, temperature: float) -> Tensor:
    """SupCon's loss over a batch: each image against all others, those of its class being the positives.

    Khosla et al., arXiv 2004.11362, equation 2 (the sum outside the logarithm); unit features; an image alone of its
    class has no positive and does not count.
    """
    n = len(features_ND)
    itself_NN = torch.eye(n, dtype=torch.bool, device=features_ND.device)
    logits_NN = (features_ND @ features_ND.T / temperature).masked_fill(itself_NN, float("-inf"))
    log_share_NN = logits_NN.log_softmax(1).masked_fill(itself_NN, 0.0)
    positive_NN = (labels_N[:, None] == labels_N[None, :]) & ~itself_NN
    counts_N = positive_NN.sum(1)
    means_N = (log_share_NN * positive_NN).sum(1) / counts_N.clamp(min=1)
    return -means_N.sum() / (counts_N > 0).sum().clamp(min=1)


def pooled(logits_NW: Tensor, group_of_class_W: Tensor, n_groups: int) -> Tensor:
    """Logits of the groups, [n, n_groups]: log of the sum of exp over a group's classes.

    Their softmax is the sum of the classes' probabilities in each group.
    """
    members_GW = group_of_class_W == torch.arange(n_groups, device=group_of_class_W.device)[:, None]
    return torch.where(members_GW, logits_NW[:, None, :], -torch.inf).logsumexp(-1)


def log_softmax_within(logits_NW: Tensor, group_of_class_W: Tensor, n_groups: int) -> Tensor:
    """log p(class | its group), [n, n_way]: a softmax over each group's classes by themselves."""
    return logits_NW - pooled(logits_NW, group_of_class_W, n_groups)[:, group_of_class_W]


def mixture(gate_NG: Tensor, log_within_NW: Tensor, group_of_class_W: Tensor) -> Tensor:
    """log p(y|x) = log of the sum over groups g of p(g|x) p(y|g,x), [n, n_way] (Jacobs et al. 1991, eq. 1.3).

    gate: logits; log_within: log p(y | its group, x). Another group's expert gives a class no probability, so that
    one term of the sum is left.
    """
    return gate_NG.log_softmax(-1)[:, group_of_class_W] + log_within_NW


def group_labels(labels: Tensor, group_of_class_W: Tensor, n_groups: int) -> Tensor:
    """Labels of the groups: int64 [n] of int64 [n], sums of class probabilities [n, n_groups] of float [n, n_way]."""
    if labels.ndim == 1:
        return group_of_class_W[labels]
    members_WG = group_of_class_W[:, None] == torch.arange(n_groups, device=group_of_class_W.device)
    return labels @ members_WG.to(labels.dtype)


def negative_log_likelihood(log_NW: Tensor, labels: Tensor) -> Tensor:
    """Mean of minus log p at the labels, int64 [n] or probabilities [n, n_way]; p is taken as it is."""
    if labels.ndim == 1:
        return F.nll_loss(log_NW, labels)
    return -(labels * log_NW).sum(1).mean()


def quarter_turns(images: Tensor) -> tuple[Tensor, Tensor]:
    """Square images [n, c, h, h], the i-th turned by i % 4 quarters, and those numbers, int64 [n].

    Batches are shuffled, so which image is turned how is random enough (Gidaris et al., arXiv 1803.07728).
    """
    turns = torch.arange(len(images), device=images.device) % 4
    turned = images.clone()
    for quarter in range(1, 4):
        turned[quarter::4] = images[quarter::4].rot90(quarter, (2, 3))
    return turned, turns


def rooted(features: Tensor, offset: float = 0.01) -> Tensor:
    """Square roots that keep the sign, sign(f) ((|f| + e)^1/2 - e^1/2), their slope bounded by an offset e above zero.

    Features behind a ReLU have a long tail, and their few large values else decide alone (the power transform of Hu et
    al., arXiv 2006.03806, section 3.1). Any shape; of features whose mean is about a half, an offset of 0.003 or 0.03
    does as well (looked at).
    """
    return features.sign() * ((features.abs() + offset).sqrt() - offset**0.5)


def decorrelation(features_ND: Tensor, labels_N: Tensor, n_classes: int) -> tuple[Tensor, Tensor]:
    """Mean [d] and the symmetric map [d, d] that takes half of the scatter within the classes away.

    The map is (S + a I)^-1/4, scaled so that what it gives has a mean square of one; S is the covariance within the
    classes, over its mean variance, and a = 0.1: half of what makes the classes round (within-class covariance
    normalisation, Hatch and Stolcke, ICASSP 2006), because the classes met later are others.
    """
    features = features_ND.double()
    residual = features - prototypes(features, labels_N, n_classes)[labels_N]
    scatter = residual.T @ residual / len(residual)
    mean_variance = scatter.diagonal().mean()
    if (
        mean_variance <= 0
    ):  # one image a class, or features that do not vary: there is nothing to take away
        return features.mean(0).to(features_ND), torch.eye(len(scatter), dtype=features_ND.dtype)
    variances, directions = torch.linalg.eigh(scatter / mean_variance)
    mix = (directions * (variances.clamp(min=0) + 0.1) ** -0.25) @ directions.T
    mix /= ((features - features.mean(0)) @ mix).square().mean().sqrt()
    return features.mean(0).to(features_ND), mix.to(features_ND)
