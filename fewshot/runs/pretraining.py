"""Pretraining: a full-data run of `scratch`, and its body packed with a card as weights for other runs."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from episodes import datasets
from episodes.rng import generator
from episodes.types import ImageSet
from fewshot import backbones, config, distributed, functional, io
from fewshot.backbones import Body, FeatureMap, own_weights
from fewshot.errors import UserError
from fewshot.features import frozen
from fewshot.runs import experiment
from fewshot.runs.provenance import source
from fewshot.runs.records import RunRecord, TrialRecord
from fewshot.runs.resolve import Tell, configure
from fewshot.training import devices

PRESET = "pretrain"
WEIGHTS = "weights.safetensors"
DECORRELATION_IMAGES = 20_000
HEAD = "head.1."  # a learner's linear classifier, where no hidden layer stands before it


def run(
    values: Mapping[str, Any],
    seed: int = 0,
    *,
    command: str = "",
    out: Path = Path("runs"),
    device: str | None = None,
    force: bool = False,
    progress: bool = False,
    tell: Tell = lambda text: None,
) -> tuple[RunRecord, Path]:
    """Train a backbone on all images of a data set; the run's record, and the file of the backbone's weights.

    values: settings on top of the preset `pretrain` of `scratch`, `data` among them; command: what the card says made
    the weights. A finished file is taken as it is. Accuracies in the card are on the data set's own test part, which
    chose nothing. Errors as experiment.run.
    """
    asked = {"method": "scratch", "preset": PRESET, "full": True, **values}
    ensemble_size = configure(asked, PRESET).learner["ensemble_size"]
    if ensemble_size > 1:
        raise UserError(
            f"learner.ensemble_size is {ensemble_size}: a file of weights holds one network, so leave it away."
        )
    record = experiment.run(
        asked, [seed], out=out, device=device, force=force, progress=progress, tell=tell
    )
    folder = out / record.run_id / f"trial-{seed}"
    path = folder / WEIGHTS
    if not path.exists() and distributed.rank() == 0:
        tell("decorrelating features")
        trial = TrialRecord.from_json(io.read_json(folder / "trial.json"))
        state = load_file(folder / "model.safetensors")
        body = own_weights.body_of(state)
        settings = config.BackboneSettings(**record.config["backbone"])
        finish: dict[str, Tensor] = {}
        options = settings.options
        if settings.name in backbones.OWN:
            options = backbones.resolved_options(settings)
            images = datasets.load(values["data"], image_size=record.config["image_size"]).train
            finish = _decorrelation(
                settings, body, images, trial.provenance.compute or {}, devices.pick(device)
            )
            if {HEAD + "weight", HEAD + "bias"} == {
                key for key in state if key.startswith("head.")
            }:
                finish |= {
                    key: state[HEAD + key] for key in ("weight", "bias")
                }  # probabilities of classes, too
        card = _card(record, trial, command)
        io.write_bytes(path, own_weights.pack(body, finish, settings.name, options, card))
    return record, path


def use(record: RunRecord, weights: Path) -> str:
    """The words of `fewshot run` that take a pretraining's weights."""
    backbone = record.config["backbone"]
    options = [f"backbone.options.{key}={value}" for key, value in backbone["options"].items()]
    sets = [word for each in options for word in ("--set", each)]
    return shlex.join(["--backbone", backbone["name"], "--weights", str(weights), *sets])


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
    compute: Mapping[str, Any],
    device: str,
) -> dict[str, Tensor]:
    """The maps that follow the body of one of our own networks, found on training images: `Finish`'s first tensors."""
    backbone = backbones.build(settings.model_copy(update={"weights": "none"})).eval()
    backbone.body.load_state_dict(body)
    side = backbone.input_size
    assert isinstance(backbone.body, Body)
    with torch.no_grad():
        levels = backbone.body.levels(torch.zeros(1, 3, side, side))
    shapes = [level.shape[1:] for level in levels]
    backbone.finish = _Roots(sum(shape.numel() for shape in shapes))
    backbone.to(device).set_compute(compute["precision"], compute["channels_last"])
    chosen = torch.randperm(len(images), generator=generator(0, "decorrelation"))[
        :DECORRELATION_IMAGES
    ]
    found = frozen.extract(backbone, images, chosen, device)
    maps: list[Tensor] = []
    for roots, shape in zip(found.split([each.numel() for each in shapes], 1), shapes, strict=True):
        labels = images.labels[chosen].repeat_interleave(shape[0])
        maps += functional.decorrelation(roots.reshape(-1, shape[1]), labels, len(images.classes))
    return dict(zip(("shift", "mix", "shift_before", "mix_before"), maps, strict=False))


def _card(record: RunRecord, trial: TrialRecord, command: str) -> dict[str, Any]:
    provenance, recipe = trial.provenance, record.config
    packed = source()  # the checkout that found the map after the body and wrote this, later perhaps than the training
    begun_with = backbones.weights_file(config.BackboneSettings(**recipe["backbone"]))
    teachers = [Path(each) for each in recipe["learner"].get("teachers", ())]
    share = recipe["validation"]["share"] if recipe["validation"] else 0.0
    return {
        "command": command,
        "data": record.data,
        "data_notes": record.data_notes,
        "data_fingerprint": record.provenance.data_fingerprint,
        "images": trial.labels,
        "held_out_share": share,
        "classes": len(record.classes),
        "recipe": {
            "backbone": {**recipe["backbone"], "weights": Path(recipe["backbone"]["weights"]).name},
            "learner": {**recipe["learner"], "teachers": [each.name for each in teachers]},
            **{key: recipe[key] for key in ("train", "augment", "validation")},
        },
        "started_from": own_weights.card(begun_with) if begun_with else None,
        "taught_by": [own_weights.card(each) for each in teachers],
        "seed": trial.seed,
        "accuracy": trial.scores["accuracy"],
        "accuracy_on": f"{record.n_test:,} images of the data set's own test part",
        "train_seconds": trial.cost.train_seconds,
        "device": provenance.device,
        "date": provenance.finished,
        "commit": provenance.commit,
        "dirty": provenance.dirty,
        "packed": packed._asdict(),
    }
