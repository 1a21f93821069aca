"""Classifiers are exported to ONNX files and checked.

Oracle: the classifier itself; Pillow and onnxruntime alone, as the documentation uses them.
"""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from episodes.datasets.decoding.decode import decode
from fewshot.errors import UserError
from fewshot.model import onnx_export
from fewshot.model.classifier import ImageClassifier
from tests.fewshot.model.stored_classifier import classifier

onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

PAGE = Path(__file__).parents[3] / "docs" / "export.md"


@pytest.fixture(scope="module")
def model() -> ImageClassifier:
    """Return a classifier that refuses some images of noise."""
    return classifier(side=40, views="flip")


@pytest.fixture(scope="module")
def exported(model: ImageClassifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the classifier as an ONNX file."""
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    onnx_export.export(model, path)
    return path


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return image files of many kinds."""
    folder = tmp_path_factory.mktemp("photos")
    generator = np.random.default_rng(0)

    def picture(width: int, height: int) -> Image.Image:
        coarse = generator.integers(0, 256, (9, 12, 3), dtype=np.uint8)
        return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)

    picture(300, 17).save(folder / "wide.png")
    picture(17, 300).save(folder / "tall.jpg")
    picture(800, 600).save(folder / "large.jpg")
    picture(800, 600).save(folder / "large.png")
    picture(90, 70).convert("L").save(folder / "grey.jpg")
    picture(90, 70).convert("CMYK").save(folder / "cmyk.jpg")
    picture(90, 70).quantize(16).save(folder / "palette.gif")
    transparent = picture(90, 70).convert("RGBA")
    transparent.putalpha(Image.linear_gradient("L").resize((90, 70)))
    transparent.save(folder / "transparent.png")
    picture(4000, 3000).save(folder / "camera.jpg")
    for orientation in (3, 5, 6, 8):
        exif = Image.Exif()
        exif[0x0112] = orientation
        picture(500, 400).save(folder / f"turned{orientation}.jpg", exif=exif)
    return sorted(folder.iterdir())


def answers_of(model: ImageClassifier, photo: Path) -> tuple[str, float]:
    """Return the class of a photo and its probability."""
    square = torch.from_numpy(decode(photo, model.decoding).copy()).permute(2, 0, 1)
    probabilities = model.log_probabilities(model.features(square[None])).exp()[0]
    best = int(probabilities.argmax())
    return model.classes[best], float(probabilities[best])


@pytest.mark.slow
def test_answers_are_those_of_the_classifier(
    model: ImageClassifier, exported: Path, photos: list[Path]
):
    differences = onnx_export.check(model, exported, photos)
    assert differences.n_images == len(photos)
    assert differences.are_small
    assert differences.probability < 1e-5
    assert differences.known_score < 1e-5
    assert differences.skipped == ()


@pytest.mark.slow
def test_another_classifier_is_noticed(
    model: ImageClassifier, exported: Path, photos: list[Path], tmp_path: Path
):
    colder = onnx_export.check(replace(model, temperature=0.5), exported, photos)
    assert not colder.are_small
    everything = model.rejection._replace(threshold=2.0)
    refusing = onnx_export.check(replace(model, rejection=everything), exported, photos)
    assert len(refusing.changed) >= 1
    assert refusing.probability < 1e-5
    with pytest.raises(UserError, match="classes are others"):
        onnx_export.check(replace(model, classes=("a", "b", "c")), exported, photos)
    (tmp_path / "a.onnx").write_bytes(b"nothing of the kind")
    with pytest.raises(UserError, match="cannot be read as an ONNX file"):
        onnx_export.check(model, tmp_path / "a.onnx", photos)


@pytest.mark.slow
def test_broken_images_are_skipped_with_a_reason(
    model: ImageClassifier, exported: Path, photos: list[Path], tmp_path: Path
):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(photos[0].read_bytes()[:40])
    differences = onnx_export.check(model, exported, [broken, photos[0]])
    assert differences.n_images == 1
    assert len(differences.skipped) == 1
    assert "broken.jpg" in differences.skipped[0]


@pytest.mark.slow
def test_several_images_at_once_get_what_each_gets_alone(exported: Path):
    session = ort.InferenceSession(exported, providers=["CPUExecutionProvider"])
    images = np.random.default_rng(1).integers(0, 256, (3, 50, 71, 3), dtype=np.uint8)
    together = session.run(None, {"images": images})
    alone = [session.run(None, {"images": image[None]}) for image in images]
    assert [output.name for output in session.get_outputs()] == list(onnx_export.OUTPUTS)
    for number, output in enumerate(together):
        parts = np.concatenate([one[number] for one in alone])
        assert np.allclose(output, parts, atol=1e-6)


@pytest.mark.slow
def test_all_nodes_have_different_names(exported: Path) -> None:
    nodes = onnx.load(exported).graph.node
    assert len({node.name for node in nodes}) == len(nodes)


@pytest.mark.slow
def test_metadata(model: ImageClassifier, exported: Path):
    session = ort.InferenceSession(exported, providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    assert tuple(json.loads(metadata["classes"])) == model.classes
    assert metadata["side"] == "40"
    assert float(metadata["threshold"]) == model.rejection.threshold


@pytest.mark.slow
def test_the_documented_code(
    model: ImageClassifier, exported: Path, photos: list[Path], monkeypatch: pytest.MonkeyPatch
):
    code = re.findall(r"^```py\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(exported.parent)
    names: dict[str, Any] = {}
    exec(compile("\n".join(code), "export.md", "exec"), names)
    refusals = 0
    for photo in photos:
        name, probability = names["classify"](photo)
        expected = answers_of(model, photo)
        assert name in (expected[0], None), photo
        assert probability == pytest.approx(expected[1], abs=1e-5), photo
        refusals += name is None
    assert refusals < len(photos)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("mini-resnet", {"weights": "pretrained", "views": "flip-crop"}),
        ("mini-resnet", {"weights": "pretrained", "views": "flip-shift", "centre": True}),
        ("mini-resnet+tf_efficientnet_lite0", {}),
        ("resnet18", {"input_size": 64, "root": True, "views": "flip-crops", "crop": 0.9}),
        ("vit_tiny_patch16_224", {}),
        ("vit", {}),
        ("tf_efficientnet_lite2", {"input_size": 64}),  # the default for photos
        ("tf_mobilenetv3_small_100", {"input_size": 64}),  # has depthwise convolutions
    ],
)
def test_networks(name: str, settings: dict[str, Any], photos: list[Path], tmp_path: Path):
    model = classifier(name, side=64, **settings)
    onnx_export.export(model, tmp_path / "model.onnx")
    differences = onnx_export.check(model, tmp_path / "model.onnx", photos)
    assert differences.n_images == len(photos)
    assert differences.are_small


def test_a_missing_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.delitem(sys.modules, "fewshot.model.onnx_decoding", raising=False)
    monkeypatch.delattr("fewshot.model.onnx_decoding", raising=False)
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(UserError, match="needs onnxscript: pip install"):
        onnx_export.export(classifier(), tmp_path / "model.onnx")
    assert not any(tmp_path.iterdir())


def test_onnxruntime_reports_nothing_to_anyone(
    model: ImageClassifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    with pytest.raises(UserError):
        onnx_export.check(model, tmp_path / "missing.onnx", [])
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"  # which it reads when it is loaded
