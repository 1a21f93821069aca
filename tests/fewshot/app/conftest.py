"""The folder of photos and the model file of the tests of model files."""

from __future__ import annotations

from tests.fewshot.model.conftest import model as model
from tests.fewshot.model.conftest import photos as photos
