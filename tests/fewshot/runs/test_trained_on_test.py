"""Oracle: which images the pretrainings of a folder trained on, by the way they were asked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from fewshot.errors import UserError
from fewshot.runs import dry_run, experiment, pretraining
from tests.fewshot.runs.test_cross_validation import folder

BACKBONE = {"name": "conv4", "options": {"width": 4}}
SHORT = {"steps": 1, "epochs": None, "batch_size": 8, "resolutions": []}
STUDENT = {"method": "scratch", "full": True, "backbone": BACKBONE, "train": SHORT}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("leak")


@pytest.fixture(scope="module")
def mine(root: Path) -> Path:
    return folder(root / "mine", {"owl": 10, "emu": 10})


@pytest.fixture(scope="module")
def other(root: Path) -> Path:
    """Write images of the same size, which are turned to be others."""
    made = folder(root / "other", {"owl": 3, "emu": 4})
    for path in made.glob("*/*.png"):
        with Image.open(path) as image:
            image.transpose(Image.Transpose.ROTATE_90).save(path)
    return made


def pretrained(data: Path, out: Path, **values: object) -> Path:
    request = {"data": str(data), "backbone": BACKBONE, "train": SHORT, "validation": None}
    return pretraining.run({**request, **values}, out=out)[1]


def student(data: Path, teacher: Path, **values: object) -> dict:
    options = {"teachers": [str(teacher)]}
    return {**STUDENT, "data": str(data), "learner": options, "augment": [], **values}


def probe(data: Path, weights: Path, **values: object) -> dict:
    backbone = {**BACKBONE, "weights": str(weights)}
    return {"method": "probe", "full": True, "data": str(data), "backbone": backbone, **values}


def without_share(path: Path, copy: Path) -> Path:
    """Copy a weight file with a card as older versions wrote it."""
    with safe_open(path, "pt") as file:
        about = json.loads(file.metadata()["fewshot"])
    del about["card"]["test_share"]
    save_file(load_file(path), copy, {"fewshot": json.dumps(about)})
    return copy


def test_a_network_that_learned_from_test_images_is_refused(
    root: Path, mine: Path, tmp_path: Path
) -> None:
    weights = pretrained(mine, root / "a")
    older = without_share(weights, tmp_path / "older.safetensors")
    for path in (weights, older):
        for request, setting in ((student, "learner.teachers"), (probe, "backbone.weights")):
            with pytest.raises(UserError, match=rf"^{setting}: .* mine that .* --test 0\.2,"):
                experiment.run(request(mine, path), [0], out=tmp_path / "runs")
    with pytest.raises(UserError, match="cross-validates on"):
        dry_run.forecast(probe(mine, weights), [0], out=tmp_path / "runs")
    with pytest.raises(UserError, match=r"sets aside as test images, .* --test 0\.2"):
        experiment.run(probe(mine, weights, test=0.5), [0], out=tmp_path / "runs")
    assert not list((tmp_path / "runs").glob("*/config.yaml"))


def test_a_network_that_learned_from_the_whole_folder_is_refused(
    root: Path, mine: Path, other: Path, tmp_path: Path
) -> None:
    weights = pretrained(mine, root / "b", test=str(other))
    for values in ({}, {"test": 0.2}):
        with pytest.raises(UserError, match="test on other images, with --test, or use other"):
            experiment.run(probe(mine, weights, **values), [0], out=tmp_path)
    experiment.run(probe(mine, weights, test=str(other)), [0], out=tmp_path)


def test_what_a_network_started_from_counts_too(
    root: Path, mine: Path, other: Path, tmp_path: Path
) -> None:
    first = pretrained(mine, root / "c")
    started = pretrained(other, root / "c", backbone={**BACKBONE, "weights": str(first)})
    taught = pretrained(other, root / "c", learner={"teachers": [str(first)]})
    for weights in (started, taught):
        with pytest.raises(UserError, match="cross-validates on"):
            experiment.run(probe(mine, weights), [0], out=tmp_path)


def test_other_test_images_are_accepted_and_a_teacher_is_mentioned(
    root: Path, mine: Path, other: Path, tmp_path: Path
) -> None:
    weights = pretrained(mine, root / "d")
    experiment.run(probe(mine, weights, test=0.2), [0], out=tmp_path)
    experiment.run(probe(mine, weights, test=0.1), [0], out=tmp_path)
    experiment.run(probe(other, weights), [0], out=tmp_path)
    record = experiment.run(student(mine, weights, test=0.2), [0], out=tmp_path)
    teacher = "weights.safetensors, a teacher, was trained on 2 of 2 classes of mine"
    assert any(teacher in warning for warning in record.warnings)
