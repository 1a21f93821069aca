"""A small classifier with random weights, for tests of model files."""

from __future__ import annotations

from typing import Any

import torch

from episodes.types import Decoding
from fewshot import backbones
from fewshot.config import BackboneSettings
from fewshot.heads.affine import AffineHead
from fewshot.model.card import Card, Quality
from fewshot.model.classifier import ImageClassifier, LabelledFeatures, Recipe, for_models
from fewshot.model.reject import Rejection

CLASSES = ("cat", "dög", "no class of yours")


def classifier(name: str = "conv4", side: int = 32, **settings: Any) -> ImageClassifier:
    """Return a classifier on a network with random weights, unless the settings name others."""
    options = {"width": 4} if name == "conv4" else {}
    network = BackboneSettings(name=name, **{"options": options, **settings})
    torch.manual_seed(0)
    backbone = for_models(backbones.build(network).eval())
    d, n_way, n = backbone.n_features, len(CLASSES), 7
    return ImageClassifier(
        classes=CLASSES,
        decoding=Decoding(side, "pad"),
        settings=network,
        backbone=backbone,
        head=AffineHead(torch.randn(n_way, d), torch.randn(n_way), torch.randn(d), True),
        temperature=0.4,
        recipe=Recipe("logistic", prior={"cat": 0.5, "dög": 0.25, "no class of yours": 0.25}),
        support=LabelledFeatures(
            torch.randn(n, d),
            torch.arange(n) % n_way,
            tuple(f"photos/{number}.jpg" for number in range(n)),
            torch.arange(n) // 2,
        ),
        rejection=Rejection(torch.randn(d), torch.randn(n_way, d), -0.1, 0.05),
        fold_scores=torch.rand(n),
        card=card(),
    )


def card() -> Card:
    """Return the card of that classifier."""
    quality = Quality(0.9, 0.8, 0.95, 0.1, 7, 5, ("cat", "dög", 2), 1.5)
    return Card(
        created="2026-11-28T02:00:00+00:00",
        version="1.0",
        method="probe",
        choice="",
        class_counts=dict(zip(CLASSES, (3, 2, 2), strict=True)),
        origins=(),
        quality=quality,
        data="photos",
        data_fingerprint="0123",
        seconds=2.0,
        notes=("one image could not be read",),
    )
