"""Few-shot and transfer learning on images: which method to use, how accurate it is, how surely.

The names below are imported when they are first used, so `import fewshot` loads no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from episodes.types import Episode, ImageSet, Labelled
    from fewshot.api import (
        evaluate,
        fit,
        load_dataset,
        run,
        sample_episode,
        sample_subset,
    )
    from fewshot.backbones import build as build_backbone
    from fewshot.checks.check import check
    from fewshot.config import RunConfig
    from fewshot.episodic import episodes
    from fewshot.errors import UserError
    from fewshot.learners.baseline import Baseline
    from fewshot.learners.experts import Experts
    from fewshot.learners.finetune import FineTune
    from fewshot.learners.maml import MAML
    from fewshot.learners.matching import Matching
    from fewshot.learners.probe import Probe
    from fewshot.learners.protonet import ProtoNet
    from fewshot.learners.relation import Relation
    from fewshot.learners.siamese import Siamese
    from fewshot.learners.supervised import Supervised
    from fewshot.model.estimator import FewShotClassifier
    from fewshot.model.feature_classifier import FeatureClassifier
    from fewshot.model.suggest.suggestions import suggest
    from fewshot.report.frames import compare, load_records

__version__ = "0.1.0"

__all__ = [
    "MAML",
    "Baseline",
    "Episode",
    "Experts",
    "FeatureClassifier",
    "FewShotClassifier",
    "FineTune",
    "ImageSet",
    "Labelled",
    "Matching",
    "Probe",
    "ProtoNet",
    "Relation",
    "RunConfig",
    "Siamese",
    "Supervised",
    "UserError",
    "build_backbone",
    "check",
    "compare",
    "episodes",
    "evaluate",
    "fit",
    "load_dataset",
    "load_records",
    "run",
    "sample_episode",
    "sample_subset",
    "suggest",
]

# public name -> (module, name in the module)
_SOURCES = {
    "Baseline": ("fewshot.learners.baseline", "Baseline"),
    "Episode": ("episodes.types", "Episode"),
    "Experts": ("fewshot.learners.experts", "Experts"),
    "FeatureClassifier": ("fewshot.model.feature_classifier", "FeatureClassifier"),
    "FewShotClassifier": ("fewshot.model.estimator", "FewShotClassifier"),
    "FineTune": ("fewshot.learners.finetune", "FineTune"),
    "ImageSet": ("episodes.types", "ImageSet"),
    "Labelled": ("episodes.types", "Labelled"),
    "MAML": ("fewshot.learners.maml", "MAML"),
    "Matching": ("fewshot.learners.matching", "Matching"),
    "Probe": ("fewshot.learners.probe", "Probe"),
    "ProtoNet": ("fewshot.learners.protonet", "ProtoNet"),
    "Relation": ("fewshot.learners.relation", "Relation"),
    "RunConfig": ("fewshot.config", "RunConfig"),
    "Siamese": ("fewshot.learners.siamese", "Siamese"),
    "Supervised": ("fewshot.learners.supervised", "Supervised"),
    "UserError": ("fewshot.errors", "UserError"),
    "build_backbone": ("fewshot.backbones", "build"),
    "check": ("fewshot.checks.check", "check"),
    "compare": ("fewshot.report.frames", "compare"),
    "episodes": ("fewshot.episodic", "episodes"),
    "evaluate": ("fewshot.api", "evaluate"),
    "fit": ("fewshot.api", "fit"),
    "load_dataset": ("fewshot.api", "load_dataset"),
    "load_records": ("fewshot.report.frames", "load_records"),
    "run": ("fewshot.api", "run"),
    "sample_episode": ("fewshot.api", "sample_episode"),
    "sample_subset": ("fewshot.api", "sample_subset"),
    "suggest": ("fewshot.model.suggest.suggestions", "suggest"),
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first used (PEP 562)."""
    if name not in _SOURCES:
        raise AttributeError(f"module 'fewshot' has no attribute '{name}'")
    module, attribute = _SOURCES[name]
    value = getattr(importlib.import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names, so that editors complete them before they are imported."""
    return sorted({*globals(), *__all__})
