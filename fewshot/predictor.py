"""A finished run's draw, ready for new images: its learner with its weights, adapted anew to the support it drew."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from episodes.errors import UserError
from fewshot import config, devices, evaluation, features, fitting, members, records
from fewshot.backbones import chunk_size
from fewshot.plan import Plan, prepare


class Predictor(NamedTuple):
    """logits: pixels uint8 [n, 3, side, side] -> float32 [n, n_way], as the run's own evaluation computes them.

    classes: names, in the order of the logits; side: of the images, in pixels; at_once: how many images to give at
    once, for memory that does not depend on their size; mark: a hash of what decides the logits.
    """

    logits: Callable[[np.ndarray], Tensor]
    classes: tuple[str, ...]
    side: int
    at_once: int
    mark: str


def load(run: Path, seed: int | None = None, device: str | None = None) -> Predictor:
    """A draw of the finished run in a folder, the first where `seed` is None; on the run's kind of device, as precise.

    Raises UserError where the folder is no finished run, or where the data and weights that it was made from are not
    those now found under their names.
    """
    record, folder = _finished(run, seed)
    values = config.read(run / "config.yaml")
    compute = devices.Compute(**values.pop("compute"))
    as_then = devices.pick(device).split(":")[0] == compute.device.split(":")[0]
    if as_then:
        values["precision"] = compute.precision
    plan = prepare(values, run, device)  # as if the folder held runs: none is in it that would refuse another device
    if plan.run_id != record["run_id"]:
        raise UserError(
            f"{run} was made from other data or weights than are now found under the same names (data "
            f"'{plan.config.data}', weights '{plan.config.backbone.weights}'): bring those back, or run it again."
        )
    if as_then:
        plan = plan._replace(compute=plan.compute._replace(channels_last=compute.channels_last))
    backbone, logits = _classifier(plan, folder)
    images, kind = plan.data.train.images, torch.device(plan.compute.device).type
    mark = hashlib.sha256((folder / "draw.json").read_bytes())
    mark.update(f"{plan.run_id} {plan.compute.precision} {kind}".encode())
    return Predictor(logits, plan.data.train.classes, images.shape[-1], chunk_size(backbone, images), mark.hexdigest())


def _finished(run: Path, seed: int | None) -> tuple[dict[str, Any], Path]:
    """The record of a run, and the folder of one of its draws."""
    if not (run / "record.json").is_file():
        raise UserError(f"{run} is no folder of a finished run: name one, as runs/1f0c, that holds a record.json.")
    record = records.read_json(run / "record.json")
    if record["method"] == members.VOTING:
        raise UserError(f"{run} is a vote, which has no network of its own: name one of the runs that it was made of.")
    seed = record["seeds"][0] if seed is None else seed
    if seed not in record["seeds"]:
        raise UserError(f"{run} has no draw {seed}: there are {', '.join(map(str, record['seeds']))}.")
    folder = run / f"draw-{seed}"
    for path in (run / "config.yaml", folder / "indices.json", folder / "draw.json"):
        if not path.is_file():
            raise UserError(f"{path} is not there: name the run's own folder, with all that the run wrote.")
    return record, folder


@torch.no_grad()
def _classifier(plan: Plan, folder: Path) -> tuple[nn.Module, Callable[[np.ndarray], Tensor]]:
    """The draw's backbone, and pixels -> logits by the same steps as its evaluation's."""
    device, train = plan.compute.device, plan.data.train
    learner = fitting.build(plan, seed=int(folder.name.removeprefix("draw-")))
    if learner.feed is not None:
        _take_weights(learner, folder / "model.safetensors")
    backbone: Any = learner.backbone
    kept = torch.tensor(records.read_json(folder / "indices.json")["support"])
    on_features = features.fit_for(plan.config, learner, fitting.has_no_episode(plan, learner, train, kept))
    support = train
    if on_features:
        support, kept = features.cached(backbone, train, kept, device), torch.arange(len(kept))
    learner.eval()
    classifier = learner.adapt(fitting.handed(learner, support, kept, device))  # type: ignore[operator]

    def logits(pixels: np.ndarray) -> Tensor:
        every = torch.arange(len(pixels))
        seen = replace(train, images=torch.from_numpy(pixels), labels=torch.zeros_like(every))
        if on_features:
            seen = replace(seen, images=features.extract(backbone, seen, every, device))
        return evaluation.classify(classifier, fitting.batches(learner, seen, every, device))[0]

    return backbone, logits


def _take_weights(learner: nn.Module, path: Path) -> None:
    try:
        learner.load_state_dict(load_file(path))
    except (OSError, RuntimeError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"{path} cannot be read ({reason}): run the draw again, with --force.") from error
