"""What a model file holds besides tensors, with bounds for everything; imports no torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from fewshot.config import BackboneSettings, Prior, Settings
from fewshot.config.schema import Fit
from fewshot.model.card import Card

MOST_CLASSES = 65_536
MOST_IMAGES = 10_000_000
LARGEST_SIDE = 4096  # pixels
LONGEST_NAME = 4096  # characters, of a class or of an image

Number = Annotated[float, Field(allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]
Statistic = Annotated[tuple[Number, ...], Field(min_length=3, max_length=3)]


class StoredDecoding(Settings):
    """How image files become pixels; the fields are those of `episodes.types.Decoding`."""

    size: Annotated[int, Field(ge=1, le=LARGEST_SIDE)]
    fit: Fit = "crop"
    white: Number | None = None
    black_32: Number | None = None
    white_32: Number | None = None
    black_float: Number | None = None
    white_float: Number | None = None


class StoredRecipe(Settings):
    """How the head was fitted; the fields are those of `classifier.Recipe`."""

    kind: Literal["logistic", "ridge", "nearest-mean", "cosine", "trained"]
    c: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    scale: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    centre: bool
    normalise: bool
    prior: Prior
    seed: Annotated[int, Field(ge=0, lt=2**63)]


class About(Settings):
    """All that a model file holds besides tensors."""

    format_version: int
    classes: Annotated[tuple[Name, ...], Field(min_length=2, max_length=MOST_CLASSES)]
    decoding: StoredDecoding
    backbone: BackboneSettings
    statistics: Annotated[dict[str, tuple[Statistic, Statistic]], Field(max_length=16)]
    weights_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    weights_inside: bool
    normalise: bool
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    recipe: StoredRecipe
    threshold: Number
    reject: Annotated[float, Field(ge=0, le=1)]
    image_names: Annotated[tuple[Name, ...], Field(max_length=MOST_IMAGES)]
    card: Card
    data_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]

    @model_validator(mode="after")
    def _is_consistent(self) -> About:
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("two classes have one name")
        if tuple(self.card.class_counts) != self.classes:
            raise ValueError("its card is of other classes")
        if any(one.weights not in ("none", "pretrained") for one in self.backbone.networks):
            raise ValueError("its weights have a name that no file has")
        return self
