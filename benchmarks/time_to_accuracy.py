"""Compare the seconds and images that reach an accuracy on CIFAR-10 with a plain torchvision loop.

plain: torchvision's CIFAR10, a DataLoader with two workers, float32, Adam, crop and flip, and the
reports' enhanced CNN; it is evaluated on the test set every quarter of an epoch until it reaches
the target. ours: `fewshot run --method scratch --preset fast --full` shortened to --epochs and
evaluated at its end, where it must have reached the target too. The time of evaluation is not
counted. Both run in processes of their own, in turns. A third process measures what the preset's
training step spends. Needs CIFAR-10 under $FEWSHOT_DATA/cifar10.

    python -m benchmarks.time_to_accuracy [--rounds 3] [--target 0.8] [--epochs 2.5]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import common, training_loop_vs_torchvision

QUARTER = 50_000 // 4
MOST_EPOCHS = 20
PRODUCTS = ("conv", "mm", "matmul", "linear")  # in the names of convolutions and matrix products


def plain(root: Path, target: float) -> dict[str, float]:
    """Return the seconds and images until the plain loop's network reaches the target."""
    import torch

    training = torch.utils.data.DataLoader(
        training_loop_vs_torchvision.plain_data(root),
        batch_size=training_loop_vs_torchvision.BATCH,
        shuffle=True,
        num_workers=2,
    )
    network = training_loop_vs_torchvision.build_network("float32", channels_last=False)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    seconds, images, due = 0.0, 0, QUARTER
    for _ in range(MOST_EPOCHS):
        network.train()
        began = time.perf_counter()
        for batch, labels in training:
            loss = torch.nn.functional.cross_entropy(network.head(network.backbone(batch)), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()
            images += len(labels)
            if images < due:
                continue
            due += QUARTER
            seconds += time.perf_counter() - began
            if (accuracy := test_accuracy(network, root)) >= target:
                return {"seconds": seconds, "images": images, "accuracy": accuracy}
            network.train()
            began = time.perf_counter()
        seconds += time.perf_counter() - began
    raise SystemExit(f"the plain loop did not reach {target} in {MOST_EPOCHS} epochs")


def test_accuracy(network: Any, root: Path) -> float:
    """Return the accuracy of the plain loop's network on the test set."""
    import torch

    test = training_loop_vs_torchvision.plain_data(root, train=False)
    network.eval()
    with torch.no_grad():
        right = sum(
            int((network.head(network.backbone(images)).argmax(1) == labels).sum())
            for images, labels in torch.utils.data.DataLoader(test, batch_size=500)
        )
    return right / len(test)


def ours(epochs: float, seed: int, out: Path) -> dict[str, float]:
    """Return the seconds, images and accuracy of the shortened preset."""
    command = [sys.executable, "-m", "fewshot", "run", "--method", "scratch", "--preset", "fast"]
    command += ["--full", "--set", f"train.epochs={epochs}"]
    command += ["--set", "train.least_steps=1"]  # the preset's least is for the whole training
    command += ["--seeds", f"{seed}-{seed}", "--quiet", "--out", str(out)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=common.ROOT)
    (path,) = out.glob(f"*/trial-{seed}/trial.json")
    trial = json.loads(path.read_text(encoding="utf-8"))
    seconds, speed = trial["cost"]["train_seconds"], trial["cost"]["images_per_second"]
    return {
        "seconds": seconds,
        "images": round(seconds * speed),
        "accuracy": trial["scores"]["accuracy"],
    }


def step_costs(steps: int = 8) -> dict[str, object]:
    """Return the FLOP/s of the preset's training step and of a large matrix product, and the
    shares of the step's time by operator."""
    import torch
    from torch.profiler import ProfilerActivity, profile
    from torch.utils.flop_counter import FlopCounterMode

    step, batch_size = preset_step()
    with FlopCounterMode(display=False) as counter:
        step(0)
    step(1)
    seconds = statistics.median(
        common.seconds(lambda number=number: step(number)) for number in range(2, 2 + steps)
    )
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        for number in range(steps):
            step(number)
    times = {event.key: event.self_cpu_time_total for event in profiled.key_averages()}
    is_product = {key: any(word in key for word in PRODUCTS) for key in times}
    product = sum(times[key] for key in times if is_product[key])
    others = sorted((key for key in times if not is_product[key]), key=lambda key: -times[key])
    total = sum(times.values())
    rate, peak = counter.get_total_flops() / seconds, peak_flops(torch)
    return {
        "batch": batch_size,
        "flops_a_second": rate,
        "peak_flops_a_second": peak,
        "share_of_peak": rate / peak,
        "images_per_second": batch_size / seconds,
        "share_that_is_no_product": 1 - product / total,
        "largest_others": {key: times[key] / total for key in others[:8]},
    }


def preset_step() -> tuple[Any, int]:
    """Return a training step of the preset `fast`, a function of its number, and its batch size."""
    import torch

    from episodes import augment, streams
    from fewshot.runs import resolve
    from fewshot.training import devices, optim

    devices.keep_freed_memory()
    with tempfile.TemporaryDirectory() as name:
        request = {"method": "scratch", "preset": "fast", "full": True}
        run = resolve.resolve_run(request, Path(name), "cpu")
    train = run.config.train
    assert train is not None
    learner = run.build_learner(0).train()
    pool = streams.pool(run.data.train, torch.arange(len(run.data.train)), "cpu")
    learner.backbone.initialise(streams.as_float(pool.images[:5000]))
    learner.on_train_start(len(pool.labels))
    change = augment.build(run.config.augment, pool.n_classes)
    stream = streams.batches(pool, train.batch_size, change, 0, train.label_smoothing)
    optimizer = optim.optimizer(learner, train, train.lr)

    def step(number: int) -> None:
        learner.loss(stream(number)).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step, train.batch_size


def peak_flops(torch: Any, side: int = 4096, repeats: int = 5) -> float:
    """Return the FLOP/s of a large bfloat16 matrix product, the best of a few."""
    a, b = (torch.randn(side, side, dtype=torch.bfloat16) for _ in range(2))
    return 2 * side**3 / min(common.seconds(lambda: a @ b) for _ in range(repeats))


def measured(what: str, *words: str) -> dict[str, Any]:
    """Return a measurement from a process of its own."""
    line = common.in_new_process("benchmarks.time_to_accuracy", "--measure", what, *words)
    return dict(json.loads(line))


def main() -> None:
    """Measure both trainings in turns and the step, and write the result."""
    parser = common.parser(__doc__, "time_to_accuracy", rounds=3)
    parser.add_argument("--target", type=float, default=0.8)
    parser.add_argument("--epochs", type=float, default=2.5)
    parser.add_argument("--measure", choices=("plain", "step"), help=argparse.SUPPRESS)
    parser.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure == "plain":
        print(json.dumps(plain(options.root, options.target)))
        return
    if options.measure == "step":
        print(json.dumps(step_costs()))
        return
    rounds: dict[str, list[dict[str, float]]] = {"plain": [], "ours": []}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        training_loop_vs_torchvision.write_batches(root)
        words = ("--root", name, "--target", str(options.target))
        for number in range(options.rounds):
            rounds["ours"].append(ours(options.epochs, number, root / "runs"))
            rounds["plain"].append(measured("plain", *words))
        step = measured("step")
    median = {
        loop: {key: statistics.median(turn[key] for turn in turns) for key in turns[0]}
        for loop, turns in rounds.items()
    }
    least = min(turn["accuracy"] for turn in rounds["ours"])
    epochs = f"preset fast of scratch in {options.epochs:g} passes"
    result = {
        "what": f"{epochs}, the plain loop to {options.target:g}; medians",
        "n": options.rounds,
        "medians": median,
        "least_accuracy_of_ours": least,
        "ratio": median["plain"]["seconds"] / median["ours"]["seconds"],
        "step": step,
        "all": rounds,
        **common.machine(),
    }
    common.write(options.out, result, ("medians", "least_accuracy_of_ours", "ratio", "step"))
    if least < options.target:
        raise SystemExit(f"ours did not always reach {options.target}: use more --epochs")


if __name__ == "__main__":
    main()
