"""Compare a probe over ten trials and five numbers of shots with and without cached features.

Both are `experiment.run` on the same data and network; what counts is the ratio of their seconds.
The network is the probe preset's, or that of --backbone; random weights are sampled once and read
from a file, so that all trials have the same. "cached" begins with an empty cache, which the first
run fills. "cached again" repeats it with other run folders, as another classifier on the same
features would. Without a cache (FEWSHOT_CACHE_GB=0) every trial computes the features of its
support and of the test set. Decoding the images is in neither. The images per second of feature
extraction are measured too.

    python -m benchmarks.probe_feature_cache [--backbone NAME] [--weights none|FILE]
        [--uncached-trials 10] [--small]

--uncached-trials below the number of trials measures that many for each number of shots and scales
the seconds; the result says so. --small uses digits, three trials and two numbers of shots.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import common

SHOTS = (1, 4, 8, 16, 32)
SPEED_IMAGES, SPEED_ROUNDS = 4096, 5


def backbone_settings(name: str | None, weights: str | None, folder: Path) -> dict[str, Any]:
    """Return the probe's backbone; random weights are sampled once and written to a file."""
    from safetensors.torch import save_file

    from episodes.rng import seeded
    from fewshot import backbones
    from fewshot.runs import run_settings

    request = {"name": name, "weights": weights}
    backbone = {key: value for key, value in request.items() if value is not None}
    values = {"method": "probe", "shots": 1, **({"backbone": backbone} if backbone else {})}
    settings = run_settings.configure(values, "few").backbone
    if settings.weights == "none":
        with seeded(0, "initialise"):
            body = backbones.build(settings).body
        path = folder / "random.safetensors"
        state = {key: value.contiguous() for key, value in body.state_dict().items()}
        save_file(state, path)
        settings = settings.model_copy(update={"weights": str(path)})
    return settings.model_dump(mode="json")


def probe(
    values: dict[str, Any], shots: tuple[int, ...], n_trials: int, out: Path
) -> tuple[float, list[list[float]]]:
    """Return the seconds of the runs of all shots, and the accuracies of their trials."""
    from fewshot.runs import experiment

    began, accuracies = time.perf_counter(), []
    for k in shots:
        record = experiment.run({**values, "shots": k}, range(n_trials), out=out)
        accuracies.append(list(record.scores["accuracy"].values))
    return time.perf_counter() - began, accuracies


def measure(
    values: dict[str, Any], shots: tuple[int, ...], n_trials: int, n_uncached: int, folder: Path
) -> dict[str, float]:
    """Return the seconds with a new cache, with a filled one and without; check the accuracies."""
    from episodes import datasets

    os.environ["FEWSHOT_CACHE"] = str(folder / "cache")
    datasets.load(values["data"])
    probe(values, (1,), 1, folder / "warm-up")  # imports, and measures the machine's precision
    for path in (folder / "cache" / "features").iterdir():
        path.unlink()
    first, accuracies = probe(values, shots, n_trials, folder / "first")
    again, accuracies_again = probe(values, shots, n_trials, folder / "again")
    os.environ["FEWSHOT_CACHE_GB"] = "0"
    without, computed = probe(values, shots, n_uncached, folder / "without")
    assert accuracies_again == accuracies
    expected = [trials[:n_uncached] for trials in accuracies]
    assert computed == expected, "cached features differ from computed ones"
    scaled = without * n_trials / n_uncached
    return {"cached": first, "cached again": again, "without a cache": scaled}


def images_per_second(settings: dict[str, Any]) -> float:
    """Return the speed of feature extraction in one view, in this machine's precision."""
    import torch

    from episodes import datasets
    from fewshot import backbones, config
    from fewshot.features import frozen
    from fewshot.training import devices

    images = datasets.load("cifar10").test
    backbone = backbones.build(config.BackboneSettings(**{**settings, "views": "none"}))
    compute = devices.resolve(devices.pick(None), "auto")
    backbone.to(compute.device).set_compute(compute.precision, compute.channels_last)
    indices = torch.arange(SPEED_IMAGES)
    speeds = [
        SPEED_IMAGES
        / common.seconds(lambda: frozen.extract(backbone, images, indices, compute.device))
        for _ in range(SPEED_ROUNDS + 1)
    ]
    return statistics.median(speeds[1:])  # the first warms up


def main() -> None:
    """Measure and write the result."""
    parser = common.parser(__doc__, "probe_feature_cache")
    parser.add_argument("--backbone")
    parser.add_argument("--weights")
    parser.add_argument("--uncached-trials", type=int)
    parser.add_argument("--small", action="store_true")
    options = parser.parse_args()
    data, shots, n_trials = ("digits", SHOTS[:2], 3) if options.small else ("cifar10", SHOTS, 10)
    n_uncached = min(n_trials, options.uncached_trials or n_trials)
    with tempfile.TemporaryDirectory() as folder:
        backbone = backbone_settings(options.backbone, options.weights, Path(folder))
        values = {"method": "probe", "data": data, "backbone": backbone}
        seconds = measure(values, shots, n_trials, n_uncached, Path(folder))
        speed = None if options.small else images_per_second(backbone)
    backbone["weights"] = Path(backbone["weights"]).name
    scaled = f"{n_uncached} trials measured, scaled to {n_trials}"
    result = {
        "what": f"seconds of a probe on {data}, {n_trials} trials for each number of shots",
        "shots": shots,
        "n": n_trials,
        "without_a_cache": "measured whole" if n_uncached == n_trials else scaled,
        "backbone": backbone,
        "images_per_second": speed,
        "n_speed": SPEED_ROUNDS,
        "seconds": seconds,
        "ratios": {
            name: seconds["without a cache"] / seconds[name] for name in ("cached", "cached again")
        },
        **common.machine(),
    }
    common.write(options.out, result, ("without_a_cache", "seconds", "ratios"))


if __name__ == "__main__":
    main()
