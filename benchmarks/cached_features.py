"""A probe over ten draws and five shot counts with cached features, beside the same with no cache at all.

Both are `experiment.run`, in one call, on the same data and network; what counts is the ratio of their seconds. The
network is the probe preset's or that of --backbone; where its weights are random they are drawn once and read from a
file, so that all draws have the same. "cached" begins with an empty cache: the first of its runs fills it. "cached
again" repeats it with other run folders, as another classifier on the same features would. Without a cache
(FEWSHOT_CACHE_GB=0) every draw computes the features of its support and of the test set. Decoding images is in neither.
Images a second of feature extraction are told too.

    python benchmarks/cached_features.py [--backbone NAME] [--weights none|FILE] [--uncached-draws 10] [--small]
        [--out benchmarks/results/cached_features.json]

--uncached-draws below the number of draws measures that many of each shot count and scales; the result says so.
--small: digits, three draws, two shot counts.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

SHOTS = (1, 4, 8, 16, 32)
SPEED_IMAGES, SPEED_ROUNDS = 4096, 5


def backbone_settings(name: str | None, weights: str | None, folder: Path) -> dict[str, Any]:
    """The probe's backbone; random weights are drawn once and written to a file."""
    from safetensors.torch import save_file

    from episodes.rng import seeded
    from fewshot import backbones
    from fewshot.runs import resolve

    asked = {
        key: value for key, value in (("name", name), ("weights", weights)) if value is not None
    }
    values = {"method": "probe", "shots": 1, **({"backbone": asked} if asked else {})}
    settings = resolve.configure(values, "few").backbone
    if settings.weights == "none":
        with seeded(0, "initialise"):
            body = backbones.build(settings).body
        path = folder / "random.safetensors"
        save_file({key: each.contiguous() for key, each in body.state_dict().items()}, path)
        settings = settings.model_copy(update={"weights": str(path)})
    return settings.model_dump(mode="json")


def seconds(
    values: dict[str, Any], shots: tuple[int, ...], draws: int, out: Path
) -> tuple[float, list[Any]]:
    """Of the runs of all shot counts, and the accuracies that they give."""
    from fewshot.runs import experiment

    began, found = time.perf_counter(), []
    for k in shots:
        record = experiment.run({**values, "shots": k}, range(draws), out=out)
        found.append(record.scores["accuracy"].values)
    return time.perf_counter() - began, found


def measure(
    values: dict[str, Any], shots: tuple[int, ...], draws: int, uncached: int, folder: Path
) -> dict[str, Any]:
    from episodes import datasets

    os.environ["FEWSHOT_CACHE"] = str(folder / "cache")
    datasets.load(values["data"])
    seconds(values, (1,), 1, folder / "warm-up")  # imports, and the machine's precision
    for path in (folder / "cache" / "features").iterdir():
        path.unlink()
    first, accuracies = seconds(values, shots, draws, folder / "first")
    again, repeated = seconds(values, shots, draws, folder / "again")
    os.environ["FEWSHOT_CACHE_GB"] = "0"
    without, computed = seconds(values, shots, uncached, folder / "without")
    assert repeated == accuracies
    assert computed == [each[:uncached] for each in accuracies], (
        "cached features are not those computed at once"
    )
    return {"cached": first, "cached again": again, "without a cache": without * draws / uncached}


def images_per_second(settings: dict[str, Any]) -> float:
    """Of feature extraction in one view, as the precision and layout measured for this machine have it."""
    import statistics

    import torch

    from episodes import datasets
    from fewshot import backbones, config
    from fewshot.features import frozen
    from fewshot.training import devices

    images = datasets.load("cifar10").test
    backbone = backbones.build(config.BackboneSettings(**{**settings, "views": "none"}))
    compute = devices.resolve(devices.pick(None), "auto")
    backbone.to(compute.device).set_compute(compute.precision, compute.channels_last)
    speeds = []
    for _ in range(SPEED_ROUNDS + 1):  # the first warms up
        began = time.perf_counter()
        frozen.extract(backbone, images, torch.arange(SPEED_IMAGES), compute.device)
        speeds.append(SPEED_IMAGES / (time.perf_counter() - began))
    return statistics.median(speeds[1:])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbone")
    parser.add_argument("--weights")
    parser.add_argument("--uncached-draws", type=int)
    parser.add_argument("--small", action="store_true")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results" / "cached_features.json"
    )
    options = parser.parse_args()
    from fewshot.runs import provenance
    from fewshot.training import devices

    data, shots, draws = ("digits", SHOTS[:2], 3) if options.small else ("cifar10", SHOTS, 10)
    uncached = min(draws, options.uncached_draws or draws)
    with tempfile.TemporaryDirectory() as folder:
        backbone = backbone_settings(options.backbone, options.weights, Path(folder))
        values = {"method": "probe", "data": data, "backbone": backbone}
        found = measure(values, shots, draws, uncached, Path(folder))
        speed = None if options.small else images_per_second(backbone)
    backbone["weights"] = Path(backbone["weights"]).name
    result = {
        "what": f"seconds of a probe on {data}, {draws} draws of each shot count",
        "shots": shots,
        "n": draws,
        "without_a_cache": "measured whole"
        if uncached == draws
        else f"{uncached} draws measured, scaled to {draws}",
        "backbone": backbone,
        "machine": devices.name(devices.pick(None)),
        "versions": provenance.versions(),
        "images_per_second": speed,
        "n_speed": SPEED_ROUNDS,
        "seconds": found,
        "ratios": {
            name: found["without a cache"] / found[name] for name in ("cached", "cached again")
        },
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(
        json.dumps({key: result[key] for key in ("without_a_cache", "seconds", "ratios")}, indent=1)
    )


if __name__ == "__main__":
    main()
