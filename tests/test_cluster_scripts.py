"""The Slurm scripts of docs/cluster.md, run by bash without Slurm: every cell and seed once.

Oracle: the cells of a sweep and the seeds of a run in one piece. `fewshot` is a function that notes
its arguments.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from fewshot.cli import arguments

PAGE = Path(__file__).parents[1] / "docs" / "cluster.md"
SCRIPTS = [
    block
    for block in re.findall(r"```bash\n(.*?)```", PAGE.read_text(), re.S)
    if "#SBATCH" in block
]

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not here")


def calls(script: str) -> list[list[str]]:
    """Run a script as every task of its array, and return the arguments of `fewshot`."""
    array = re.search(r"#SBATCH --array=(\d+)-(\d+)", script)
    cores = re.search(r"#SBATCH --cpus-per-task=(\d+)", script)
    assert array is not None
    assert cores is not None
    tasks = range(int(array[1]), int(array[2]) + 1)
    program = 'set -eu\nfewshot() { printf \'%q \' "$OMP_NUM_THREADS" "$@"; }\n' + script
    noted = []
    for task in tasks:
        slurm = {
            "SLURM_ARRAY_TASK_ID": str(task),
            "SLURM_ARRAY_TASK_COUNT": str(len(tasks)),
            "SLURM_CPUS_PER_TASK": cores[1],
        }
        process = subprocess.run(
            ["bash", "-c", program], env=slurm, capture_output=True, text=True, check=True
        )
        threads, *words = shlex.split(process.stdout)
        assert threads == cores[1]
        noted.append(words)
    return noted


def option(words: list[str], name: str) -> str:
    return words[words.index(name) + 1]


def test_the_tasks_of_a_sweep_share_out_every_cell_once() -> None:
    (script,) = [script for script in SCRIPTS if "fewshot sweep" in script]
    cells = list(range(100))
    shards = [arguments.shard(option(words, "--shard")) for words in calls(script)]
    shared_out = [cell for index, n_shards in shards for cell in cells[index - 1 :: n_shards]]
    assert sorted(shared_out) == cells


def test_the_tasks_of_a_run_have_one_seed_each() -> None:
    (script,) = [script for script in SCRIPTS if "fewshot run" in script]
    seeds = [arguments.seeds(option(words, "--seeds")) for words in calls(script)]
    assert seeds == [[seed] for seed in range(10)]
