"""CIFAR-10 in full: seconds and images to a target accuracy, beside a plain torchvision loop; what a step spends.

plain: torchvision's CIFAR10, a DataLoader of two workers, float32, Adam, crop and flip, the reports' enhanced CNN; the
test set is judged every quarter of a pass until the target is reached. ours: `fewshot run --method scratch --preset
fast --full` shortened to --epochs, judged at its end, which has to reach the target too. Judging is not counted. Both
in processes of their own, in turns. Needs the Parquet copy of CIFAR-10 under $FEWSHOT_DATA/cifar10.

    python benchmarks/fulldata.py [--rounds 3] [--target 0.8] [--epochs 2.5] [--out benchmarks/results/fulldata.json]
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

import plain_loop

QUARTER = 50_000 // 4
MOST_PASSES = 20
PRODUCTS = (
    "conv",
    "mm",
    "matmul",
    "linear",
)  # in the names of operators that are convolutions and matrix products


def plain(root: Path, target: float) -> dict[str, float]:
    """Seconds and images until the plain loop's network reaches the target."""
    import torch

    training = torch.utils.data.DataLoader(
        plain_loop.plain_data(root), batch_size=plain_loop.BATCH, shuffle=True, num_workers=2
    )
    judging = torch.utils.data.DataLoader(plain_loop.plain_data(root, train=False), batch_size=500)
    network = plain_loop.network_for("float32", channels_last=False)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    seconds, images, due = 0.0, 0, QUARTER
    for _ in range(MOST_PASSES):
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
            network.eval()
            with torch.no_grad():
                right = sum(
                    int((network.head(network.backbone(x)).argmax(1) == y).sum())
                    for x, y in judging
                )
            if right / len(judging.dataset) >= target:  # type: ignore[arg-type]
                return {
                    "seconds": seconds,
                    "images": images,
                    "accuracy": right / len(judging.dataset),
                }  # type: ignore[arg-type]
            network.train()
            began = time.perf_counter()
        seconds += time.perf_counter() - began
    raise SystemExit(f"the plain loop did not reach {target} in {MOST_PASSES} passes")


def ours(epochs: float, seed: int, out: Path) -> dict[str, float]:
    """Seconds, images and accuracy of the preset, shortened."""
    command = [
        sys.executable,
        "-m",
        "fewshot",
        "run",
        "--method",
        "scratch",
        "--preset",
        "fast",
        "--full",
    ]
    command += [
        "--set",
        f"train.epochs={epochs}",
        "--set",
        "train.least_steps=1",
    ]  # the preset's least is of the whole
    command += ["--seeds", f"{seed}-{seed}", "--quiet", "--out", str(out)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    (place,) = out.glob(f"*/trial-{seed}/trial.json")
    draw = json.loads(place.read_text())
    seconds, speed = draw["cost"]["train_seconds"], draw["cost"]["images_per_second"]
    return {
        "seconds": seconds,
        "images": round(seconds * speed),
        "accuracy": draw["scores"]["accuracy"],
    }


def step_costs(steps: int = 8) -> dict[str, object]:
    """FLOP/s of a training step of the preset, the machine's on a large product, and the shares of a step's time."""
    import torch
    from torch.profiler import ProfilerActivity, profile
    from torch.utils.flop_counter import FlopCounterMode

    from episodes import augment, streams
    from fewshot.runs import fitting, resolve
    from fewshot.training import devices, optim

    devices.keep_freed_memory()
    with tempfile.TemporaryDirectory() as name:
        made = resolve.prepare(
            {"method": "scratch", "preset": "fast", "full": True}, Path(name), "cpu"
        )
    train = made.config.train
    assert train is not None
    learner = fitting.build(made, 0).train()
    pool = streams.pool(made.data.train, torch.arange(len(made.data.train)), "cpu")
    learner.backbone.initialise(streams.as_float(pool.images[:5000]))  # type: ignore[union-attr,operator]
    change = augment.build(made.config.augment, pool.n_classes)
    stream = streams.batches(pool, train.batch_size, change, 0, train.label_smoothing)
    optimizer = optim.optimizer(learner, train, train.lr)

    def step(number: int) -> None:
        learner.loss(stream(number)).backward()  # type: ignore[operator]
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    with FlopCounterMode(display=False) as counter:
        step(0)
    step(1)
    seconds = []
    for number in range(2, 2 + steps):
        began = time.perf_counter()
        step(number)
        seconds.append(time.perf_counter() - began)
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        for number in range(steps):
            step(number)
    times = {each.key: each.self_cpu_time_total for each in profiled.key_averages()}
    product = sum(value for key, value in times.items() if any(word in key for word in PRODUCTS))
    others = {
        key: value for key, value in times.items() if not any(word in key for word in PRODUCTS)
    }
    total, rate, peak = (
        sum(times.values()),
        counter.get_total_flops() / statistics.median(seconds),
        peak_flops(),
    )
    return {
        "batch": train.batch_size,
        "flops_a_second": rate,
        "peak_flops_a_second": peak,
        "share_of_peak": rate / peak,
        "images_per_second": train.batch_size / statistics.median(seconds),
        "share_that_is_no_product": 1 - product / total,
        "largest_others": {
            key: value / total for key, value in sorted(others.items(), key=lambda each: -each[1])[:8]
        },
    }  # fmt: skip


def peak_flops(side: int = 4096, repeats: int = 5) -> float:
    """FLOP/s of a large bfloat16 matrix product, the best of a few."""
    import torch

    a, b = (torch.randn(side, side, dtype=torch.bfloat16) for _ in range(2))
    fastest = float("inf")
    for _ in range(repeats):
        began = time.perf_counter()
        a @ b
        fastest = min(fastest, time.perf_counter() - began)
    return 2 * side**3 / fastest


def measured(what: str, *words: str) -> dict:
    """In a process of its own."""
    command = [sys.executable, __file__, "--measure", what, *words]
    return json.loads(
        subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1]
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--target", type=float, default=0.8)
    parser.add_argument("--epochs", type=float, default=2.5)
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results" / "fulldata.json"
    )
    parser.add_argument("--measure", choices=("plain", "step"), help=argparse.SUPPRESS)
    parser.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(
            json.dumps(
                plain(options.root, options.target) if options.measure == "plain" else step_costs()
            )
        )
        return
    from fewshot.runs import provenance
    from fewshot.training import devices

    found: dict[str, list[dict[str, float]]] = {"plain": [], "ours": []}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        plain_loop.write_batches(root)
        for number in range(options.rounds):
            found["ours"].append(ours(options.epochs, number, root / "runs"))
            found["plain"].append(
                measured("plain", "--root", name, "--target", str(options.target))
            )
        step = measured("step")
    median = {
        what: {key: statistics.median(each[key] for each in rows) for key in rows[0]}
        for what, rows in found.items()
    }
    result = {
        "what": f"preset fast of scratch in {options.epochs:g} passes, the plain loop to {options.target:g}; medians",
        "n": options.rounds,
        "machine": devices.name("cpu"),
        "versions": provenance.versions(),
        "medians": median,
        "least_accuracy_of_ours": min(each["accuracy"] for each in found["ours"]),
        "ratio": median["plain"]["seconds"] / median["ours"]["seconds"],
        "step": step,
        "all": found,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(
        json.dumps(
            {key: result[key] for key in ("medians", "least_accuracy_of_ours", "ratio", "step")},
            indent=1,
        )
    )
    if result["least_accuracy_of_ours"] < options.target:
        raise SystemExit(
            f"ours did not reach {options.target} in each round: give it more --epochs"
        )


if __name__ == "__main__":
    main()
