"""The mathematics: prototypes, distances, losses on pairs and mixtures, and soft labels.

Capital suffixes name the dimensions of a tensor: N queries or images, S support images, W classes
(ways), G groups of classes (superclasses), M members of an ensemble, D features.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def cross_entropy(logits_NW: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross-entropy.

    Args:
        logits_NW: float [n, n_way].
        labels: int64 [n], or probabilities float [n, n_way].
    """
    return F.cross_entropy(logits_NW, labels)


def ensemble_cross_entropy(logits_NMW: Tensor, labels: Tensor) -> Tensor:
    """Return the mean over members of their mean cross-entropies, with the gradient of the sum.

    With that gradient every member learns as if it were alone.

    Args:
        logits_NMW: float [n, m, n_way].
        labels: as in `cross_entropy`; for n images that all members saw, or for at least m * n
            images of which the members saw n each, those of the first member first. Labels beyond
            m * n are ignored.
    """
    n, m = logits_NMW.shape[:2]
    if len(labels) > n:
        member_labels = labels[: n * m].unflatten(0, (m, n)).transpose(0, 1).flatten(0, 1)
    else:
        member_labels = labels.repeat_interleave(m, 0)
    mean = F.cross_entropy(logits_NMW.flatten(0, 1), member_labels)
    return m * mean - (m - 1) * mean.detach()


def ensemble_log_probabilities(logits_NMW: Tensor) -> Tensor:
    """Return the logarithms of the members' mean class probabilities, [n, n_way].

    Source: Lakshminarayanan et al., arXiv 1612.01474.
    """
    return logits_NMW.log_softmax(2).logsumexp(1) - math.log(logits_NMW.shape[1])


def hardest(logits_NW: Tensor, labels: Tensor, n: int) -> Tensor:
    """Return the indices of the n images of greatest cross-entropy, int64 [n], the greatest first.

    Args:
        logits_NW: float [images, n_way].
        labels: as in `cross_entropy`.
        n: the number of images to select.
    """
    return F.cross_entropy(logits_NW, labels, reduction="none").topk(n).indices


def recall_targets(labels: Tensor, past_NW: Tensor, share: Tensor) -> Tensor:
    """Mix labels with earlier predictions of the same images; return probabilities [n, n_way].

    Args:
        labels: as in `cross_entropy`.
        past_NW: class probabilities from earlier, float [n, n_way]; zeros for an image without
            any, whose target is then its label.
        share: the weight of the earlier predictions, a tensor without dimensions.

    Source: Kim et al., arXiv 2006.12000, equation 4, with the predictions of the previous epoch.
    """
    if labels.ndim == 1:
        one_hot_NW = labels[:, None] == torch.arange(past_NW.shape[1], device=labels.device)
        labels = one_hot_NW.to(past_NW.dtype)
    shares_N1 = share * past_NW.sum(1, keepdim=True)
    return (1 - shares_N1) * labels + share * past_NW


def distillation(logits_NW: Tensor, teacher_NW: Tensor, temperature: float) -> Tensor:
    """Return the mean divergence of softmax(logits / T) from a teacher's, times T squared.

    The square makes the size of the gradient independent of T.

    Args:
        logits_NW: the student's logits, float [n, n_way].
        teacher_NW: the teacher's class probabilities, float [n, n_way].
        temperature: T.

    Source: Hinton et al., arXiv 1503.02531, section 2.
    """
    log_probabilities_NW = (logits_NW / temperature).log_softmax(1)
    return temperature**2 * F.kl_div(log_probabilities_NW, teacher_NW, reduction="batchmean")


def one_hot(labels: Tensor, n_way: int, like: Tensor) -> Tensor:
    """Return int64 labels as vectors of zeros and a one, [..., n_way], of the type of `like`."""
    # F.one_hot would read the labels on the host, which makes a GPU wait.
    return (labels[..., None] == torch.arange(n_way, device=labels.device)).to(like.dtype)


def prototypes(features_SD: Tensor, labels_S: Tensor, n_way: int) -> Tensor:
    """Return the mean features of each class, [n_way, d]; zeros for a class without support.

    Both arguments may have leading dimensions, one support set each, and so has the result then.

    Source: Snell et al., arXiv 1703.05175, equation 1.
    """
    weights_SW = one_hot(labels_S, n_way, features_SD)
    counts_W = weights_SW.sum(-2).clamp(min=1)
    return (weights_SW.mT @ features_SD) / counts_W[..., None]


def squared_distances(a_ND: Tensor, b_WD: Tensor) -> Tensor:
    """Return squared Euclidean distances [n, w], accurate even for small distances."""
    return (a_ND[:, None, :] - b_WD[None, :, :]).square().sum(-1)


def cosine_similarities(a_ND: Tensor, b_WD: Tensor) -> Tensor:
    """Return cosine similarities in [-1, 1], [n, w]."""
    return F.normalize(a_ND, dim=-1) @ F.normalize(b_WD, dim=-1).T


def contrastive(left_ND: Tensor, right_ND: Tensor, same_N: Tensor, margin: float) -> Tensor:
    """Return the mean contrastive loss of pairs.

    The loss of a pair of one class is the squared distance. The loss of any other pair is the
    square of the amount by which its distance falls short of the margin, or 0.

    Args:
        left_ND: features of the left images, float [n, d].
        right_ND: features of the right images, float [n, d].
        same_N: 1 for pairs of one class and 0 otherwise, float [n].
        margin: the least distance between images of different classes.

    Source: Hadsell, Chopra, LeCun, CVPR 2006, equation 4, without its factors of one half.
    """
    squares_N = (left_ND - right_ND).square().sum(1)
    # The root has no slope at 0, which the distance of a pair of one class can reach.
    distances_N = squares_N.clamp(min=1e-12).sqrt()
    return (same_N * squares_N + (1 - same_N) * (margin - distances_N).clamp(min=0).square()).mean()


def supervised_contrastive(features_ND: Tensor, labels_N: Tensor, temperature: float) -> Tensor:
    """Return the supervised contrastive loss (SupCon) of a batch.

    Each image is compared with all others; those of its class are its positives. An image that is
    the only one of its class has no positives and does not count.

    Args:
        features_ND: features of unit length, float [n, d].
        labels_N: int64 [n].
        temperature: divides the inner products.

    Source: Khosla et al., arXiv 2004.11362, equation 2, with the sum outside the logarithm.
    """
    n = len(features_ND)
    itself_NN = torch.eye(n, dtype=torch.bool, device=features_ND.device)
    logits_NN = (features_ND @ features_ND.T / temperature).masked_fill(itself_NN, float("-inf"))
    log_share_NN = logits_NN.log_softmax(1).masked_fill(itself_NN, 0.0)
    positive_NN = (labels_N[:, None] == labels_N[None, :]) & ~itself_NN
    counts_N = positive_NN.sum(1)
    means_N = (log_share_NN * positive_NN).sum(1) / counts_N.clamp(min=1)
    return -means_N.sum() / (counts_N > 0).sum().clamp(min=1)


def group_logits(logits_NW: Tensor, group_of_class_W: Tensor, n_groups: int) -> Tensor:
    """Return logits of the groups, [n, n_groups]: the log-sum-exp over the classes of each group.

    The softmax of the result is the sum of the class probabilities in each group.

    Args:
        logits_NW: logits of the classes, float [n, n_way].
        group_of_class_W: the group of each class, int64 [n_way].
        n_groups: the number of groups.
    """
    groups_G = torch.arange(n_groups, device=group_of_class_W.device)
    contains_GW = group_of_class_W == groups_G[:, None]
    return torch.where(contains_GW, logits_NW[:, None, :], -torch.inf).logsumexp(-1)


def log_softmax_within(logits_NW: Tensor, group_of_class_W: Tensor, n_groups: int) -> Tensor:
    """Return log p(class | its group), [n, n_way]: a softmax over the classes of each group.

    The arguments are those of `group_logits`.
    """
    return logits_NW - group_logits(logits_NW, group_of_class_W, n_groups)[:, group_of_class_W]


def mixture(gate_NG: Tensor, log_within_NW: Tensor, group_of_class_W: Tensor) -> Tensor:
    """Return log p(y|x), the logarithm of the sum over groups g of p(g|x) p(y|g,x), [n, n_way].

    The expert of a group gives the classes of other groups no probability, so one term of the sum
    remains for each class.

    Args:
        gate_NG: logits of the groups, float [n, n_groups].
        log_within_NW: log p(y | its group, x), float [n, n_way].
        group_of_class_W: the group of each class, int64 [n_way].

    Source: Jacobs et al. 1991, equation 1.3.
    """
    return gate_NG.log_softmax(-1)[:, group_of_class_W] + log_within_NW


def group_labels(labels: Tensor, group_of_class_W: Tensor, n_groups: int) -> Tensor:
    """Return labels of the groups for labels of the classes.

    Args:
        labels: int64 [n], or probabilities float [n, n_way].
        group_of_class_W: the group of each class, int64 [n_way].
        n_groups: the number of groups.

    Returns:
        int64 [n] for int64 labels; sums of the class probabilities, [n, n_groups], otherwise.
    """
    if labels.ndim == 1:
        return group_of_class_W[labels]
    groups_G = torch.arange(n_groups, device=group_of_class_W.device)
    contains_WG = group_of_class_W[:, None] == groups_G
    return labels @ contains_WG.to(labels.dtype)


def negative_log_likelihood(log_NW: Tensor, labels: Tensor) -> Tensor:
    """Return the mean negative log-likelihood of log-probabilities that are not normalised again.

    Args:
        log_NW: log p, float [n, n_way].
        labels: int64 [n], or probabilities float [n, n_way].
    """
    if labels.ndim == 1:
        return F.nll_loss(log_NW, labels)
    return -(labels * log_NW).sum(1).mean()


def quarter_turns(images: Tensor) -> tuple[Tensor, Tensor]:
    """Rotate the i-th of square images [n, c, h, h] by i % 4 quarter turns.

    The batches are shuffled, so the turn of an image is random enough.

    Returns:
        The rotated images and their numbers of quarter turns, int64 [n].

    Source: Gidaris et al., arXiv 1803.07728.
    """
    turns = torch.arange(len(images), device=images.device) % 4
    turned = images.clone()
    for quarter in range(1, 4):
        turned[quarter::4] = images[quarter::4].rot90(quarter, (2, 3))
    return turned, turns


def signed_root(features: Tensor, offset: float = 0.01) -> Tensor:
    """Return square roots that keep the sign: sign(f) (sqrt(|f| + e) - sqrt(e)) for an offset e.

    Features behind a ReLU have a long tail, and without the root their few large values alone
    would decide. The offset e > 0 bounds the slope at zero. For features with a mean of about one
    half, 0.003 and 0.03 do as well (docs/log.md).

    Args:
        features: float of any shape.
        offset: e.

    Source: the power transform of Hu et al., arXiv 2006.03806, section 3.1.
    """
    return features.sign() * ((features.abs() + offset).sqrt() - offset**0.5)


def decorrelation(features_ND: Tensor, labels_N: Tensor, n_classes: int) -> tuple[Tensor, Tensor]:
    """Return the mean and a map that removes half of the scatter within the classes.

    The map is (S + a I)^-1/4, scaled so that mapped features have a mean square of one. S is the
    covariance within the classes divided by its mean variance, and a is 0.1. The power -1/2 would
    make the classes round; half of that is applied because the classes met later are others.

    Args:
        features_ND: float [n, d].
        labels_N: int64 [n].
        n_classes: the number of classes.

    Returns:
        The mean [d] and the symmetric map [d, d]; the identity if nothing varies within the
        classes, as with one image of each.

    Source: within-class covariance normalisation, Hatch and Stolcke, ICASSP 2006.
    """
    features = features_ND.double()
    residual = features - prototypes(features, labels_N, n_classes)[labels_N]
    scatter = residual.T @ residual / len(residual)
    mean_variance = scatter.diagonal().mean()
    if mean_variance <= 0:
        return features.mean(0).to(features_ND), torch.eye(len(scatter)).to(features_ND)
    variances, directions = torch.linalg.eigh(scatter / mean_variance)
    mix = (directions * (variances.clamp(min=0) + 0.1) ** -0.25) @ directions.T
    mix /= ((features - features.mean(0)) @ mix).square().mean().sqrt()
    return features.mean(0).to(features_ND), mix.to(features_ND)
