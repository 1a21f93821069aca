"""Pretraining: a full-data run of `scratch`, and its body packed with a card as weights for other runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from episodes import datasets
from episodes.rng import generator
from fewshot import backbones, config, experiment, features, functional, records
from fewshot.backbones import own_weights
from fewshot.plan import Tell

PRESET = "pretrain"
WEIGHTS = "weights.safetensors"
DECORRELATION_IMAGES = 20_000


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
) -> tuple[dict[str, Any], Path]:
    """Train a backbone on all images of a data set; the run's record, and the file of the backbone's weights.

    values: settings on top of the preset `pretrain` of `scratch`; command: what the card says made the weights.
    Accuracies in the card are on the data set's own test part, which chose nothing. Errors as experiment.run.
    """
    asked = config.merge({"method": "scratch", "preset": PRESET, "full": True}, values)
    record = experiment.run(asked, [seed], out=out, device=device, force=force, progress=progress, tell=tell)
    folder = out / record["run_id"]
    tell("decorrelating features")
    body = own_weights.body_of(load_file(folder / f"draw-{seed}" / "model.safetensors"))
    settings = config.BackboneSettings(**record["config"]["backbone"])
    finish = _decorrelation(settings, body, asked["data"], record) if settings.name in backbones.OWN else {}
    content = own_weights.packed(body, finish, settings.name, settings.options, _card(record, command))
    records.write_bytes(folder / WEIGHTS, content)
    return record, folder / WEIGHTS


def _decorrelation(
    settings: config.BackboneSettings, body: Mapping[str, Tensor], data: str, record: Mapping[str, Any]
) -> dict[str, Tensor]:
    """The map that follows the body of one of our own networks, from features of training images."""
    backbone = backbones.build(settings.model_copy(update={"weights": "none"}))
    backbone.body.load_state_dict(body)
    compute = record["provenance"]["compute"]
    images = datasets.load(data, image_size=record["config"]["image_size"]).train
    chosen = torch.randperm(len(images), generator=generator(0, "decorrelation"))[:DECORRELATION_IMAGES]
    backbone.to(compute["device"]).set_compute(compute["precision"], compute["channels_last"])
    found = features.extract(backbone, images, chosen, compute["device"])
    shift, mix = functional.decorrelation(found, images.labels[chosen], len(images.classes))
    return {"shift": shift, "mix": mix}


def _card(record: Mapping[str, Any], command: str) -> dict[str, Any]:
    provenance = record["provenance"]
    return {
        "command": command,
        "data": record["data"],
        "data_notes": record["data_notes"],
        "data_fingerprint": provenance["data_fingerprint"],
        "images": record["labels"],
        "classes": len(record["classes"]),
        "recipe": {key: record["config"][key] for key in ("backbone", "learner", "train", "augment", "validation")},
        "accuracy": record["scores"]["accuracy"]["mean"],
        "accuracy_on": f"{record['n_test']} images of the data set's own test part",
        "train_seconds": record["cost"]["train_seconds"],
        "device": provenance["device"],
        "date": provenance["finished"],
        "commit": provenance["commit"],
        "dirty": provenance["dirty"],
    }
