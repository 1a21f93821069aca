"""Classifiers of other tools on the features of one network, over the trials of `fewshot run`."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fewshot import io

Probabilities = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def autogluon(features: np.ndarray, labels: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return probabilities [n, n_way] as AutoGluon's few-shot predictor makes them.

    It standardises features, fits a support vector machine with a Gaussian kernel and takes the
    softmax of its decision function.

    Source: autogluon.multimodal, `FewShotSVMPredictor`.
    """
    from scipy.special import softmax
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    fitted = make_pipeline(StandardScaler(), SVC(gamma="auto")).fit(features, labels)
    return np.asarray(softmax(fitted.decision_function(others), 1))


def vyntri(features: np.ndarray, labels: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return probabilities [n, n_way] of vyntri's default projection and ridge regression."""
    from vyntri import Config  # type: ignore[import-not-found]
    from vyntri.adaptation import AnalyticRidge, make_projection  # type: ignore[import-not-found]

    settings = Config()
    projection = make_projection(
        whitening=settings.adaptation,
        projection_dim=min(128, features.shape[1], len(np.unique(labels)) - 1),
        floor_ratio=settings.floor_ratio,
        eigenvalue_floor=settings.eigenvalue_floor,
        shrinkage=settings.shrinkage,
        shrinkage_alpha=settings.shrinkage_alpha,
    )
    projected = projection.fit_transform(features, labels)
    fitted = AnalyticRidge(lambda_reg=settings.regularization).fit(projected, labels)
    return np.asarray(fitted.predict_proba(projection.transform(others)))


CLASSIFIERS: dict[str, Probabilities] = {"AutoGluon's recipe": autogluon, "vyntri": vyntri}
FILES = {"AutoGluon's recipe": "autogluon", "vyntri": "vyntri"}


@dataclass(frozen=True)
class Result:
    """One classifier at one number of labels per class.

    Attributes:
        classifier: its name.
        version: version of the package it is from; empty if it was written from its description.
        backbone: settings of the network that made the features.
        shots: labels per class.
        accuracies: accuracy of each trial on the whole test set.
        errors: expected calibration error of each trial.
        seconds: of fitting and of classifying the test set, features not included.
    """

    classifier: str
    version: str
    backbone: dict[str, Any]
    shots: int
    accuracies: list[float]
    errors: list[float]
    seconds: list[float]


def read(folder: Path, classifier: str, shots: int) -> Result | None:
    """Return a published result; None if it was not measured."""
    path = _path(folder, classifier, shots)
    return Result(**io.read_json(path)) if path.exists() else None


def _path(folder: Path, classifier: str, shots: int) -> Path:
    return folder / f"peer-{FILES[classifier]}-{shots}.json"


def measure(
    backbone: Mapping[str, Any], data: str, shots: Sequence[int], n_trials: int, folder: Path
) -> None:
    """Write the results that are not there yet; vyntri is left out if it is not installed."""
    from episodes import subsets

    missing = [
        (name, k) for name in CLASSIFIERS for k in shots if not _path(folder, name, k).exists()
    ]
    if importlib.util.find_spec("vyntri") is None:
        missing = [(name, k) for name, k in missing if name != "vyntri"]
    if not missing:
        return
    train, test = _features(dict(backbone), data)
    for name, k in missing:
        chosen = [subsets.shots(train.labels, train.classes, k, seed) for seed in range(n_trials)]
        trials = [
            _trial(
                CLASSIFIERS[name],
                (train.features[rows].numpy(), train.labels[rows].numpy()),
                (test.features.numpy(), test.labels.numpy()),
            )
            for rows in chosen
        ]
        accuracies, errors, seconds = map(list, zip(*trials, strict=True))
        version = importlib.metadata.version("vyntri") if name == "vyntri" else ""
        result = Result(name, version, dict(backbone), k, accuracies, errors, seconds)
        io.write_json(_path(folder, name, k), asdict(result))
        print(f"{name}, {k} labels per class: {np.mean(accuracies):.3f}", flush=True)


def _trial(
    probabilities_of: Probabilities,
    labelled: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
) -> tuple[float, float, float]:
    """Return accuracy, expected calibration error and seconds of one classifier."""
    from fewshot.evaluation import metrics

    started = time.perf_counter()
    probabilities = probabilities_of(*labelled, test[0])
    seconds = time.perf_counter() - started
    accuracy = float((probabilities.argmax(1) == test[1]).mean())
    return accuracy, metrics.calibration_error(probabilities, test[1]), seconds


def _features(backbone: dict[str, Any], data: str) -> tuple[Any, Any]:
    """Return the features of the training and of the test images, as a run computes them."""
    import torch

    from episodes import datasets
    from fewshot import backbones
    from fewshot.config import BackboneSettings
    from fewshot.features import frozen
    from fewshot.training import devices

    network = backbones.build(BackboneSettings(**backbone)).eval()
    compute = devices.resolve("cpu", "auto")
    network.set_compute(compute.precision, compute.channels_last)
    parts = datasets.load(data, input_size=network.image_side)
    features = [
        frozen.cached(network, part, torch.arange(len(part)), "cpu").features for part in parts
    ]
    return features[0], features[1]
