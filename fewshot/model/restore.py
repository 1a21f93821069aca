"""A finished run's draw as it was: its plan, its learner with the trained weights, the images it trained on."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from fewshot import config, io
from fewshot.errors import UserError
from fewshot.learners.base import Learner
from fewshot.runs import fitting
from fewshot.runs.resolve import ResolvedRun, prepare
from fewshot.training import devices


class Rebuilt(NamedTuple):
    """plan: on the run's kind of device, as precise; kept: indices of the images that the draw trained on."""

    plan: ResolvedRun
    learner: Learner
    kept: Tensor


def rebuild(run: Path, seed: int, device: str | None = None) -> Rebuilt:
    """One draw of the finished run in a folder.

    Raises UserError where a file is not there or cannot be read, and where the data and weights that the run was made
    from are not those now found under their names.
    """
    folder = run / f"trial-{seed}"
    for path in (
        run / "config.yaml",
        run / "record.json",
        folder / "indices.json",
        folder / "trial.json",
    ):
        if not path.is_file():
            raise UserError(
                f"{path} is not there: name the run's own folder, with all that the run wrote."
            )
    values = config.read(run / "config.yaml")
    compute = devices.Compute(**values.pop("compute"))
    as_then = devices.pick(device).split(":")[0] == compute.device.split(":")[0]
    if as_then:
        values["precision"] = compute.precision
    plan = prepare(
        values, run, device
    )  # as if the folder held runs: none is in it that would refuse another device
    if plan.run_id != io.read_json(run / "record.json")["run_id"]:
        raise UserError(
            f"{run} was made from other data or weights than are now found under the same names (data "
            f"'{plan.config.data}', weights '{plan.config.backbone.weights}'): bring those back, or run it again."
        )
    if as_then:
        plan = plan._replace(compute=plan.compute._replace(channels_last=compute.channels_last))
    learner = fitting.build(plan, seed)
    if learner.feed is not None:
        _take_weights(learner, folder / "model.safetensors")
    return Rebuilt(plan, learner, torch.tensor(io.read_json(folder / "indices.json")["support"]))


def _take_weights(learner: Learner, path: Path) -> None:
    try:
        learner.load_state_dict(load_file(path))
    except (OSError, RuntimeError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(
            f"{path} cannot be read ({reason}): run the draw again, with --force."
        ) from error
