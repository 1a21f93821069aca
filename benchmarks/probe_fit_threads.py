"""Compare a probe's logistic regression with one BLAS thread and with all threads of scipy.

The fit limits scipy's own copy of BLAS to one thread. This measures what that gains, in turns, on
unit features with the width of the shipped network, sampled around ten means.

    taskset -c 0,1 python -m benchmarks.probe_fit_threads [--rounds 7]
"""

from __future__ import annotations

import contextlib
import os
import statistics
from typing import Any

from benchmarks import common

SHOTS, WIDTH, N_WAY = (1, 16, 128, 1000), 1736, 10


class Unlimited:
    """A controller that leaves the number of threads as it is."""

    def limit(self, limits: int) -> contextlib.AbstractContextManager[None]:
        """Return a context that does nothing."""
        return contextlib.nullcontext()


def measure(shots: int, rounds: int) -> dict[str, Any]:
    """Return the median seconds of a fit with one thread and with all, and their ratio."""
    import torch
    from torch.nn import functional as F

    from fewshot.heads import regression

    generator = torch.Generator().manual_seed(0)
    means = torch.randn(N_WAY, WIDTH, generator=generator)
    labels = torch.arange(N_WAY).repeat(shots)
    noise = torch.randn(len(labels), WIDTH, generator=generator)
    features = F.normalize(noise + 0.3 * means[labels])
    limited = regression._scipy_blas

    def fit_seconds(controller: Any) -> float:
        regression._scipy_blas = controller
        return common.seconds(lambda: regression.fit(features, labels, N_WAY))

    turns = [(fit_seconds(limited), fit_seconds(Unlimited)) for _ in range(rounds + 1)][1:]
    regression._scipy_blas = limited
    return {
        "seconds": {
            "one thread": statistics.median(one for one, _ in turns),
            "all": statistics.median(every for _, every in turns),
        },
        "all_over_one": statistics.median(every / one for one, every in turns),
    }


def main() -> None:
    """Measure every number of shots and write the result."""
    options = common.parser(__doc__, "probe_fit_threads", rounds=7).parse_args()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line does
    import torch

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    result = {
        "what": f"logistic regression on {WIDTH} features, {N_WAY} classes, by shots",
        "n": options.rounds,
        "shots": {shots: measure(shots, options.rounds) for shots in SHOTS},
        **common.machine(),
    }
    common.write(options.out, result, ("shots",))


if __name__ == "__main__":
    main()
