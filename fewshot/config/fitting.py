"""The settings of `fewshot fit` and of `FewShotClassifier`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fewshot.config.schema import (
    BackboneSettings,
    Fit,
    NotNegative,
    Positive,
    Prior,
    Settings,
    Share,
)

FitMethod = Literal["auto", "probe", "protonet", "finetune", "scratch"]


class FitConfig(Settings):
    """How a classifier for one's own images is fitted."""

    method: FitMethod = Field(
        default="auto",
        description="How the classifier learns; `auto` compares the others by cross-validation on "
        "the labelled images.",
    )
    backbone: BackboneSettings | None = Field(
        default=None,
        description="The network that turns images into features; null takes the default for the "
        "size of the images.",
    )
    image_fit: Fit = Field(
        default="crop",
        description="How an image that is not square becomes square, as in a run.",
    )
    group_by: str | None = Field(
        default=None,
        description="What keeps images in one fold: `subfolder`, `prefix` or a column, as in a "
        "run; null for each image on its own.",
    )
    prior: Prior = Field(
        default="balanced",
        description="How frequent the classifier expects the classes to be, as in a run.",
    )
    reject: Share = Field(
        default=0.05,
        description="Share of images of the known classes that may be refused as belonging to "
        "none of them.",
    )
    seconds: Positive = Field(
        default=60.0,
        description="Time in which `auto` compares methods; it starts no method that would not "
        "finish. [seconds]",
    )
    seed: int = Field(default=0, ge=0, description="Seed of folds and training.")
    least_gain: NotNegative = Field(
        default=0.01,
        description="Share by which the cross-validated log-loss of a slower method must be lower "
        "for `auto` to choose it.",
    )
