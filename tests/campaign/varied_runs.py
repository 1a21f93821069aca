"""Run a list of configurations in one process, in a way that must not change their numbers.

The child process reads its `Way` from a file. One process for all of them, because each import of
torch costs seconds.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

Values = dict[str, Any]
METHODS = (
    "scratch", "probe", "finetune", "protonet", "maml", "siamese", "experts", "matching",
    "relation", "baseline",
)  # fmt: skip
AUGMENTATIONS = (
    "flip", {"name": "translate", "pixels": 2}, {"name": "crop", "scale": [0.5, 1.0]},
    {"name": "jitter", "brightness": 0.4, "contrast": 0.4}, {"name": "cutout", "size": 0.25},
    "rotate", "affine", "elastic", "noise", "blur", "jpeg", "erase", "alternating_flip",
)  # fmt: skip
MIXING = ({"name": "mixup", "alpha": 0.4}, {"name": "cutmix", "alpha": 1.0})
BACKBONES = (
    {"name": "conv4", "weights": "none", "options": {"width": 8, "norm": "group"}},
    {"name": "conv4", "weights": "none", "options": {"width": 8, "norm": "batch"}},
    {"name": "conv4", "weights": "none", "options": {"width": 8}, "views": "flip"},
    {"name": "mlp", "weights": "none", "options": {"widths": [16]}},
)
DATA = {"data": "digits", "shots": 4, "precision": "float32"}


def sample(seed: int, number: int) -> Values:
    """Return the settings of one configuration, which may be refused when they are resolved."""
    choose = random.Random(f"{seed} {number}")
    method = METHODS[number % len(METHODS)]
    values = {**DATA, "method": method, "backbone": choose.choice(BACKBONES)}
    values["calibration"] = choose.choice(["temperature", "none"])
    if method == "probe" or (method in ("baseline", "matching") and choose.random() < 0.7):
        return values  # not trained
    if choose.random() < 0.3:
        values["validation"] = {"share": 0.25}
        values["select"] = choose.choice(["last", "holdout"])
    steps = choose.sample(AUGMENTATIONS, choose.randrange(4))
    if method in ("scratch", "finetune") and choose.random() < 0.5:
        steps.append(choose.choice(MIXING))
    values["augment"] = steps
    values["train"] = {
        "steps": choose.randint(3, 8),
        "batch_size": choose.choice([8, 16, 32]),
        "tasks_per_step": choose.choice([1, 1, 2]),
        "lr": choose.choice([1e-4, 1e-3, 1e-2]),
        "weight_decay": choose.choice([0.0, 0.05]),
        "optimizer": {"name": choose.choice(["sgd", "adam", "adamw", "muon"])},
        "schedule": {
            "name": choose.choice(["constant", "cosine", "linear", "one-cycle", "step"]),
            "warmup": choose.choice([0.0, 0.3]),
        },
        "clip_norm": choose.choice([None, 1.0]),
        "ema_decay": choose.choice([None, 0.9]),
        "label_smoothing": choose.choice([0.0, 0.1]),
        "log_every_epochs": choose.choice([None, 0.5]),
    }
    return values


@dataclass
class Way:
    """How the configurations run.

    Attributes:
        configurations: their settings, by name; each gets a folder of this name in `out`.
        out: existing folder.
        calls: the seeds of one call after the other.
        workers: trials at once.
        threads: threads of each trial.
        command_line: call the command line, not the Python interface.
        killed_after: kill each run after so many checkpoints and run it again; None for never.
    """

    configurations: dict[str, Values]
    out: str
    calls: list[list[int]] = field(default_factory=lambda: [[0, 1]])
    workers: int = 1
    threads: int = 1
    command_line: bool = False
    killed_after: int | None = None


def start(
    way: Way, changed: Mapping[str, str], folder: Path | None = None
) -> subprocess.Popen[str]:
    """Start a process that runs the configurations.

    Args:
        way: how they run.
        changed: variables of its environment that differ from this process's.
        folder: its working directory; by default this process's.
    """
    rank = changed.get("RANK", "0")
    job = Path(way.out) / f"way-{rank}.json"
    job.write_text(json.dumps(asdict(way)))
    paths = os.pathsep.join(filter(None, [os.getcwd(), os.environ.get("PYTHONPATH")]))
    return subprocess.Popen(
        [sys.executable, "-m", "tests.campaign.varied_runs", str(job)],
        env={**os.environ, "PYTHONPATH": paths, **changed},
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def _run(values: Values, seeds: Sequence[int], out: Path, way: Way) -> None:
    """Run the trials of one configuration."""
    if way.command_line:
        _run_by_command(values, seeds, out)
        return
    from fewshot.runs import experiment

    experiment.run(values, seeds, out=out, device="cpu", workers=way.workers, threads=way.threads)


def _run_by_command(values: Values, seeds: Sequence[int], out: Path) -> None:
    from fewshot.cli import main

    file = out.with_suffix(".yaml")
    file.write_text(json.dumps(values))  # JSON is YAML
    sys.argv = [
        "fewshot", "run", "--config", str(file), "--seeds", f"{seeds[0]}-{seeds[-1]}", "--out",
        str(out), "--device", "cpu", "--threads", "1", "--workers", "1", "--quiet",
    ]  # fmt: skip
    try:
        main.main()
    except SystemExit as end:
        if end.code:
            raise RuntimeError(f"exit code {end.code}") from None


def _die_after(checkpoints: int) -> None:
    """Kill this process when it has written so many checkpoints, one after each step."""
    from fewshot.training import checkpoint, trainer

    trainer.CHECKPOINT_SECONDS = -1.0
    write, written = checkpoint.Checkpoint.write, [0]

    def write_and_die(self: checkpoint.Checkpoint, path: Path) -> None:
        write(self, path)
        written[0] += 1
        if written[0] == checkpoints:
            os.kill(os.getpid(), signal.SIGKILL)

    checkpoint.Checkpoint.write = write_and_die  # type: ignore[method-assign]


def _killed_once(values: Values, seeds: Sequence[int], out: Path, way: Way) -> bool:
    """Run a configuration in a copy of this process that dies; return whether it did."""
    child = os.fork()
    if not child:
        try:
            _die_after(way.killed_after or 1)
            _run(values, seeds, out, way)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def _main(job: Path) -> None:
    way = Way(**json.loads(job.read_text()))
    log: dict[str, str] = {}
    for name, values in way.configurations.items():
        out = Path(way.out) / name
        log[name] = "ran"
        try:
            for seeds in way.calls:
                if way.killed_after is not None and _killed_once(values, seeds, out, way):
                    log[name] = "killed"
                _run(values, seeds, out, way)
        except Exception as error:
            log[name] = f"{type(error).__name__}: {error}"
    if os.environ.get("RANK", "0") == "0":
        (Path(way.out) / "log.json").write_text(json.dumps(log))


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
