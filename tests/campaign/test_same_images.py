"""Oracle: the same images from other files, beside other images, or for another program."""

from __future__ import annotations

import io
import random
import shutil
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from episodes.datasets import load
from fewshot.config import BackboneSettings, FitConfig
from fewshot.errors import UserError
from fewshot.model import file_format, onnx_export, predictor
from fewshot.model.fit import fit_data
from fewshot.runs import experiment
from fewshot.runs.run_record import RunRecord
from tests.campaign import varied_runs
from tests.campaign.conftest import Outcomes
from tests.fewshot.model import own_photos
from tests.fewshot.runs.quick_runs import quick

ROUNDING = 1e-3  # of the spread of the logits: what another order of additions may change
ONNX_ROUNDING = 1e-4  # of a probability: another program computes it
CLASSES = ("blue", "green", "red")
PARTS = {"train": 8, "test": 5}  # images of each class


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every test decode its images itself."""
    monkeypatch.setenv("FEWSHOT_CACHE", str(tmp_path / "cache"))


def _pictures(seed: int) -> dict[str, bytes]:
    """Return the content of PNG files by their path: PART/CLASS/NUMBER.png."""
    noise, files = np.random.default_rng(seed), {}
    for part, n in PARTS.items():
        for name in CLASSES:
            for number in range(n):
                pixels = noise.normal(own_photos.COLOURS[name], 60, (32, 32, 3)).clip(0, 255)
                file = io.BytesIO()
                Image.fromarray(pixels.astype(np.uint8)).save(file, "PNG")
                files[f"{part}/{name}/{number}.png"] = file.getvalue()
    return files


def _folder(place: Path, files: Mapping[str, bytes]) -> Path:
    for path, content in files.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_bytes(content)
    return place


def _turned_folder(place: Path, files: Mapping[str, bytes]) -> Path:
    """Write the files in another order, so that the file system lists them in another one."""
    return _folder(place / "ünter einem anderen", dict(reversed(list(files.items()))))


def _zip(place: Path, files: Mapping[str, bytes]) -> Path:
    place.mkdir()
    with zipfile.ZipFile(place / "photos.zip", "w") as archive:
        for path, content in reversed(list(files.items())):
            archive.writestr(path, content)
    return place / "photos.zip"


def _parquet(place: Path, files: Mapping[str, bytes]) -> Path:
    """Write train.parquet and test.parquet, with classes by name and images as bytes."""
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    place.mkdir()
    for part in PARTS:
        rows = [(path, content) for path, content in files.items() if path.startswith(part)]
        table = arrow.table(
            {
                "image": [{"bytes": content, "path": path} for path, content in rows],
                "label": [path.split("/")[1] for path, _ in rows],
            }
        )
        parquet.write_table(table, place / f"{part}.parquet")
    return place


def _csv(place: Path, files: Mapping[str, bytes]) -> Path:
    _folder(place / "all", files)
    lines = [f"all/{path},{path.split('/')[1]},{path.split('/')[0]}" for path in files]
    (place / "labels.csv").write_text("\n".join(["file,label,split", *lines]) + "\n")
    return place / "labels.csv"


WAYS: dict[str, Callable[[Path, Mapping[str, bytes]], Path]] = {
    "a folder written in another order": _turned_folder,
    "a zip file": _zip,
    "Parquet files": _parquet,
    "a CSV file": _csv,
}


def _numbers(record: RunRecord, out: Path) -> dict[str, np.ndarray]:
    """Return the logits and labels of a run's trials."""
    numbers = {}
    for path in sorted((out / record.run_id).glob("trial-*/predictions.npz")):
        with np.load(path) as arrays:
            numbers |= {f"{path.parent.name} {key}": arrays[key] for key in arrays}
    return numbers


def _are_equal(first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray]) -> bool:
    return first.keys() == second.keys() and all(
        np.array_equal(first[key], second[key]) for key in first
    )


def test_kinds_of_files(
    seed: int, amount: Callable[[int], int], outcomes: Callable[[str], Outcomes], tmp_path: Path
) -> None:
    with outcomes("numbers-files") as part:
        part.figures |= {"tolerance": 0.0, "largest difference": 0.0}
        for repeat in range(amount(4)):
            files, place = _pictures(seed + repeat), tmp_path / str(repeat)
            method = ("scratch", "probe", "protonet", "finetune")[repeat % 4]
            values = quick(method, data=str(_folder(place / "plain", files)))
            usual = experiment.run(values, [0, 1], out=place / "usual", device="cpu", threads=1)
            for name, write in WAYS.items():
                data = write(place / name, files)
                out = place / f"{name} out"
                values = quick(method, data=str(data))
                record = experiment.run(values, [0, 1], out=out, device="cpu", threads=1)
                same = _are_equal(_numbers(usual, place / "usual"), _numbers(record, out))
                if same and record.scores == usual.scores:
                    part.count("equal, bit for bit")
                else:
                    part.fail(f"{name}, {method}, seed {seed + repeat}: other numbers")


def _classified(run: Path, pixels: np.ndarray, choose: random.Random) -> dict[str, float]:
    """Return the largest difference of a logit, by what it is compared with.

    The unit is the standard deviation of the logits.
    """
    model = predictor.load(run, seed=0, device="cpu")
    together = model.logits(pixels)
    with np.load(run / "trial-0" / "predictions.npz") as arrays:
        evaluated = torch.from_numpy(arrays["test_logits"] / arrays["temperature"])
    turned = model.logits(np.ascontiguousarray(pixels[::-1])).flip(0)
    some = choose.sample(range(len(pixels)), 10)
    alone = torch.cat([model.logits(pixels[[number]]) for number in some])
    differences = {
        "evaluated": together - evaluated,
        "turned": together - turned,
        "alone": together[some] - alone,
    }
    spread = float(together.std())
    return {name: float(one.abs().max()) / spread for name, one in differences.items()}


def test_one_image_alone_and_among_others(
    seed: int, amount: Callable[[int], int], outcomes: Callable[[str], Outcomes], tmp_path: Path
) -> None:
    with outcomes("numbers-alone") as part:
        part.figures |= {"tolerance": ROUNDING, "largest difference": 0.0}
        pixels = load("digits").test.images.numpy()
        colours = np.repeat(pixels, 3, axis=1) if pixels.shape[1] == 1 else pixels
        for number in range(amount(20)):
            values = varied_runs.sample(seed, number)
            try:
                record = experiment.run(values, [0], out=tmp_path, device="cpu", threads=1)
            except UserError:
                continue  # the sample is not always valid
            choose = random.Random(f"{seed} {number}")
            differences = _classified(tmp_path / record.run_id, colours, choose)
            for name, difference in differences.items():
                largest = max(part.figures["largest difference"], difference)
                part.figures["largest difference"] = largest
                if not difference:
                    part.count("equal, bit for bit")
                elif difference <= ROUNDING:
                    part.count("equal to rounding")
                else:
                    part.fail(f"{name}: differs by {difference:.2g}: {values}")


def _settings(seed: int, number: int) -> FitConfig:
    """Return how a model is fitted."""
    choose = random.Random(f"fit {seed} {number}")
    values: dict[str, Any] = {
        "method": ("probe", "protonet", "finetune", "scratch")[number % 4],
        "image_fit": choose.choice(["crop", "squeeze", "pad"]),
        "prior": choose.choice(["balanced", "training"]),
        "reject": choose.choice([0.05, 0.3]),
        "seed": choose.randrange(100),
    }
    if values["method"] == "probe" and choose.random() < 0.5:
        views = choose.choice(["none", "flip", "flip-crop"])
        values["backbone"] = BackboneSettings(name="conv4", options={"width": 8}, views=views)
    return FitConfig(**values)


def test_models_saved_and_exported(
    seed: int, amount: Callable[[int], int], outcomes: Callable[[str], Outcomes], tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    photos = own_photos.write(tmp_path / "photos", {"red": 9, "green": 7, "blue": 8})
    new = own_photos.write(tmp_path / "new", {"red": 3, "blue": 3}, first=90)
    images = sorted(new.rglob("*.png"))
    with outcomes("numbers-models") as part:
        part.figures |= {"tolerance": ONNX_ROUNDING, "largest difference": 0.0}
        for number in range(amount(8)):
            settings = _settings(seed, number)
            model = fit_data(str(photos), settings, "cpu")
            again = fit_data(str(photos), settings, "cpu")
            file_format.save(model, tmp_path / "model.fewshot")
            loaded = file_format.load(tmp_path / "model.fewshot", "cpu")
            side = model.decoding.size
            generator = np.random.default_rng(number)
            pixels = generator.integers(0, 256, (9, 3, side, side), dtype=np.uint8)
            answers = [
                predictor.of_model(one, "").classify(pixels) for one in (model, loaded, again)
            ]
            for name, other in zip(("loaded", "fitted again"), answers[1:], strict=True):
                if torch.equal(answers[0].logits, other.logits):
                    part.count("equal, bit for bit")
                else:
                    part.fail(f"{name}: {settings}")
            onnx_export.export(model, tmp_path / "model.onnx")
            differences = onnx_export.check(model, tmp_path / "model.onnx", images)
            largest = max(differences.probability, part.figures["largest difference"])
            part.figures["largest difference"] = largest
            if differences.probability <= ONNX_ROUNDING and not differences.changed:
                part.count("equal to rounding")
            else:
                part.fail(f"ONNX differs by {differences}: {settings}")
        shutil.rmtree(tmp_path / "photos")
