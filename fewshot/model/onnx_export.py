"""Write a fitted classifier as an ONNX file that takes whole images, and check such a file."""

from __future__ import annotations

import copy
import json
import os
import warnings
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from episodes.datasets.decoding.decode import decode, decode_upright
from episodes.datasets.decoding.image_formats import broken_image_errors, why_skipped
from fewshot import io
from fewshot.errors import UserError, one_line
from fewshot.model import reject
from fewshot.model.classifier import ImageClassifier
from fewshot.model.onnx_network import SquareClassifier

if TYPE_CHECKING:
    from onnx import ModelProto
    from onnxruntime import InferenceSession

OPSET = 20
OUTPUTS = ("probabilities", "known_score", "refused")
REMEDY = "pip install 'fewshot[export]'"
LARGEST_DIFFERENCE = 1e-4  # of a probability
CHUNK = 64  # images that are compared at a time


class Differences(NamedTuple):
    """How much an ONNX file and its classifier differ in their answers.

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

    @property
    def are_small(self) -> bool:
        """Whether the file can replace the classifier."""
        return self.probability <= LARGEST_DIFFERENCE and not self.changed


class Answers(NamedTuple):
    """Answers for n images.

    Attributes:
        probabilities: float [n, n_way].
        known_scores: float [n].
        are_refused: bool [n].
    """

    probabilities: np.ndarray
    known_scores: np.ndarray
    are_refused: np.ndarray


def export(classifier: ImageClassifier, path: Path) -> None:
    """Write a classifier as an ONNX file that needs nothing else.

    The graph takes `images`, uint8 [n, h, w, 3], upright RGB pixels of any size, and gives
    `probabilities`, float [n, n_way], `known_score`, float [n], and `refused`, bool [n].

    Args:
        classifier: the classifier.
        path: the file to write.

    Raises:
        UserError: a package of the extra `export` is missing, the network cannot be exported, or
            the file cannot be written.
    """
    io.write_bytes(path, model_of(classifier).SerializeToString())


def model_of(classifier: ImageClassifier) -> ModelProto:
    """Return the graph of a classifier, with what one must know of it in its metadata."""
    try:
        from onnx import compose, helper

        from fewshot.model import onnx_decoding
    except ImportError as error:
        raise UserError(f"export to ONNX needs {error.name}: {REMEDY}.") from None
    decode = onnx_decoding.model_of(classifier.decoding)
    classify = _classify_model(classifier)
    classify.ir_version = decode.ir_version = max(decode.ir_version, classify.ir_version)
    for graph, name in ((decode.graph, "decode"), (classify.graph, "classify")):
        for node in graph.node:  # both number their nodes, and onnxruntime refuses equal names
            node.name = f"{name}/{node.name}"
    model = compose.merge_models(decode, classify, io_map=[("pixels", "pixels")])
    model.producer_name = "fewshot"
    model.producer_version = classifier.card.version
    del model.graph.value_info[:]  # the two graphs call the number of images by two names
    for output in model.graph.output:
        output.type.tensor_type.shape.dim[0].dim_param = "n"
    helper.set_model_props(model, metadata_of(classifier))
    return model


def metadata_of(classifier: ImageClassifier) -> dict[str, str]:
    """Return what an application must know of a classifier, as strings; lists are JSON."""
    card = classifier.card
    return {
        "classes": json.dumps(classifier.classes, ensure_ascii=False),
        "side": str(classifier.decoding.size),
        "image_fit": classifier.decoding.fit,
        "threshold": repr(classifier.rejection.threshold),
        "created": card.created,
        "data": card.data,
        "origins": json.dumps([asdict(origin) for origin in card.origins], ensure_ascii=False),
    }


def _classify_model(classifier: ImageClassifier) -> ModelProto:
    """Return the graph from squares, float [n, 3, size, size] in [0, 1], to the answers."""
    backbone = copy.deepcopy(classifier.backbone).cpu().float().eval()
    network = SquareClassifier(replace(classifier, backbone=backbone)).eval()
    side = classifier.decoding.size
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # about the exporter's own code
            traced = torch.export.export(
                network,
                (torch.zeros(2, 3, side, side),),
                dynamic_shapes=({0: torch.export.Dim("n")},),
            )
            program = torch.onnx.export(
                traced,
                input_names=["pixels"],
                output_names=OUTPUTS,
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
    except Exception as error:
        raise UserError(
            f"backbone '{classifier.settings.name}' cannot be exported to ONNX: {one_line(error)}"
        ) from None
    assert program is not None
    return program.model_proto


def check(classifier: ImageClassifier, path: Path, images: Sequence[Path]) -> Differences:
    """Classify image files with an ONNX file and with its classifier, and compare the answers.

    Args:
        classifier: the classifier that was exported.
        path: the ONNX file.
        images: image files of any size and format.

    Raises:
        UserError: onnxruntime is missing, or the file is not an export of this classifier.
    """
    session = _session(classifier, path)
    n_images, probability, known_score = 0, 0.0, 0.0
    changed: list[str] = []
    skipped: list[str] = []
    for first in range(0, len(images), CHUNK):
        names, squares, parts = [], [], []
        for image in images[first : first + CHUNK]:
            try:
                square = decode(image, classifier.decoding)
                whole = decode_upright(image, classifier.decoding)
            except broken_image_errors() as error:
                skipped.append(f"{image} ({why_skipped(image, error)})")
                continue
            names.append(str(image))
            squares.append(torch.from_numpy(square.copy()))
            parts.append(session.run(list(OUTPUTS), {"images": whole[None]}))
        if not names:
            continue
        exported = Answers(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))
        own = _answers(classifier, torch.stack(squares).permute(0, 3, 1, 2))
        n_images += len(names)
        probability = max(probability, _largest(exported.probabilities, own.probabilities))
        known_score = max(known_score, _largest(exported.known_scores, own.known_scores))
        differs = exported.probabilities.argmax(1) != own.probabilities.argmax(1)
        differs |= exported.are_refused != own.are_refused
        changed += [name for name, one in zip(names, differs, strict=True) if one]
    return Differences(n_images, probability, known_score, tuple(changed), tuple(skipped))


def _session(classifier: ImageClassifier, path: Path) -> InferenceSession:
    """Open an ONNX file on the CPU."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # it would report its use to Microsoft
    try:
        import onnxruntime
    except ImportError:
        raise UserError(f"checking an ONNX file needs onnxruntime: {REMEDY}.") from None
    try:
        content = path.read_bytes()
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has many kinds, without a common one
        raise UserError(f"{path} cannot be read as an ONNX file: {one_line(error)}") from None
    metadata = session.get_modelmeta().custom_metadata_map
    if metadata.get("classes") != metadata_of(classifier)["classes"]:
        raise UserError(f"{path} is not an export of this classifier: its classes are others.")
    return session


def _answers(classifier: ImageClassifier, pixels: torch.Tensor) -> Answers:
    """Return the answers of a classifier for uint8 [n, 3, size, size]."""
    features = classifier.features(pixels)
    known = reject.known_scores(classifier.rejection, features)
    probabilities = classifier.log_probabilities(features).exp()
    refused = known < classifier.rejection.threshold
    return Answers(probabilities.numpy(), known.numpy(), refused.numpy())


def _largest(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.abs(first - second).max())
