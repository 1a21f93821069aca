"""Write every generated page from the published records, or check that all are up to date.

    python -m scripts.reports           # write the pages and figures (make reports)
    python -m scripts.reports --check   # exit with 1 if a page is stale; figures are not compared

The pages are those under reports/, the tables in README.md and docs/, and the card of the shipped
weights.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from fewshot.studies.schema import MEASURED

ROOT = Path(__file__).parent.parent
COMPARISONS = {  # page -> its records; the shipped backbone is compared with what it knew before
    "learners": ("learners", "names/no-labels.json"),
    "main": ("main", "names/no-labels.json"),
    "presets": ("presets",),
}
# The reports that are measured again, and likely causes of what surprises in them; the rows of the
# episodic regime are in scripts.episodes
STUDIES = ("architectures", "causes", "experts", "hyperparameters", "kshot")
SCRIPTS = (
    "learners",
    "meta",
    "episodes",
    "omniglot",
    "own_images",
    "calibration",
    "fulldata",
    "forecast",
    "statistics",
    "unknown",
    "suggest",
    "check",
    "auto",
    "gpu_report",
    "pretraining report",
    "readme",
)


def commands() -> list[list[str]]:
    """Return the arguments of `python -m` for each group of pages."""
    report = ["fewshot", "report"]
    result = [
        [*report, *(f"reports/records/{place}" for place in places), "--out", f"reports/{page}"]
        for page, places in COMPARISONS.items()
    ]
    result += [[f"scripts.{module}", *words] for module, *words in map(str.split, SCRIPTS)]
    studies = [f"configs/studies/{name}" for name in STUDIES]
    folders = ["--results", "reports/records", "--out", "reports"]
    result.append([*report, *studies, *folders])  # last, because its index lists the other pages
    return result


def run(check: bool) -> int:
    """Run all commands and return 1 if one of them failed, otherwise 0.

    Before the pages are written, the stale results are listed, as far as their data are here.
    """
    failed = 0
    studies = [f"configs/studies/{name}" for name in STUDIES]
    status = ["fewshot", "sweep", *studies, "--results", "reports/records", "--status", "--scale"]
    stale = [[*status, scale] for scale in MEASURED]
    for command in commands() if check else [*stale, *commands()]:
        words = [*command, "--check"] if check else command
        print("python -m", *words, file=sys.stderr)
        done = subprocess.run(
            [sys.executable, "-m", *words], cwd=ROOT, stdout=subprocess.DEVNULL, check=False
        )
        failed += done.returncode != 0
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(run("--check" in sys.argv))
