"""Self-training: images of a base set, without their labels, join the support with labels that the learner gives them.

Sources: pseudo-labels, Lee, ICML workshop 2013; soft ones of the most probable images of each class, learned under
stronger augmentation than they were given under, Xie et al., arXiv 1911.04252 (Noisy Student).
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from episodes import streams
from episodes.types import ImageSet, Labelled
from fewshot import records
from fewshot.backbones import Backbone, chunk_size
from fewshot.config import Train


@torch.no_grad()
def pool(learner: nn.Module, support: Labelled, base: ImageSet, settings: Train, path: Path) -> streams.Pool:
    """The images of the base that the learner, before it is trained, finds most probable for each class.

    Their labels are its class probabilities, float [n, n_way], from each image and its mirror image. `path` keeps what
    was chosen, and is read where it is there: an interrupted training continues with the same labels.
    """
    device = support.images.device
    if not path.exists():
        learner.eval()
        probabilities = _probabilities(learner, support, base)
        count = min(settings.base_per_class, len(base))
        chosen = probabilities.topk(count, dim=0).indices.unique()
        records.write_tensors(path, {"indices": chosen, "probabilities": probabilities[chosen]})
    kept = records.read_tensors(path)
    images = base.images[kept["indices"]].to(device)
    return streams.Pool(images, kept["probabilities"].to(device), kept["probabilities"].shape[1])


def _probabilities(learner: nn.Module, support: Labelled, base: ImageSet) -> Tensor:
    """Of each image of the base, [n, n_way], on the CPU; two views, however many judge."""
    backbone = learner.backbone
    assert isinstance(backbone, Backbone)
    classify = learner.adapt(support)  # type: ignore[operator]
    size, device = chunk_size(backbone, base.images), support.images.device
    asked, backbone.views = backbone.views, "flip" if base.mirror else "none"
    try:
        parts = [classify(each.images) for each in streams.chunks(base, torch.arange(len(base)), size, device)]
    finally:
        backbone.views = asked
    return torch.cat(parts).softmax(1).cpu()
