"""Pretraining: a full-data run of `scratch`, whose network becomes weights for other runs.

The body of the network is written to one file, with maps that decorrelate its features and a card
that says how it was made.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from episodes import datasets
from episodes.datasets.source import TEST_SHARE
from episodes.rng import generator
from episodes.types import ImageSet
from fewshot import backbones, config, distributed, functional, io, progress
from fewshot.backbones import Body, FeatureMap, own_weights
from fewshot.errors import UserError
from fewshot.features import frozen
from fewshot.runs import experiment, records, trial_files
from fewshot.runs.provenance import source
from fewshot.runs.resolve import ResolvedRun, resolve_run
from fewshot.runs.run_record import RunRecord
from fewshot.runs.run_settings import configure
from fewshot.runs.trial_record import TrialRecord
from fewshot.training import devices

PRESET = "pretrain"
WEIGHTS = "weights.safetensors"
DECORRELATION_IMAGES = 20_000
HEAD = "head.1."  # a learner's linear classifier, if no hidden layer stands before it


def run(
    values: Mapping[str, Any],
    seed: int = 0,
    *,
    command: str = "",
    out: Path = Path("runs"),
    device: str | None = None,
    threads: int | None = None,
    force: bool = False,
) -> tuple[RunRecord, Path]:
    """Train a backbone on all images of a data set and write its weights.

    A finished file is not written again. The accuracies on the card are on the data set's own test
    images, which chose nothing.

    Args:
        values: settings on top of the preset `pretrain` of `scratch`, `data` among them.
        seed: seed of the initial weights and of the order of the images.
        command: the command that the card says made the weights.
        out: folder of run folders.
        device: cpu, cuda and so on; None for a GPU if there is one.
        threads: CPU threads; None for those that the run has, or the default.
        force: train again, even if finished.

    Returns:
        The run's record, and the file of weights.

    Raises:
        The errors of `experiment.run`.
    """
    request = {"method": "scratch", "preset": PRESET, "full": True, **values}
    if "test" not in request and not datasets.has_test_part(request.get("data", "cifar10")):
        request["test"] = TEST_SHARE  # one network learns, so nothing is cross-validated
    settings = configure(request, PRESET)
    if settings.backbone.beside:
        raise UserError(
            f"backbone '{settings.backbone.full_name}': a file of weights holds one network, so "
            "pretrain them one after the other."
        )
    size = settings.learner["ensemble_size"]
    if size > 1:
        raise UserError(f"learner.ensemble_size is {size}: a file of weights holds one network.")
    record = experiment.run(request, [seed], out=out, device=device, threads=threads, force=force)
    folder = records.trial_folder(out / record.run_id, seed)
    path = folder / WEIGHTS
    if not path.exists() and distributed.rank() == 0:
        progress.update("decorrelating features")
        resolved = resolve_run(request, out, device)
        trial = io.read_as(folder / "trial.json", TrialRecord.from_json)
        io.write_bytes(path, _packed(resolved, record, trial, folder, command))
    return record, path


def _packed(
    run: ResolvedRun, record: RunRecord, trial: TrialRecord, folder: Path, command: str
) -> bytes:
    """Return the content of the file of weights of a finished trial."""
    learner = run.build_learner(trial.seed or 0)
    trial_files.load_weights(learner, folder)
    state = {name: tensor.cpu() for name, tensor in learner.state_dict().items()}
    body = own_weights.body_of(state)
    settings = config.BackboneSettings(**record.config["backbone"])
    finish: dict[str, Tensor] = {}
    options = settings.options
    if settings.name in backbones.OWN:
        options = backbones.resolved_options(settings)
        assert trial.provenance.compute is not None, "only a vote computes nothing"
        compute = devices.Compute(**trial.provenance.compute)._replace(device=run.compute.device)
        finish = _decorrelation(settings, body, run.data.train, compute)
    head = {name for name in state if name.startswith("head.")}
    if head == {HEAD + "weight", HEAD + "bias"}:
        # Class probabilities are features of our own networks, and any network can be a teacher.
        finish |= {key: state[HEAD + key] for key in ("weight", "bias")}
    card = _card(record, trial, command)
    return own_weights.pack(body, finish, settings.name, options, card, settings.input_size)


def use(record: RunRecord, weights: Path) -> str:
    """Return the options of `fewshot run` that use the weights of a pretraining."""
    backbone = record.config["backbone"]
    options = [f"backbone.options.{key}={value}" for key, value in backbone["options"].items()]
    words = ["--backbone", backbone["name"], "--weights", str(weights)]
    for option in options:
        words += ["--set", option]
    return shlex.join(words)


class _Roots(FeatureMap):
    """The signed roots of all levels, one after the other, from which a `Finish` is computed."""

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self._n_features = n_features

    @property
    def n_features(self) -> int:
        return self._n_features

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        return torch.cat([functional.signed_root(level).flatten(1) for level in levels], 1)


def _decorrelation(
    settings: config.BackboneSettings,
    body: Mapping[str, Tensor],
    images: ImageSet,
    compute: devices.Compute,
) -> dict[str, Tensor]:
    """Return the first tensors of the `Finish` of one of our own networks, from training images."""
    backbone = backbones.build(settings.model_copy(update={"weights": "none"})).eval()
    backbone.body.load_state_dict(body)
    side = backbone.input_size
    assert isinstance(backbone.body, Body)
    with torch.no_grad():
        levels = backbone.body.levels(torch.zeros(1, 3, side, side))
    shapes = [level.shape[1:] for level in levels]
    backbone.finish = _Roots(sum(shape.numel() for shape in shapes))
    backbone.to(compute.device).set_compute(compute.precision, compute.channels_last)
    order = torch.randperm(len(images), generator=generator(0, "decorrelation"))
    chosen = order[:DECORRELATION_IMAGES]
    features = frozen.extract(backbone, images, chosen, compute.device)
    maps: list[Tensor] = []
    sizes = [shape.numel() for shape in shapes]
    for roots, shape in zip(features.split(sizes, 1), shapes, strict=True):
        labels = images.labels[chosen].repeat_interleave(shape[0])
        maps += functional.decorrelation(roots.reshape(-1, shape[1]), labels, len(images.classes))
    return dict(zip(("shift", "mix", "shift_before", "mix_before"), maps, strict=False))


def _test_part(test: str | float | None) -> str:
    """Return which images the accuracy of a pretraining is of."""
    if test is None:
        return "the data set's own test part"
    return test if isinstance(test, str) else f"a share of {test:g} of each class, not trained on"


def _card(record: RunRecord, trial: TrialRecord, command: str) -> dict[str, Any]:
    """Return how the weights were made, for people and for the reports."""
    provenance, recipe = trial.provenance, record.config
    initial = backbones.weights_file(config.BackboneSettings(**recipe["backbone"]))
    teachers = [Path(path) for path in recipe["learner"].get("teachers", ())]
    share = recipe["validation"]["share"] if recipe["validation"] else 0.0
    return {
        "command": command,
        "data": record.data,
        "data_notes": record.data_notes,
        "data_fingerprint": record.provenance.data_fingerprint,
        "images": trial.labels,
        "held_out_share": share,
        "test_share": recipe["test"] if isinstance(recipe["test"], float) else None,
        "classes": len(record.classes),
        "class_names": record.classes,
        "recipe": {
            "backbone": {**recipe["backbone"], "weights": Path(recipe["backbone"]["weights"]).name},
            "learner": {**recipe["learner"], "teachers": [path.name for path in teachers]},
            **{key: recipe[key] for key in ("train", "augment", "validation")},
        },
        "started_from": own_weights.card(initial) if initial else None,
        "taught_by": [own_weights.card(path) for path in teachers],
        "seed": trial.seed,
        "accuracy": trial.scores["accuracy"],
        "accuracy_on": f"{record.n_test:,} images of {_test_part(recipe['test'])}",
        "train_seconds": trial.cost.train_seconds,
        "device": provenance.device,
        "date": provenance.finished,
        "commit": provenance.commit,
        "dirty": provenance.dirty,
        # the checkout that made the maps and this file, perhaps later than the training
        "packed": source()._asdict(),
    }
