"""Oracles: scores computed anew from the saved predictions, and the times of the written files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.special import softmax

from episodes import streams
from episodes.datasets import drafts
from fewshot.errors import Diverged
from fewshot.features import frozen
from fewshot.learners import probe
from fewshot.model.restore import restore
from fewshot.report import formatting
from fewshot.runs import experiment, trial, voting
from fewshot.runs.resolve import ResolvedRun, resolve_run
from tests.episodes.datasets.samples import save_known_faults
from tests.fewshot.runs.quick_runs import quick


@pytest.fixture(scope="module")
def resolved(tmp_path_factory: pytest.TempPathFactory) -> ResolvedRun:
    """A run of a probe whose first trial is finished."""
    request = {
        "method": "probe",
        "data": "digits",
        "shots": 2,
        "precision": "float32",
        "backbone": {"name": "conv4", "options": {"width": 4}, "weights": "none"},
    }
    resolved = resolve_run(request, tmp_path_factory.mktemp("runs"), "cpu")
    trial.run_trial(resolved, 0)
    return resolved


def read(run: ResolvedRun, seed: int) -> dict:
    return json.loads((run.trial_folder(seed) / "trial.json").read_text())


def test_the_scores_are_those_of_the_saved_predictions(resolved: ResolvedRun) -> None:
    record = read(resolved, 0)
    with np.load(resolved.trial_folder(0) / "predictions.npz") as arrays:
        classes, labels = arrays["test_logits"].argmax(1), arrays["test_labels"]
    np.testing.assert_array_equal(labels, resolved.data.test.labels)
    assert record["scores"]["accuracy"] == pytest.approx((classes == labels).mean(), abs=0.005)
    recalls = [(classes[labels == label] == label).mean() for label in range(10)]
    assert record["per_class"] == pytest.approx(recalls, abs=0.03)
    assert np.array(record["confusion"]).sum(1).tolist() == [50] * 10
    assert record["labels"] == 20
    assert record["cost"]["parameters"] > 0


def test_a_finished_trial_is_not_run_again_unless_forced(resolved: ResolvedRun) -> None:
    path = resolved.trial_folder(0) / "trial.json"
    before = path.stat().st_mtime_ns
    scores = read(resolved, 0)["scores"]
    trial.run_trial(resolved, 0)
    assert path.stat().st_mtime_ns == before
    trial.run_trial(resolved, 0, force=True)
    assert path.stat().st_mtime_ns > before
    assert read(resolved, 0)["scores"] == scores


def test_outputs_that_are_not_finite_are_an_error_and_no_result(tmp_path: Path) -> None:
    request = quick("scratch") | {"train": {"steps": 1, "lr": 1e30, "optimizer": {"name": "sgd"}}}
    run = resolve_run(request, tmp_path, "cpu")
    with pytest.raises(Diverged, match="outputs for the test images are not finite"):
        trial.run_trial(run, 0)
    assert not (run.trial_folder(0) / "trial.json").exists()


def test_an_unfinished_trial_is_completed_and_its_temporary_files_are_removed(
    resolved: ResolvedRun,
) -> None:
    folder = resolved.trial_folder(4)
    folder.mkdir(parents=True)
    unfinished = folder / f"{drafts.PREFIX}0a1b2c3d{drafts.SUFFIX}"
    unfinished.write_bytes(b"half")
    trial.run_trial(resolved, 4)
    assert not unfinished.exists()
    assert read(resolved, 4)["seed"] == 4
    assert read(resolved, 4)["indices_hash"] != read(resolved, 0)["indices_hash"]


@pytest.mark.parametrize(("n", "expected"), [(5, [0, 1, 2, 3, 4]), (1, [0])])
def test_few_training_images_are_all_evaluated(n: int, expected: list[int]) -> None:
    assert trial._spread(n).tolist() == expected


def test_many_training_images_are_sampled_evenly() -> None:
    positions = trial._spread(50_000)
    assert len(positions) == trial.TRAIN_ACCURACY_IMAGES
    assert (int(positions[0]), int(positions[-1])) == (0, 49_999)
    assert set(torch.diff(positions).tolist()) <= {4, 5, 6}


def test_one_shot_runs_everywhere(tmp_path: Path) -> None:
    for method in ("finetune", "probe", "protonet", "scratch", "siamese"):
        record = experiment.run(quick(method, shots=1), [0], out=tmp_path)
        assert record.labels == 10
        assert any("stay as they were" in warning for warning in record.warnings) == (
            method == "protonet"
        )


@pytest.mark.parametrize("steps", [0, 2])
def test_a_learner_that_was_not_trained_has_no_caution_about_training(
    steps: int, tmp_path: Path
) -> None:
    pytest.importorskip("learn2learn")
    train = {"steps": steps} if steps else None
    record = experiment.run(quick("maml", shots=2, train=train), [0], out=tmp_path)
    assert any(formatting.OF_TRAINING in warning for warning in record.warnings) == bool(steps)


@pytest.mark.parametrize(
    ("image_size", "input_size", "warned"), [(63, None, False), (64, None, True), (64, 48, False)]
)
def test_large_images_in_a_small_network_are_a_warning(
    image_size, input_size, warned, tmp_path: Path
) -> None:
    values = quick("probe", shots=1, image_size=image_size)
    values["backbone"] = {
        **values["backbone"],
        "options": {"width": 8, "pool": True},
        "input_size": input_size,
    }
    record = experiment.run(values, [0], out=tmp_path)
    assert any("sees images of 64 pixels at 32" in warning for warning in record.warnings) == warned


def test_with_views_scratch_also_reports_its_accuracy_without_them(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (2, 12, 16, 16, 3), dtype=np.uint8)
    for name, images in zip(("cat", "dog"), noise, strict=True):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number, pixels in enumerate(images):
            Image.fromarray(pixels).save(tmp_path / "data" / name / f"{number}.png")
    asked = quick("scratch", data=str(tmp_path / "data"), shots=4)
    plain = experiment.run(asked, [0], out=tmp_path / "runs")
    viewed = {**asked, "backbone": {**asked["backbone"], "views": "flip-shift"}}
    record = experiment.run(viewed, [0], out=tmp_path / "runs")
    assert plain.measures == {}
    assert record.measures["accuracy_without_views"].values == plain.scores["accuracy"].values


def test_a_logistic_readout_sees_the_whole_support(tmp_path: Path) -> None:
    asked = quick(
        "finetune",
        shots=6,
        learner={"head": "unit", "readout": "logistic", "readout_c": 5.0},
        select="last",
    )
    record = experiment.run(asked, [0], out=tmp_path)
    restored, learner, indices = restore(tmp_path / record.run_id, 0)
    assert len(indices) == 60
    support = streams.labelled(restored.data.train, indices, "cpu")
    with torch.no_grad():
        classify = probe.fit_classifier(learner.eval().backbone, support, probe.Options(c=5.0))
        expected = classify(streams.as_float(restored.data.test.images)).argmax(1)
    saved = np.load(tmp_path / record.run_id / "trial-0" / "predictions.npz")["test_logits"].argmax(
        1
    )
    assert (saved == expected.numpy()).mean() > 0.99  # saved in half precision


def test_cifar10_has_a_second_accuracy_without_the_faulty_images(
    tmp_path: Path, resolved: ResolvedRun
) -> None:
    save_known_faults(tmp_path / "data")
    values = quick("probe", data=str(tmp_path / "data"), shots=2)
    record = experiment.run(values, [0, 1], out=tmp_path / "runs", device="cpu")
    probabilities = []
    for seed, recorded in zip(record.seeds, record.scores["clean_accuracy"].values, strict=True):
        folder = tmp_path / "runs" / record.run_id / f"trial-{seed}"
        with np.load(folder / "predictions.npz") as arrays:
            labels, faulty = arrays["test_labels"], arrays["test_faulty"]
            logits = arrays["test_logits"].astype(float)
            probabilities.append(softmax(logits / arrays["temperature"], axis=1))
        # the last two images of each class are those that are not listed
        clean = np.sort([np.flatnonzero(labels == label)[-2:] for label in range(10)], axis=None)
        np.testing.assert_array_equal(np.setdiff1d(np.arange(len(labels)), faulty), clean)
        right = probabilities[-1].argmax(1) == labels
        assert recorded == right[clean].mean()
    [vote] = voting.vote([tmp_path / "runs"], pool=True, out=tmp_path / "votes")
    right = np.mean(probabilities, axis=0).argmax(1) == labels
    assert vote.scores["clean_accuracy"].mean == right[clean].mean()
    assert "clean_accuracy" not in read(resolved, 0)["scores"]


def pets(folder: Path, *classes: str) -> Path:
    """Write images of noise in a folder for each class, and return the folder of all."""
    random = np.random.default_rng(0)
    for part, n in (("train", 3), ("test", 4)):
        for name in classes:
            place = folder / part / name
            place.mkdir(parents=True)
            for number in range(n):
                pixels = random.integers(0, 256, (32, 32, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(place / f"{number}.png")
    return folder


@pytest.mark.parametrize(("names", "warned"), [(("cat", "dog"), True), (("lamp", "deer"), False)])
def test_classes_of_the_pretraining_among_those_of_the_data_are_a_warning(
    names: tuple[str, ...], warned: bool, tmp_path: Path
) -> None:
    data = str(pets(tmp_path / "pets", *names))
    backbone = {"weights": "pretrained", "views": "none"}
    request = {"data": data, "shots": 1, "precision": "float32", "backbone": backbone}
    record = experiment.run({**request, "method": "probe"}, [0], out=tmp_path)
    expected = "pretrained on 9 of 200 classes of tinyimagenet32 that show 2 of the 2 classes of"
    assert any(expected in warning for warning in record.warnings) == warned


def test_a_base_with_classes_of_the_data_is_a_warning(tmp_path: Path) -> None:
    base = str(pets(tmp_path / "base", "tabby", "teapot"))
    data = str(pets(tmp_path / "pets", "cat", "lamp"))
    values = quick("protonet", data=data, shots=1)
    values["train"] = {"base": base, "steps": 1}
    values["learner"] = {"episode_shots": 1, "episode_queries": 1}
    record = experiment.run(values, [0], out=tmp_path)
    expected = "the protonet was meta-trained on 1 of 2 classes of base that show 1 of the 2"
    assert any(expected in warning for warning in record.warnings)


def test_without_a_label_the_names_alone_classify(tmp_path: Path) -> None:
    data = str(pets(tmp_path / "pets", "cat", "dog", "lamp"))
    values = {
        "method": "probe",
        "data": data,
        "shots": 0,
        "precision": "float32",
        "backbone": {"weights": "pretrained"},
        "learner": {"prior_from_names": True},
    }
    record = experiment.run(values, [0], out=tmp_path)
    assert (record.labels, record.shots, record.train_accuracy) == (0, 0, None)
    folder = tmp_path / record.run_id
    logits = np.load(folder / "trial-0" / "predictions.npz")["test_logits"]
    restored = restore(folder, 0, "cpu")
    assert len(restored.train_indices) == 0
    indices = torch.arange(12)
    features = frozen.extract(restored.learner.backbone, restored.run.data.test, indices, "cpu")
    roots = features[:, -200:].double().numpy()
    known = list(restored.learner.backbone.pretraining.classes)
    cats, dogs = ["tabby", "Persian cat", "Egyptian cat"], ["Chihuahua", "standard poodle"]
    dogs += ["Yorkshire terrier", "golden retriever", "Labrador retriever", "German shepherd"]
    sums = [(roots[:, [known.index(name) for name in group]] ** 2).sum(1) for group in (cats, dogs)]
    np.testing.assert_allclose(
        logits[:, 0].astype(float) - logits[:, 1], np.log(sums[0] / sums[1]), atol=0.02
    )
