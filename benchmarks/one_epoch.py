"""Measure what one epoch of each network of the four reports costs on a CPU.

A training step contains the augmentation of the row's preset, the loss, its gradient and the
optimiser. It is timed in turns with the same step before the changes that `as_before` undoes.
Seconds are processor time of one thread, so other work on the machine only counts as far as it
takes memory bandwidth. Images are random numbers, so no data set is needed. The share of the peak
is that of a product of two matrices of 2,048 rows in the same precision.

    python -m benchmarks.one_epoch [--rounds 3] [--networks "vit;custom-cnn"]
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import common
from episodes import streams
from fewshot.backbones import depthwise
from fewshot.backbones.report_networks import Encoder
from fewshot.config import RunConfig
from fewshot.learners.base import Learner, Task
from fewshot.runs import run_settings, training_stream
from fewshot.studies import grids, schema
from fewshot.training import devices, optim

NAME = "one_epoch"
STUDIES = ("architectures", "experts", "hyperparameters", "kshot")
# Rows that together have all networks from random weights that the reports trained on all images.
ROWS = ("A1", "A2", "A3", "A4", "A5", "E1", "E2", "E3", "E4", "K1", "K2", "K4", "H1", "H4")
IMAGES, CLASSES = 50_000, 10
STEP_SECONDS = 0.5  # of the steps in a turn
USUAL_EPOCHS = 15  # assumed where early stopping states no least number of epochs


class Training(NamedTuple):
    """One training of a row at scale full, and how many of them the row has."""

    row: str
    config: RunConfig
    trainings: int

    @property
    def network(self) -> str:
        """The backbone with its options and, of ready-made ones, the side of the images."""
        backbone = self.config.backbone
        words = [f"{value}" for value in backbone.options.values() if isinstance(value, str)]
        words += [f"width {backbone.options['width']}"] if "width" in backbone.options else []
        if "widths" in backbone.options:
            words.append(f"{len(backbone.options['widths'])} layers")
        side = f"@{backbone.input_size}" if backbone.input_size else ""
        return ", ".join([f"{backbone.name}{side}", *words])

    @property
    def epochs(self) -> float:
        """The epochs that are expected: with early stopping, the fewest or the usual ones."""
        assert self.config.train is not None
        assert self.config.train.epochs is not None
        stopping = self.config.train.early_stopping
        if stopping is None:
            return self.config.train.epochs
        least = stopping.least_epochs + stopping.patience if stopping.least_epochs else USUAL_EPOCHS
        return min(self.config.train.epochs, least)

    @property
    def images(self) -> tuple[float, float]:
        """The images that an epoch trains on, and those that it validates on."""
        validation = self.config.validation
        held_out = IMAGES * validation.share if validation and validation.share else 0.0
        return IMAGES - held_out, held_out


def trainings() -> list[Training]:
    """Return the first cell of each of ROWS, with the number of trainings of the row."""
    folders = [common.ROOT / "configs" / "studies" / study for study in STUDIES]
    chosen = []
    for row in schema.read(folders):
        if row.name not in ROWS:
            continue
        cells = grids.cells(row, "full")
        settings = cells[0].settings
        config = run_settings.configure(settings, settings.get("preset", "full"))
        chosen.append(Training(row.name, config, len(cells) * row.trials_at("full")))
    return chosen


def as_before(learner: Learner) -> None:
    """Undo what made the networks faster: their own encoder, float32 gradients, early max pools."""
    plain: dict[type[nn.Module], type[nn.Module]]
    plain = {ours: theirs for theirs, ours in depthwise.KINDS.items()}
    for module in list(learner.modules()):
        module.__class__ = plain.get(type(module), type(module))
        if isinstance(module, nn.Sequential):
            kinds = [type(child) for child in module]
            for place in range(len(kinds) - 1):
                if kinds[place : place + 2] == [nn.MaxPool2d, nn.ReLU]:
                    module[place], module[place + 1] = module[place + 1], module[place]
        for name, child in list(module.named_children()):
            if isinstance(child, Encoder):
                setattr(module, name, _torch_layer(child))


def _torch_layer(layer: Encoder) -> nn.Module:
    width, heads = layer.linear1.in_features, layer.self_attn.num_heads
    theirs = nn.TransformerEncoderLayer(
        width, heads, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True
    )
    theirs.load_state_dict(layer.state_dict())
    return theirs


class Steps:
    """Training steps of a configuration on random images, one after the other."""

    def __init__(self, config: RunConfig, compute: devices.Compute, before: bool = False) -> None:
        assert config.train is not None
        self.learner = run_settings.build_learner(config, Task(CLASSES), seed=0)
        if before:
            as_before(self.learner)
        self.learner.backbone.set_compute(compute.precision, compute.channels_last)
        self.learner.train()
        self.pool = _pool()
        self.stream, _ = training_stream.of_pool(
            config.train, config.augment, self.learner, self.pool, CLASSES, 0, config.append
        )
        self.optimizer = optim.optimizer(self.learner, config.train, config.train.lr)
        if before:
            for group in self.optimizer.param_groups:
                group["fused"] = None
        self.step, self.batch = 0, config.train.batch_size

    def take(self, n: int = 1) -> None:
        """Take so many steps."""
        for _ in range(n):
            self.learner.loss(self.stream(self.step)).backward()
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            self.step += 1

    def seconds_of_evaluation(self) -> float:
        """Return the processor seconds that the network takes for an image in evaluation mode."""
        images = self.pool.images[:256].float() / 255
        self.learner.eval()
        with torch.no_grad():
            self.learner.backbone(images[:32])
            spent = common.clock_and_processor_seconds(lambda: self.learner.backbone(images))
        self.learner.train()
        return spent["processor_seconds"] / len(images)

    def gflop(self) -> float:
        """Return the billions of floating-point operations of a training step for an image."""
        counts = {torch.ops.aten.convolution_backward: convolution_backward_flop}
        counter = FlopCounterMode(display=False, custom_mapping=counts)
        with counter:
            self.take()
        return counter.get_total_flops() / self.batch / 1e9


def convolution_backward_flop(*shapes: Any, out_shape: object) -> int:
    """Return the operations of the gradient of a convolution; torch counts groups several times.

    Args:
        shapes: the arguments of the operation, with shapes in the place of tensors. The first is
            that of the gradient of the output [n, c, h, w], the third that of the weights, and the
            eleventh says which gradients are computed: of the input, of the weights, of the bias.
        out_shape: the shapes of the results.
    """
    (n, _, *grid), weights, (of_input, of_weights, _) = shapes[0], shapes[2], shapes[10]
    return 2 * n * math.prod(grid) * math.prod(weights) * (of_input + of_weights)


def _pool() -> streams.Pool:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2000, 3, 32, 32), dtype=torch.uint8, generator=generator)
    return streams.Pool(images, torch.arange(len(images)) % CLASSES, CLASSES)


def peak(precision: str) -> float:
    """Return the GFLOP per second of a large product of matrices; the best of five."""
    n = 2048
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    left, right = torch.ones(n, n, dtype=dtype), torch.ones(n, n, dtype=dtype)

    def product() -> Tensor:
        return left @ right

    product()
    times = [common.clock_and_processor_seconds(product) for _ in range(5)]
    return 2 * n**3 / min(one["processor_seconds"] for one in times) / 1e9


def measure(training: Training, peaks: dict[str, float], rounds: int) -> dict[str, Any]:
    """Return the costs of a network, now and before."""
    precision = training.config.precision
    compute = devices.resolve("cpu", precision, threads=1)
    now = Steps(training.config, compute)
    before = Steps(training.config, compute, before=True)
    began = time.process_time()
    now.take()
    gflop = now.gflop()
    before.take(2)
    n = max(1, round(STEP_SECONDS / ((time.process_time() - began) / 4)))
    work: dict[str, tuple[Callable[[], None], int]] = {
        name: ((lambda steps=steps: steps.take(n)), n * steps.batch)  # type: ignore[misc]
        for name, steps in (("now", now), ("before", before))
    }
    result = common.in_turns(work, rounds)
    speeds = result["tasks_per_second"]
    per_second = speeds["now"]["processor"]
    trained, validated = training.images
    return {
        "batch": now.batch,
        "precision": compute.precision,
        "images_per_second": per_second,
        "images_per_second_before": speeds["before"]["processor"],
        "ratio": result["ratio"]["before"]["processor"],
        "gflop_per_image": gflop,
        "share_of_peak": gflop * per_second / peaks[compute.precision],
        "epoch_seconds": trained / per_second + validated * now.seconds_of_evaluation(),
    }


def main() -> None:
    """Measure the networks and write the result."""
    parser = common.parser(__doc__, NAME, rounds=3)
    parser.add_argument(
        "--networks", help="names, with semicolons; the result keeps others as they are"
    )
    options = parser.parse_args()
    devices.use_threads(1)
    devices.keep_freed_memory()
    peaks = {precision: peak(precision) for precision in ("float32", "bfloat16")}
    networks = _measured_before(options.out) if options.networks else {}
    for name in options.networks.split(";") if options.networks else ():
        networks.pop(name, None)
    rows: dict[str, dict[str, Any]] = {}
    for training in trainings():
        name = training.network
        if name not in networks:
            print(name, flush=True)
            networks[name] = measure(training, peaks, options.rounds)
        seconds = networks[name]["epoch_seconds"] * training.epochs
        rows[training.row] = {
            "network": name,
            "epochs": training.epochs,
            "training_seconds": seconds,
            "trainings": training.trainings,
        }
    result = {
        "what": "processor seconds of one thread, random images of 32 pixels; medians of n",
        "n": options.rounds,
        "peak_gflop_per_second": peaks,
        "networks": networks,
        "rows": rows,
        **common.machine(),
    }
    common.write(options.out, result, ("peak_gflop_per_second", "networks", "rows"))


def _measured_before(path: Path) -> dict[str, Any]:
    """Return the networks of an earlier result; none without one."""
    if not path.exists():
        return {}
    networks: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["networks"]
    return networks


if __name__ == "__main__":
    main()
