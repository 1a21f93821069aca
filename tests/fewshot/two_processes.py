"""What each of two processes does in the tests of `fewshot.distributed`: results go to a file each.

Started by `start`, which sets the variables that torchrun would set.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from episodes import streams
from episodes.rng import seeded
from episodes.types import Labelled
from fewshot import distributed, io
from fewshot.config import Train
from fewshot.errors import Interrupted, UserError
from fewshot.training import trainer
from tests.fewshot import easy
from tests.fewshot.training import tiny

TRAIN = Train(steps=6, lr=0.05, optimizer={"name": "sgd"}, log_every_epochs=1)


def start(command: list[str]) -> list[subprocess.CompletedProcess[str]]:
    """Run a Python command in two processes of one thread each and wait for both."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    shared = {
        "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "OMP_NUM_THREADS": "1",
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip
    processes = [
        subprocess.Popen(
            [sys.executable, *command],
            env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    results = []
    for process in processes:
        output, messages = process.communicate(timeout=300)
        results.append(
            subprocess.CompletedProcess(process.args, process.returncode, output, messages)
        )
    return results


def train(shard: tuple[int, int], **settings: Any) -> dict[str, Any]:
    """Train on a shard of every batch and return weights and history."""
    images = easy.images(6, seed=0)
    pool = streams.pool(images, torch.arange(len(images)), "cpu")

    def unchanged(batch: torch.Tensor, labels: torch.Tensor, *_: object) -> Any:
        return batch, labels

    stream = streams.batches(pool, 16, unchanged, seed=0, shard=shard)
    learner = tiny.build(norm="group")
    with seeded(shard[0], "fit"):
        fitted = trainer.fit(learner, stream, TRAIN, 2.0, validate=tiny.validate, **settings)
    return {
        "weights": tiny.weights(learner),
        "history": fitted.history,
        "images": fitted.images,
        "best_step": fitted.best_step,
    }


def interrupt(folder: Path) -> dict[str, Any]:
    """Train until rank 1 gets a signal; return the step at which this process left."""
    stream, steps = easy.stream("batches"), 0

    def interrupting(step: int) -> Labelled:
        nonlocal steps
        steps = step + 1
        if step == 3 and distributed.rank() == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return stream(step)

    settings = Train(steps=200, lr=0.01, log_every_epochs=100)
    checkpoint = folder / "checkpoint.pt"
    try:
        trainer.fit(tiny.build(norm="group"), interrupting, settings, 1.0, checkpoint=checkpoint)
    except Interrupted:
        return {"left_after": steps}
    return {"left_after": None}


def first_of_both(folder: Path) -> str:
    """Read what rank 0 writes in the block that it enters first."""
    path = folder / "first.txt"
    with distributed.main_process_first():
        if distributed.rank() == 0:
            time.sleep(0.2)
            path.write_text("written by rank 0")
        return path.read_text()


def failed() -> list[str]:
    """Return what each process raises if rank 0 fails, first in a block and then in a function."""

    def fail() -> str:
        raise UserError("there is no such data set")

    errors = []
    for number in range(2):
        try:
            if number:
                distributed.from_main(fail)
            else:
                with distributed.main_process_first():
                    fail()
        except UserError as error:
            errors.append(f"{type(error).__name__}: {error}")
    return errors


def locked(folder: Path) -> list[str]:
    """Enter a block whose lock rank 0 holds, together."""
    with distributed.entered_by_main_process(io.locked(folder / "lock")):
        return distributed.gather(f"{distributed.rank()} is inside")


def main(folder: Path) -> None:
    """Do everything and write the results of this process to rank-N.pt."""
    distributed.join("cpu")
    rank = distributed.rank()
    results = {
        "world": distributed.world(),
        "agreed": distributed.agree(f"from {rank}"),
        "gathered": distributed.gather(10 * rank),
        "joined": distributed.gather_rows(torch.arange(2) + 10 * rank),
        "from_main": distributed.from_main(lambda: f"computed by {rank}"),
        "first": first_of_both(folder),
        "failed": failed(),
        "locked": locked(folder),
        "training": train((rank, distributed.world())),
        "interrupted": interrupt(folder),
    }
    torch.save(results, folder / f"rank-{rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
