"""Compare the episodic regime with easyfsl and learn2learn, on the same tasks in one process.

- easyfsl 1.5.0: prototypes on cached features, 5-way 1-shot and 5-shot, 15 queries per class. Both
  get the same features and the same tasks, and must be right on the same number of queries in every
  task. "given": the tasks' indices exist, and only their evaluation is timed. "sampled": each
  samples its own tasks too, easyfsl by its TaskSampler and a DataLoader, as in its notebooks.
  TaskSampler calls `super().__init__(data_source=None)`, which current torch refuses; the mend is
  the one line of `mended_sampler`.
- learn2learn 0.2.0: MAML in second order on conv4, 5-way 5-shot, in meta-batches, as in its example
  examples/vision/maml_miniimagenet.py but without validation tasks; ours is `trainer.fit`. Both
  start from the same weights, get the same tasks, and must end with the same weights.
- ANIL on cached features: the head alone takes five steps. The evaluation of many tasks is timed,
  and must give the same predictions; and the training of the initial head, task by task.

Everything is timed in turns; the ratio is the median over rounds of the ratios within a round.

    taskset -c 0,1 python -m benchmarks.episodes [--rounds 5] [--threads 2]
"""

from __future__ import annotations

import argparse
from typing import Any

from benchmarks import common, learn2learn_loops
from benchmarks.learn2learn_loops import cifar10_features

WAYS, QUERIES, N_TASKS = 5, 15, 2000
EASYFSL_TASKS = 200  # of the 2,000 in each round: a second or less
BODIES = ("mini-resnet", "conv4")


def mended_sampler(dataset: Any, shots: int, n_tasks: int) -> Any:
    """Return easyfsl's TaskSampler, whose call of torch's Sampler has an argument too many."""
    from easyfsl.samplers import TaskSampler
    from torch.utils.data import Sampler

    Sampler.__init__ = lambda self, data_source=None: None  # the mend
    return TaskSampler(dataset, WAYS, shots, QUERIES, n_tasks)


def prototypes(body: str, shots: int, rounds: int) -> dict[str, Any]:
    """Compare prototypes on cached features with easyfsl's."""
    import torch
    from easyfsl.datasets import FeaturesDataset
    from easyfsl.methods import PrototypicalNetworks
    from easyfsl.utils import evaluate, evaluate_on_one_task
    from torch.utils.data import DataLoader

    from episodes.tasks import sampling
    from fewshot.evaluation import episodic
    from fewshot.heads import HEADS

    pool, labels = cifar10_features(body)
    head = HEADS["nearest-mean"](features="UN")  # Euclidean, as easyfsl

    def sample(count: int) -> Any:
        return sampling.fixed(labels, ways=WAYS, shots=shots, queries=QUERIES, count=count, seed=0)

    tasks = sample(N_TASKS)
    model = PrototypicalNetworks(torch.nn.Identity()).eval()

    @torch.no_grad()
    def easyfsl(n_tasks: int) -> list[int]:
        counts = []
        for i in range(n_tasks):
            support, query = pool[tasks.support[i]], pool[tasks.query[i]]
            task = support, tasks.support_labels[i], query, tasks.query_labels[i]
            counts.append(evaluate_on_one_task(model, *task)[0])
        return counts

    correct = episodic.of_head(head, pool, (tasks,)).correct.tolist()
    assert easyfsl(N_TASKS) == correct, "the accuracies of some tasks differ"
    dataset = FeaturesDataset(labels.tolist(), pool, [str(label) for label in range(10)])
    sampler = mended_sampler(dataset, shots, EASYFSL_TASKS)
    loader = DataLoader(dataset, batch_sampler=sampler, collate_fn=sampler.episodic_collate_fn)
    accuracy = evaluate(model, loader, device="cpu", use_tqdm=False)
    assert abs(accuracy - sum(correct) / len(correct) / WAYS / QUERIES) < 0.05, accuracy
    given = {
        "fewshot": (lambda: episodic.of_head(head, pool, (tasks,)), N_TASKS),
        "easyfsl": (lambda: easyfsl(EASYFSL_TASKS), EASYFSL_TASKS),
    }
    sampled = {
        "fewshot": (lambda: episodic.of_head(head, pool, (sample(N_TASKS),)), N_TASKS),
        "easyfsl": (
            lambda: evaluate(model, loader, device="cpu", use_tqdm=False),
            EASYFSL_TASKS,
        ),
    }
    return {
        "features": pool.shape[1],
        "accuracy": sum(correct) / len(correct) / WAYS / QUERIES,
        "tasks with equal accuracy": N_TASKS,
        "given": common.in_turns(given, rounds),
        "sampled": common.in_turns(sampled, rounds),
    }


def main() -> None:
    """Measure everything and write the result."""
    parser = common.parser(__doc__, "episodes", rounds=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=("prototypes", "maml", "anil"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    import torch

    from fewshot.training import devices

    torch.set_num_threads(options.threads)
    devices.keep_freed_memory()  # as the command does
    rounds = options.rounds
    result: dict[str, Any] = {
        "what": "tasks per second: prototypes and ANIL on features of CIFAR-10's test images, MAML "
        "on conv4 and its training images",
        "n": rounds,
        "threads": options.threads,
    }
    if options.only in (None, "prototypes"):
        result["prototypes"] = {
            f"{body}, {shots} shot": prototypes(body, shots, rounds)
            for body in BODIES
            for shots in (1, 5)
        }
    if options.only in (None, "maml"):
        result["maml"] = {
            f"{steps} inner steps": learn2learn_loops.maml(steps, rounds) for steps in (1, 5)
        }
    if options.only in (None, "anil"):
        result["anil"] = {body: learn2learn_loops.anil(body, rounds) for body in BODIES}
    common.write(options.out, {**result, **common.machine()}, tuple(result))


if __name__ == "__main__":
    main()
