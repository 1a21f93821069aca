"""The bounds of what a model file holds besides tensors.

Oracle: values that are in and out of bounds, written here by hand; the classes that they mirror.
"""

from __future__ import annotations

from dataclasses import fields

import pytest
from pydantic import ValidationError

from episodes.types import Decoding
from fewshot.model.classifier import Recipe
from fewshot.model.model_about import LARGEST_SIDE, StoredDecoding, StoredRecipe


def test_every_field_of_what_is_stored_has_a_place():
    assert list(StoredDecoding.model_fields) == [field.name for field in fields(Decoding)]
    assert list(StoredRecipe.model_fields) == list(Recipe._fields)


@pytest.mark.parametrize("size", [0, -1, LARGEST_SIDE + 1])
def test_a_size_is_bounded(size: int):
    with pytest.raises(ValidationError):
        StoredDecoding(size=size)
    assert StoredDecoding(size=LARGEST_SIDE).size == LARGEST_SIDE
