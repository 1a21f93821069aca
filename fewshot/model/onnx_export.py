"""Write a fitted classifier as an ONNX file that takes whole images, and check such a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from fewshot.model.classifier import ImageClassifier


class Differences(NamedTuple):
    """How much the answers of an ONNX file differ from those of its classifier.

    Attributes:
        n_images: images that were classified by both.
        probability: largest difference of a probability.
        known_score: largest difference of a known score.
        changed: images whose class or refusal is another.
        skipped: images that cannot be read, with the reason.
    """

    n_images: int
    probability: float
    known_score: float
    changed: tuple[str, ...]
    skipped: tuple[str, ...]


def export(classifier: ImageClassifier, path: Path) -> None:
    """Write a classifier as an ONNX file that needs nothing else.

    The graph takes `images`, uint8 [n, h, w, 3], upright RGB pixels of any size, and gives
    `probabilities`, float [n, n_way], `known_score`, float [n], and `refused`, bool [n].

    Args:
        classifier: the classifier.
        path: the file to write.

    Raises:
        UserError: a package of the extra `export` is missing, or the file cannot be written.
    """
    raise NotImplementedError


def check(classifier: ImageClassifier, path: Path, images: Sequence[Path]) -> Differences:
    """Classify image files with an ONNX file and with its classifier, and compare the answers.

    Args:
        classifier: the classifier that was exported.
        path: the ONNX file.
        images: image files of any size and format.

    Raises:
        UserError: onnxruntime is missing, or the file is not an ONNX file of such a classifier.
    """
    raise NotImplementedError
