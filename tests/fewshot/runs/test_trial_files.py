"""Oracles: torch's state dictionaries compared tensor by tensor, and the files read back."""

from __future__ import annotations

import json
import statistics
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from episodes import streams
from episodes.rng import seeded
from fewshot.errors import UserError
from fewshot.evaluation import low_data
from fewshot.model.restore import restore
from fewshot.runs import experiment, records, resolve, run_settings, trial_files
from fewshot.runs.labelled_subset import LabelledSubset
from fewshot.runs.trial_files import TrialPredictions
from fewshot.runs.trial_record import Cost, Provenance, TrialRecord
from fewshot.training import trainer
from tests.fewshot import easy
from tests.fewshot.runs.quick_runs import QUICK, quick


def learner() -> easy.Stub:
    with seeded(0, "test"):
        stub = easy.Stub()
        stub.head = nn.Linear(3, 2)
    stub.feed = "batches"
    return stub


@torch.no_grad()
def change(parameter: nn.Parameter) -> None:
    parameter += 1


def test_only_what_training_changed_is_stored() -> None:
    trained = learner()
    initial = trial_files.copy_of_state(trained)
    assert trial_files.changed_state(trained, initial) == {}
    change(trained.head.bias)
    assert list(trial_files.changed_state(trained, initial)) == ["head.bias"]


def test_a_changed_backbone_is_stored_as_a_whole() -> None:
    trained = learner()
    initial = trial_files.copy_of_state(trained)
    change(next(trained.backbone.parameters()))
    expected = [name for name in trained.state_dict() if name.startswith("backbone.")]
    assert list(trial_files.changed_state(trained, initial)) == expected


def test_the_copy_of_the_state_does_not_follow_the_training() -> None:
    trained = learner()
    initial = trial_files.copy_of_state(trained)
    before = trained.head.bias.detach().clone()
    change(trained.head.bias)
    assert torch.equal(initial["head.bias"], before)
    trained.feed = None
    assert trial_files.copy_of_state(trained) == {}


def result() -> TrialRecord:
    return TrialRecord(
        seed=0,
        scores={"accuracy": 0.5},
        validation=None,
        train_accuracy=1.0,
        per_class=[0.5, 0.5],
        confusion=[[1, 1], [1, 1]],
        labels=2,
        indices_hash="abc",
        cost=Cost(10.0, 1.0, 5.0, 50.0, 100),
        provenance=Provenance("c", False, {}, "a CPU", "2024-01-01", "2024-01-02"),
        warnings=[],
    )


def write(folder: Path) -> easy.Stub:
    """Write the files of a trial whose head has been trained, and return its learner."""
    trained = learner()
    initial = trial_files.copy_of_state(trained)
    change(trained.head.bias)
    subset = LabelledSubset(torch.tensor([4, 7]), torch.tensor([4, 7]), None)
    fit = trainer.Fitted([{"step": 1, "train_loss": 0.5}], 1, 0.1, 2, None)
    logits = torch.tensor([[1.0, 2.0], [3.0, 0.5]])
    predictions = TrialPredictions(low_data.Predictions(logits, torch.tensor([1, 0])), None)
    trial_files.write(folder, subset, trained, initial, fit, predictions, result())
    return trained


def test_every_file_of_a_trial_is_written_and_temporary_ones_are_removed(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"state")
    (tmp_path / "fold-0").mkdir()
    write(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "indices.json",
        "metrics.jsonl",
        "model.safetensors",
        "predictions.npz",
        "trial.json",
    ]
    assert json.loads((tmp_path / "indices.json").read_text())["support"] == [4, 7]
    assert json.loads((tmp_path / "metrics.jsonl").read_text()) == {"step": 1, "train_loss": 0.5}
    assert json.loads((tmp_path / "trial.json").read_text())["scores"] == {"accuracy": 0.5}
    with np.load(tmp_path / "predictions.npz") as arrays:
        assert arrays["test_logits"].tolist() == [[1.0, 2.0], [3.0, 0.5]]
        assert arrays["test_labels"].tolist() == [1, 0]
        assert "validation_logits" not in arrays


def test_a_record_knows_how_the_accuracy_varies_over_the_test_images(tmp_path: Path) -> None:
    """The oracle counts in how many trials each image is right, one image at a time."""
    experiment.run(quick("probe"), [0, 1], out=tmp_path)
    record = experiment.run(quick("probe"), [2], out=tmp_path)
    folder = tmp_path / record.run_id
    shares = [0.0] * record.n_test
    for seed in range(3):
        with np.load(folder / f"trial-{seed}" / "predictions.npz") as arrays:
            logits, labels = arrays["test_logits"].tolist(), arrays["test_labels"].tolist()
        for image, (row, label) in enumerate(zip(logits, labels, strict=True)):
            shares[image] += (row.index(max(row)) == label) / 3
    assert record.scores["accuracy"].image_std == pytest.approx(statistics.stdev(shares))
    assert record.scores["loss"].image_std is None
    assert records.read(folder / "record.json") == record
    (folder / "trial-1" / "predictions.npz").unlink()
    folders = [folder / f"trial-{seed}" for seed in range(3)]
    assert trial_files.image_std(folders) is None
    assert trial_files.image_std(folders[:1]) is None


def test_stored_weights_turn_an_initial_learner_into_the_trained_one(tmp_path: Path) -> None:
    trained, restored = write(tmp_path), learner()
    trial_files.load_weights(restored, tmp_path)
    state = restored.state_dict()
    assert all(torch.equal(state[name], value) for name, value in trained.state_dict().items())


def test_missing_damaged_and_foreign_weights_are_errors(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"model\.safetensors cannot be read"):
        trial_files.load_weights(learner(), tmp_path)
    write(tmp_path)
    path = tmp_path / "model.safetensors"
    with pytest.raises(UserError, match="unknown tensor head"):
        trial_files.load_weights(easy.Stub(), tmp_path)
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(UserError, match="--force"):
        trial_files.load_weights(learner(), tmp_path)


def test_the_hash_of_a_subset_depends_on_both_sets_and_their_order() -> None:
    train, validation = torch.tensor([4, 7]), torch.tensor([9])
    subset = LabelledSubset(train, train, validation)
    others = [
        subset._replace(train=train.flip(0)),
        subset._replace(validation=None),
        subset._replace(validation=torch.tensor([8])),
    ]
    hashes = {trial_files.indices_hash(other) for other in (subset, *others)}
    assert len(hashes) == 4
    assert trial_files.indices_hash(LabelledSubset(train, train, validation)) in hashes


def test_the_saved_weights_make_the_saved_predictions(tmp_path: Path) -> None:
    record = experiment.run(quick("scratch"), [0], out=tmp_path)
    trial = tmp_path / record.run_id / "trial-0"
    made = resolve.resolve_run(quick("scratch"), tmp_path, "cpu")
    learner = run_settings.build_learner(made.config, made.task, seed=5)
    learner.load_state_dict(load_file(trial / "model.safetensors"))
    test = made.data.test
    support = streams.labelled(test, torch.arange(2), "cpu")
    classifier = low_data.adapt(learner, support).classifier
    predictions = low_data.classify(
        classifier, streams.chunks(test, torch.arange(len(test)), 100, "cpu")
    )
    saved = torch.from_numpy(np.load(trial / "predictions.npz")["test_logits"])
    torch.testing.assert_close(predictions.logits, saved)


def test_the_weights_of_a_run_can_start_another(tmp_path: Path) -> None:
    first = experiment.run(quick("scratch"), [0], out=tmp_path)
    weights = tmp_path / first.run_id / "trial-0" / "model.safetensors"
    values = quick("probe", backbone={**QUICK["backbone"], "weights": str(weights)})
    record = experiment.run(values, [0], out=tmp_path)
    assert record.weights == str(weights)
    learner = run_settings.build_learner(
        resolve.resolve_run(values, tmp_path).config, resolve.Task(10), seed=0
    )
    saved = load_file(weights)["backbone.body.stages.0.0.weight"]
    assert torch.equal(learner.state_dict()["backbone.body.stages.0.0.weight"], saved)


def test_a_trial_stores_only_the_weights_that_its_training_changed(tmp_path: Path) -> None:
    """The oracle is a comparison with a learner that was built again and not trained."""
    head_only = {**QUICK["train"], "phases": [{"trainable": "head"}]}
    requests = {
        "untrained": quick("protonet", train=None),
        "head": quick("scratch", train=head_only, augment=[]),
        "all": quick("scratch"),
    }
    sizes = {}
    for name, values in requests.items():
        record = experiment.run(values, [0], out=tmp_path)
        folder = tmp_path / record.run_id / "trial-0"
        saved = load_file(folder / "model.safetensors")
        run, learner, _ = restore(tmp_path / record.run_id, 0)
        initial = run.build_learner(0).state_dict()
        changed = {
            key
            for key, tensor in learner.state_dict().items()
            if not torch.equal(tensor, initial[key])
        }
        assert changed <= set(saved)
        assert all(torch.equal(learner.state_dict()[key], tensor) for key, tensor in saved.items())
        sizes[name] = sum(path.stat().st_size for path in folder.iterdir())
        parts = {key.split(".")[0] for key in saved}
        assert parts == {"untrained": set(), "head": {"head"}, "all": {"backbone", "head"}}[name]
    assert sizes["untrained"] < sizes["head"] < sizes["all"]
    assert sizes["untrained"] < 30_000


@pytest.mark.parametrize(("error", "is_raised"), [(FileNotFoundError, False), (OSError, True)])
def test_folds_that_cannot_be_removed_are_an_error_unless_they_are_gone(
    error: type[OSError], is_raised: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fold-calibration").mkdir()

    def fail(path: Path) -> None:
        raise error(5, "Input/output error", str(path))

    monkeypatch.setattr(trial_files.shutil, "rmtree", fail)
    with pytest.raises(UserError, match="cannot be removed") if is_raised else nullcontext():
        trial_files.remove_what_resumes(tmp_path)
