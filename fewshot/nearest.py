"""The labelled images that a run's network holds to be nearest to a test image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from episodes.errors import UserError
from fewshot import config, devices, features, fitting, records
from fewshot.plan import Plan, prepare

MOST = 5000  # labelled images that are compared; of more, so many at even distances


class Found(NamedTuple):
    """For each query: indices among the training images [n, k], nearest first, labels [n, k], 1 - cosine [n, k].

    compared: of how many labelled images they are the nearest; labelled: how many the draw trained on.
    """

    images: list[list[int]]
    labels: list[list[int]]
    distances: list[list[float]]
    compared: int
    labelled: int


def nearest(run: Path, seed: int, queries: Sequence[int], most: int = 5) -> Found:
    """Of a run's folder, one draw and test images by index: the `most` nearest of the images that the draw trained on.

    Features are those of the trained backbone in evaluation mode, from the cache where they are kept; cosines are taken
    after the mean of the labelled images is subtracted, as the probe does (Wang et al., arXiv 1911.04623).
    Raises UserError where a file, the data or the weights are not there, or not those of the run.
    """
    folder = run / f"draw-{seed}"
    for path in (run / "config.yaml", folder / "indices.json"):
        if not path.is_file():
            raise UserError(f"{path.name} is not there")
    plan = _plan(run)
    learner = fitting.build(plan, seed)
    if learner.feed is not None:
        _take_weights(learner, folder / "model.safetensors")
    kept = torch.tensor(records.read_json(folder / "indices.json")["support"])
    some = kept[torch.linspace(0, len(kept) - 1, min(len(kept), MOST)).long()]
    device = plan.compute.device
    support = features.cached(learner.backbone, plan.data.train, some, device)  # type: ignore[arg-type]
    asked = features.cached(learner.backbone, plan.data.test, torch.tensor(queries), device)  # type: ignore[arg-type]
    order, distances = ranked(support.images, asked.images, most)
    return Found(some[order].tolist(), support.labels[order].tolist(), distances.tolist(), len(some), len(kept))


def ranked(support: Tensor, queries: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Places in the support [n, k] and 1 - cosine [n, k], nearest first; features [n_support, d] and [n, d].

    The support's mean is subtracted from both; of equal distances the first image comes first.
    """
    support, queries = support.double(), queries.double()
    centre = support.mean(0)
    distances = 1 - F.normalize(queries - centre, dim=1) @ F.normalize(support - centre, dim=1).T
    found = distances.sort(dim=1, stable=True)
    return found.indices[:, :most], found.values[:, :most]


def _plan(run: Path) -> Plan:
    """The run's settings and data, in its precision on a device of its kind, as now found under their names."""
    values = config.read(run / "config.yaml")
    compute = devices.Compute(**values.pop("compute"))
    as_then = devices.pick(None).split(":")[0] == compute.device.split(":")[0]
    if as_then:
        values["precision"] = compute.precision
    plan = prepare(values, run)  # as if the folder held runs: none is in it that would refuse this machine
    if plan.run_id != records.read_json(run / "record.json")["run_id"]:
        raise UserError("its data or weights are not those now found under the same names")
    if as_then:
        plan = plan._replace(compute=plan.compute._replace(channels_last=compute.channels_last))
    return plan


def _take_weights(learner: nn.Module, path: Path) -> None:
    if not path.is_file():
        raise UserError(f"{path.name}, the trained network, is not there")
    try:
        learner.load_state_dict(load_file(path))
    except (OSError, RuntimeError, SafetensorError) as error:
        raise UserError(f"{path.name} cannot be read ({str(error).strip().splitlines()[0]})") from None
