"""Oracles: scikit-learn and scipy on folds that are made here, and counting."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score

from episodes import datasets, subsets
from episodes.types import ImageSet
from fewshot.errors import UserError
from fewshot.runs import calibrating, experiment, resolve
from fewshot.runs.run_record import RunRecord
from fewshot.runs.trial_data import Part
from tests.fewshot.runs.quick_runs import quick

NUMBERS = (2, 24, 6, 4)  # training images of the first digits, in the folder below


def trial(out: Path, record: RunRecord) -> dict:
    return json.loads((out / record.run_id / "trial-0" / "trial.json").read_text())


def saved(out: Path, record: RunRecord) -> dict[str, np.ndarray]:
    with np.load(out / record.run_id / "trial-0" / "predictions.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of digits: unequal numbers of training images, and twice as many to test."""
    root = tmp_path_factory.mktemp("unequal")
    data = datasets.load("digits")
    for digit, number in enumerate(NUMBERS):
        for part, images, n in (("train", data.train, number), ("test", data.test, 30 - digit)):
            place = root / part / f"digit-{digit}"
            place.mkdir(parents=True)
            for i in (images.labels == digit).nonzero()[:n, 0].tolist():
                pixels = images.images[i].permute(1, 2, 0).numpy()
                Image.fromarray(pixels).save(place / f"{i}.png")
    return root


def own_temperature(values: dict, out: Path) -> float:
    """The temperature of a probe on random features, by scikit-learn and scipy."""
    run = resolve.resolve_run(values, out, "cpu")
    images = run.data.train
    indices = subsets.shots(images.labels, images.classes, values["shots"], 0)
    backbone = run.build_learner(0).backbone.eval()
    with torch.no_grad():
        features = backbone(images.images[indices].float() / 255).double().numpy()
    labels = images.labels[indices].numpy()

    def logits(inside: np.ndarray, queries: np.ndarray) -> np.ndarray:
        centre = features[inside].mean(0)
        support, others = (
            rows / np.linalg.norm(rows, axis=1, keepdims=True)
            for rows in (features[inside] - centre, queries - centre)
        )
        fitted = LogisticRegression(max_iter=1000).fit(support, labels[inside])
        return fitted.decision_function(others)

    def spread(rows: np.ndarray) -> float:
        return rows.std(1, ddof=1).mean()

    everything = np.arange(len(labels))
    whole = spread(logits(everything, features))
    held_out = np.empty((len(labels), 10))
    for inside, outside in subsets.folds(torch.tensor(labels), values["shots"], 0):
        own = spread(logits(inside.numpy(), features[inside]))
        held_out[outside] = whole / own * logits(inside.numpy(), features[outside])

    def loss(log_temperature: float) -> float:
        log_p = log_softmax(held_out / math.exp(log_temperature), axis=1)
        return -log_p[everything, labels].sum() + log_temperature**2 / 2

    return math.exp(minimize_scalar(loss, bounds=(-5, 5), method="bounded").x)


def test_the_temperature_of_a_probe_is_that_of_scikit_learns_predictions_out_of_fold(
    tmp_path: Path,
) -> None:
    values = quick("probe")
    record = experiment.run(values, [0], out=tmp_path)
    assert record.calibration == [calibrating.OUT_OF_FOLD]
    assert record.temperature.mean == pytest.approx(own_temperature(values, tmp_path), rel=0.01)
    # the block of the record, from the saved predictions
    arrays = saved(tmp_path, record)
    assert arrays["temperature"] == record.temperature.mean
    log_p = log_softmax(arrays["test_logits"] / arrays["temperature"], axis=1)
    own = log_p[np.arange(len(log_p)), arrays["test_labels"]]
    assert record.calibrated["loss"].mean == pytest.approx(-own.mean(), rel=1e-4)
    errors = np.exp(log_p) - np.eye(10)[arrays["test_labels"]]
    assert record.calibrated["brier"].mean == pytest.approx((errors**2).sum(1).mean(), rel=1e-4)
    for name in ("loss", "ece", "brier"):
        assert record.calibrated[name].mean < record.scores[name].mean


def test_equal_labels_have_the_same_logits_and_run_id_whatever_prior_and_calibration(
    tmp_path: Path,
) -> None:
    records = {
        prior: experiment.run(quick("probe", prior=prior, calibration="none"), [0], out=tmp_path)
        for prior in ("balanced", "training")
    }
    assert records["balanced"].run_id == records["training"].run_id
    plain = saved(tmp_path, records["balanced"])
    default = experiment.run(quick("probe"), [0], out=tmp_path)
    assert np.array_equal(plain["test_logits"], saved(tmp_path, default)["test_logits"])
    assert plain["temperature"] == 1
    assert records["balanced"].temperature is None
    assert records["balanced"].calibrated is None


@pytest.mark.parametrize("method", ["probe", "scratch", "finetune", "maml", "protonet"])
def test_the_shift_is_the_log_of_the_counts_where_the_learner_has_learned_them(
    method: str, tmp_path: Path
) -> None:
    more = {"shots": 3, "class_shots": {"0": 24}, "calibration": "none"}
    untrained = {"train": None} if method in ("maml", "protonet") else {}
    if method == "finetune":
        untrained = {"select": "last"}
    values = quick(method, **more, **untrained)
    arrays, trials = {}, {}
    for prior in ("balanced", "training", {"5": 4.0}):
        record = experiment.run({**values, "prior": prior}, [0], out=tmp_path)
        assert record.labels == 9 * 3 + 24
        arrays[str(prior)], trials[str(prior)] = saved(tmp_path, record), trial(tmp_path, record)
    counts = np.array([24] + [3] * 9)
    learned = np.log(counts / counts.mean()) if method != "protonet" else np.zeros(10)
    weights = np.array([1.0] * 5 + [4.0] + [1.0] * 4)
    expected = {
        "balanced": -learned,
        "training": np.log(counts / counts.mean()) - learned,
        "{'5': 4.0}": np.log(weights / weights.mean()) - learned,
    }
    raw = arrays["training"]["test_logits"] - expected["training"]
    for prior, shift in expected.items():
        recorded = trials[prior]["shift"]
        assert (recorded is None) == (not shift.any())
        if recorded is not None:
            assert recorded == pytest.approx(shift, abs=1e-5)
        np.testing.assert_allclose(arrays[prior]["test_logits"], raw + shift, atol=1e-4)


@pytest.mark.parametrize(
    ("head", "learned"),
    [
        ({"head": "cosine", "start": "prototypes"}, False),
        ({"head": "linear", "start": "random"}, False),
        ({"head": "unit", "start": "prototypes"}, False),
        ({"head": "unit", "start": "probe"}, True),
        ({"head": "cosine", "start": "prototypes", "readout": "logistic"}, True),
    ],
)
def test_an_untrained_head_has_learned_the_counts_only_if_it_was_fitted(
    head: dict[str, str], learned: bool, tmp_path: Path
) -> None:
    """The largest class of a head of class means was never predicted."""
    more = {"shots": 3, "class_shots": {"0": 24}, "select": "start", "calibration": "none"}
    values = quick("finetune", **more, learner=head)
    record = experiment.run(values, [0], out=tmp_path)
    shift = trial(tmp_path, record)["shift"]
    if not learned:
        assert shift is None
        return
    counts = np.array([24] + [3] * 9)
    assert shift == pytest.approx(-np.log(counts / counts.mean()), abs=1e-5)


@pytest.mark.parametrize(
    ("budget", "labels"), [({"full": True}, NUMBERS), ({"fraction": 0.5}, (1, 12, 3, 2))]
)
def test_a_folder_of_unequal_classes_is_classified_without_a_preference(
    folder: Path, budget: dict, labels: tuple[int, ...], tmp_path: Path
) -> None:
    """Half of a class is at least one image; the test images are unequal as well."""
    values = {key: value for key, value in quick("probe").items() if key != "shots"}
    values |= {**budget, "data": str(folder), "preset": "few"}
    by_prior = {
        prior: experiment.run({**values, "prior": prior}, [0], out=tmp_path)
        for prior in ("balanced", "training")
    }
    assert by_prior["balanced"].labels == sum(labels)
    assert by_prior["balanced"].run_id != by_prior["training"].run_id
    for record in by_prior.values():
        arrays = saved(tmp_path, record)
        predicted = arrays["test_logits"].argmax(1)
        assert record.scores["recall"].mean == pytest.approx(
            balanced_accuracy_score(arrays["test_labels"], predicted)
        )
        assert record.unequal_test
    recalls = {prior: record.scores["recall"].mean for prior, record in by_prior.items()}
    assert recalls["balanced"] > recalls["training"] + 0.2


@pytest.mark.parametrize(
    ("method", "more", "way"),
    [
        ("scratch", {}, calibrating.ANOTHER_TRAINING),
        ("scratch", {"shots": 1}, calibrating.TOO_FEW),
        ("protonet", {"shots": 2, "preset": "random"}, calibrating.NO_EPISODE),
        ("scratch", {"shots": 1, "class_shots": {"3": 8}}, calibrating.ANOTHER_TRAINING),
        ("scratch", {"validation": {"share": 0.3}}, calibrating.VALIDATION),
        ("scratch", {"calibration": "none"}, calibrating.NOT_WANTED),
        ("finetune", {"select": "support_cv_ends"}, calibrating.OUT_OF_FOLD),
        ("finetune", {"select": "start"}, calibrating.OUT_OF_FOLD),
        ("protonet", {"train": None}, calibrating.OUT_OF_FOLD),
        ("probe", {"shots": 1, "class_shots": {"3": 8}}, calibrating.OUT_OF_FOLD),
    ],
)
def test_each_learner_is_calibrated_on_what_it_has(
    method: str, more: dict, way: str, tmp_path: Path
) -> None:
    record = experiment.run(quick(method, **more), [0], out=tmp_path)
    assert record.calibration == [way]
    assert (record.temperature is None) == way.startswith("none")
    assert not list((tmp_path / record.run_id / "trial-0").glob("fold-*"))


def test_beyond_a_hundred_labels_per_class_no_second_training_is_made(tmp_path: Path) -> None:
    values = quick("scratch", shots=101, train={"steps": 2}, augment=[])
    record = experiment.run({**values, "preset": "few"}, [0], out=tmp_path)
    assert record.calibration == [calibrating.TOO_COSTLY]
    assert record.temperature is None


@pytest.mark.slow
def test_one_label_per_class_is_calibrated_by_the_spread_of_cosines(tmp_path: Path) -> None:
    """On the shipped body, whose logistic regression is far too timid."""
    values = {"method": "probe", "data": "digits", "shots": 1, "precision": "float32"}
    record = experiment.run(values, [0, 1, 2], out=tmp_path)
    assert record.calibration == [calibrating.EXPECTED]
    assert record.calibrated["ece"].mean < record.scores["ece"].mean / 2


def test_a_prior_of_an_unknown_class_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="prior names the class 'cat', which the data does not"):
        experiment.run(quick("probe", prior={"cat": 2.0}), [0], out=tmp_path)


def test_folds_never_hold_out_the_only_image_of_a_class() -> None:
    labels = torch.tensor([0, 1, 1, 2, 2, 2, 2, 3])
    images = ImageSet("some", torch.zeros(8, 3, 4, 4), labels, tuple("abcd"), "f", {})
    part = Part(images, torch.arange(8))
    held_out: list[int] = []
    for inside, outside in calibrating.folds(part.labels, part.clusters):
        assert set(labels[inside].tolist()) == {0, 1, 2, 3}
        assert sorted([*inside.tolist(), *outside.tolist()]) == list(range(8))
        held_out += outside.tolist()
    assert sorted(held_out) == [1, 2, 3, 4, 5, 6]
    inside, outside = calibrating._split(part)
    assert set(labels[inside].tolist()) == {0, 1, 2, 3}
    assert labels[outside].tolist() == [1, 2]


def test_copies_of_held_out_images_are_not_learned_from() -> None:
    labels = torch.arange(4).repeat_interleave(12)
    pairs = torch.arange(24).repeat_interleave(2)
    pixels = torch.zeros(48, 3, 4, 4)
    images = ImageSet("pairs", pixels, labels, tuple("abcd"), "f", {}, clusters=pairs)
    part = Part(images, torch.arange(4, 48))
    for inside, outside in [
        *calibrating.folds(part.labels, part.clusters),
        calibrating._split(part),
    ]:
        own = pairs[part.indices]
        assert len(outside)
        assert not set(own[inside].tolist()) & set(own[outside].tolist())
