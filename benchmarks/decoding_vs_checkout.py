"""Compare the first load of image data sets with that of another checkout of this repository.

Each load starts with an empty cache in a new process: it reads, hashes, decodes and writes all
images. The two checkouts take turns; imports are not timed, and the search for copies, which older
checkouts do not have, is timed apart.

    git worktree add ../before COMMIT
    taskset -c 0,1 python -m benchmarks.decoding_vs_checkout ../before [--rounds 5]
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import common

LOAD = """
import json, pathlib, sys, tempfile, time
from episodes import datasets
import PIL.Image
PIL.Image.init()
datasets.load("digits")  # imports what loading needs, whatever the checkout calls it
searched = [0.0, 0.0]
try:
    from episodes.datasets import copies
except ImportError:
    pass
else:
    search = copies.clusters_of_copies

    def timed(*arguments):
        began, computed = time.perf_counter(), time.process_time()
        clusters = search(*arguments)
        searched[:] = time.perf_counter() - began, time.process_time() - computed
        return clusters

    copies.clusters_of_copies = timed
with tempfile.TemporaryDirectory() as cache:
    began, computed = time.perf_counter(), time.process_time()
    train, test = datasets.load(sys.argv[1], cache=pathlib.Path(cache))
    seconds, processor = time.perf_counter() - began, time.process_time() - computed
count = len(train) + len(test)
rates = {"clock": count / (seconds - searched[0]), "processor": count / (processor - searched[1])}
print(json.dumps({"images": count, "search": searched[1], **rates}))
"""


def save_pngs(folder: Path, bits: int, count: int = 2000, side: int = 64) -> None:
    """Save smooth grey PNG files of two classes."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for number in range(count):
        coarse = Image.fromarray(rng.random((8, 8), dtype=np.float32))
        values = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC)).clip(0, 1)
        kind = np.uint16 if bits == 16 else np.uint8
        path = folder / str(number % 2) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((values * (2**bits - 1)).astype(kind)).save(path)


def first_load(checkout: Path, data: str) -> dict[str, float]:
    """Return how many images a checkout loads a second, by clock and by processor time."""
    done = subprocess.run(
        [sys.executable, "-c", LOAD, data],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
        cwd=checkout,
        env=os.environ | {"PYTHONPATH": str(checkout)},
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def measure(before: Path, data: str, rounds: int) -> dict[str, Any]:
    """Return the medians of both checkouts, and of their ratio within a round."""
    turns = [(first_load(common.ROOT, data), first_load(before, data)) for _ in range(rounds)]
    kinds = ("clock", "processor")
    return {
        "images": turns[0][0]["images"],
        "search_seconds": statistics.median(this["search"] for this, _ in turns),
        "images_per_second": {
            kind: {
                "this": statistics.median(this[kind] for this, _ in turns),
                "before": statistics.median(other[kind] for _, other in turns),
            }
            for kind in kinds
        },
        "ratio": {
            kind: statistics.median(this[kind] / other[kind] for this, other in turns)
            for kind in kinds
        },
    }


def main() -> None:
    """Measure every data set and write the result."""
    parser = common.parser(__doc__, "decoding_vs_checkout", rounds=5)
    parser.add_argument("before", type=Path, help="the other checkout")
    options = parser.parse_args()
    before = options.before.resolve()
    revision = ["git", "-C", str(before), "rev-parse", "--short", "HEAD"]
    with tempfile.TemporaryDirectory() as folder:
        places = {
            "cifar10, JPEG thumbnails in Parquet": "cifar10",
            "imagenette160, JPEG photos": "imagenette160",
        }
        for bits in (8, 16):
            name = f"2,000 grey PNG files of 64x64 pixels, {bits} bits"
            places[name] = str(Path(folder) / str(bits))
            save_pngs(Path(places[name]), bits)
        result = {
            "what": "first load of a data set: read, hash, decode, write; images a second; "
            "and processor seconds of the search for copies",
            "n": options.rounds,
            "before": subprocess.check_output(revision, text=True, encoding="utf-8").strip(),
            "sets": {name: measure(before, data, options.rounds) for name, data in places.items()},
            **common.machine(),
        }
    common.write(options.out, result, ("sets",))


if __name__ == "__main__":
    main()
