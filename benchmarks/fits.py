"""The logistic regression of a probe with one thread for scipy's copy of BLAS, as it is, and with all, in turns.

Unit features of the shipped network's width, drawn at random about ten means; what counts is the ratio.

    taskset -c 0,1 python benchmarks/fits.py [--rounds 7] [--out benchmarks/results/fits.json]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import time
from pathlib import Path

SHOTS, WIDTH = (1, 16, 128, 1000), 1736


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "fits.json")
    options = parser.parse_args()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line does
    import torch
    from torch.nn import functional as F

    from fewshot.heads import regression
    from fewshot.runs import provenance
    from fewshot.training import devices

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    ours = regression._blas_of_scipy
    generator = torch.Generator().manual_seed(0)
    means = torch.randn(10, WIDTH, generator=generator)
    found = {}
    for shots in SHOTS:
        labels = torch.arange(10).repeat(shots)
        features = F.normalize(
            torch.randn(len(labels), WIDTH, generator=generator) + 0.3 * means[labels]
        )

        def seconds(limited: bool, features=features, labels=labels) -> float:
            regression._blas_of_scipy = ours if limited else _Unlimited  # type: ignore[assignment]
            began = time.perf_counter()
            regression.fit(features, labels, 10)
            return time.perf_counter() - began

        rounds = [(seconds(True), seconds(False)) for _ in range(options.rounds + 1)][1:]
        found[shots] = {
            "seconds": {"one thread": statistics.median(each[0] for each in rounds),
                        "all": statistics.median(each[1] for each in rounds)},
            "all_over_one": statistics.median(all_ / one for one, all_ in rounds),
        }  # fmt: skip
    result = {
        "what": f"logistic regression on {WIDTH} features, 10 classes, by shots",
        "machine": devices.name("cpu"),
        "load_average": os.getloadavg(),
        "versions": provenance.versions(),
        "n": options.rounds,
        "shots": found,
    }
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(found, indent=1))


class _Unlimited:
    """In the place of what limits the threads."""

    def limit(self, limits: int) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()


if __name__ == "__main__":
    main()
