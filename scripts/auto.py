"""Measure what `fewshot fit --method auto` chooses, and write reports/auto.md.

python -m scripts.auto runs     # compare and test in ten trials of each task what has no record yet
python -m scripts.auto          # write the tables
python -m scripts.auto --check  # exit with an error if one is stale

Every candidate is tested, also those that were given up, to show what a better choice would have
gained. The test images take part in nothing but that.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fewshot import io
from fewshot.evaluation import statistics
from fewshot.report import formatting
from scripts import pages
from scripts.pages import RECORDS, ROOT

if TYPE_CHECKING:
    from torch import Tensor

    from episodes.types import ImageSet
    from fewshot.config import BackboneSettings
    from fewshot.model.auto import Comparison
    from fewshot.model.candidates import Network

PAGE = ROOT / "reports" / "auto.md"
FOLDER = RECORDS / "auto"
N_TRIALS = 10
LARGEST_TEST = 200  # images of each class
OMNIGLOT = "omniglot-small2"
ALPHABETS = ("Japanese_(katakana)", "Sanskrit", "Tagalog")  # not those of `small1`
N_CHARACTERS = 20
DEFAULT_ALONE = ("digits", OMNIGLOT)  # the larger network would take too long on these images


SHORTER = {
    "logistic regression": "logistic",
    "ridge regression": "ridge",
    "cosine to the class mean": "cosine",
    "mini-resnet+tf_efficientnet_lite2+tf_efficientnet_lite2": "three networks",
    "tf_efficientnet_lite2": "lite2",
    " from random weights, 100 steps": "",
}


class Task(NamedTuple):
    """A data set and a number of labels per class."""

    data: str
    shots: int

    @property
    def path(self) -> Path:
        """The published record."""
        return FOLDER / f"{self.data}-{self.shots}.json"


TASKS = (
    Task("digits", 16),
    Task("imagenette160", 4),
    Task("imagenette160", 16),
    Task("cifar10", 4),
    Task("cifar10", 16),
    Task(OMNIGLOT, 4),
    Task(OMNIGLOT, 16),
)


@dataclass(frozen=True)
class Tested:
    """A candidate in a trial.

    Attributes:
        name: what it is, in words.
        loss: cross-validated log-loss; None for a training that was given up.
        cross_validated: cross-validated accuracy in the comparison.
        accuracy: on the test images.
    """

    name: str
    loss: float | None
    cross_validated: float | None
    accuracy: float


@dataclass(frozen=True)
class Trial:
    """What was chosen in a trial.

    Attributes:
        seed: the trial.
        n_test: test images.
        chosen: name of the candidate.
        estimate: accuracy that the card of the classifier says, by cross-validation.
        seconds: of the comparison, without features, while other work ran on the machine.
        candidates: all candidates.
    """

    seed: int
    n_test: int
    chosen: str
    estimate: float
    seconds: float
    candidates: list[Tested]

    def accuracy(self, name: str) -> float:
        """Return the test accuracy of a candidate."""
        return next(one.accuracy for one in self.candidates if one.name == name)


class Sample(NamedTuple):
    """The images of a trial: all of a data set, and which of them.

    Attributes:
        train, test: image sets, which may be the same.
        labelled, tested: indices of the labelled and of the test images, int64.
        classes: labels that take part, in the order of their new numbers.
    """

    train: ImageSet
    test: ImageSet
    labelled: Tensor
    tested: Tensor
    classes: Tensor


def sample(task: Task, seed: int) -> Sample:
    """Return the images of a trial; those for 4 labels are among those for 16."""
    import torch

    from episodes import datasets, subsets
    from episodes.rng import generator
    from fewshot import backbones

    side = datasets.natural_side(task.data)
    input_size = backbones.input_side(backbones.default(side))
    whole = task.data == OMNIGLOT
    data = datasets.load(task.data, input_size=input_size, test=None if whole else 0.2)
    classes = torch.arange(len(data.train.classes))
    if not whole:
        labelled = subsets.shots(data.train.labels, data.train.classes, task.shots, seed)
        rows = subsets.by_class(data.test.labels, len(classes))
        tested = torch.cat([indices[:LARGEST_TEST] for indices in rows])
        return Sample(data.train, data.test, labelled, tested, classes)
    usable = [
        label
        for label, name in enumerate(data.train.classes)
        if name.partition("/")[0] in ALPHABETS
    ]
    random = generator(seed, "characters")
    classes = torch.tensor(usable)[torch.randperm(len(usable), generator=random)[:N_CHARACTERS]]
    rows = [(data.train.labels == label).nonzero()[:, 0] for label in classes.tolist()]
    rows = [one[torch.randperm(len(one), generator=random)] for one in rows]
    labelled = torch.cat([one[: task.shots] for one in rows])
    return Sample(data.train, data.train, labelled, torch.cat([one[16:] for one in rows]), classes)


def selected(images: ImageSet, indices: Tensor, classes: Tensor) -> ImageSet:
    """Return some images as a set of their own, without a name by which features are cached."""
    number = {label: position for position, label in enumerate(classes.tolist())}
    labels = images.labels[indices].clone().apply_(number.__getitem__)
    names = tuple(images.classes[label] for label in classes.tolist())
    clusters = None if images.clusters is None else images.clusters[indices]
    return replace(
        images,
        images=images.images[indices],
        labels=labels,
        classes=names,
        groups={},
        clusters=clusters,
        fingerprint="",
        identity="",
    )


class Seen(NamedTuple):
    """A network, with the features of the labelled and of the test images of a trial."""

    network: Network
    tested: Tensor


def seen(settings: BackboneSettings, drawn: Sample) -> Seen:
    """Return a network and its features of the images of a trial, from the cache if possible."""
    import torch

    from fewshot.features import frozen
    from fewshot.model import candidates
    from fewshot.runs import checks
    from fewshot.training import devices

    if not drawn.train.mirror:
        settings = checks.without_mirrored_views(settings)
    backbone = candidates.build(settings, "cpu")
    compute = devices.resolve("cpu", "auto", 1)  # as runs, which share the cache
    backbone.set_compute(compute.precision, compute.channels_last)
    mark = frozen.fingerprint(backbone)
    labelled, tested = (
        frozen.cached(backbone, images, indices, "cpu", mark).features.features.as_subclass(
            torch.Tensor
        )
        for images, indices in ((drawn.train, drawn.labelled), (drawn.test, drawn.tested))
    )
    return Seen(candidates.Network(settings, backbone, labelled, 0.0), tested)


def run_trial(task: Task, seed: int) -> Trial:
    """Compare the candidates of a trial, and test each of them."""
    import torch

    from episodes import datasets
    from fewshot import backbones
    from fewshot.config.fitting import FitConfig
    from fewshot.model import auto, candidates
    from fewshot.model.candidates import Network

    drawn = sample(task, seed)
    images = selected(drawn.train, drawn.labelled, drawn.classes)
    test = selected(drawn.test, drawn.tested, drawn.classes)
    default = backbones.default(datasets.natural_side(task.data))
    others = [] if task.data in DEFAULT_ALONE else candidates.others(default)
    networks = [seen(one, drawn) for one in (default, *others)]
    tested = {one.network.settings.full_name: one.tested for one in networks}
    started = time.perf_counter()
    settings = FitConfig(seconds=1e6, seed=seed)
    comparison = auto.Comparison(images, torch.arange(len(images)), settings, "cpu")
    for one in networks:
        comparison.add_heads(one.network)
    training = auto.short_training(comparison)
    comparison.add_training(training, 0.0)
    seconds = time.perf_counter() - started
    assert comparison.best is not None
    results = []
    for candidate, score in comparison.compared:
        if isinstance(candidate.network, Network):
            correct = _test_head(comparison, candidate, tested, test)
            results.append(Tested(candidate.name, score.loss, score.accuracy, correct))
    score = {one.candidate.name: one.score for one in comparison.compared}.get(training.name)
    results.append(
        Tested(
            training.name,
            None if score is None else score.loss,
            None if score is None else score.accuracy,
            _test_training(training, images, test),
        )
    )
    chosen = comparison.best.candidate
    return Trial(seed, len(test), chosen.name, _estimate(comparison), seconds, results)


def _test_head(comparison: Comparison, candidate, tested: dict[str, Tensor], test) -> float:
    from fewshot.model import heads

    images, network = comparison.images, candidate.network
    n_way = len(images.classes)
    head = heads.fit_head(network.features, images.labels, n_way, candidate.recipe, images.classes)
    right = head(tested[network.settings.full_name]).argmax(1) == test.labels
    return float(right.double().mean())


def _test_training(candidate, images: ImageSet, test: ImageSet) -> float:
    import torch

    from fewshot.features import frozen

    trained = candidate.training.run(images, torch.arange(len(images)))
    features = frozen.extract(trained.backbone, test, torch.arange(len(test)), "cpu")
    return float((trained.head(features).argmax(1) == test.labels).double().mean())


def _estimate(comparison: Comparison) -> float:
    """Return the accuracy that the card of the classifier would say."""
    from fewshot.model import heads

    best, images = comparison.best.candidate, comparison.images
    if best.network is None:
        held_out = comparison.held_out[best.name]
    else:
        held_out = heads.out_of_fold(
            best.network.features,
            images.labels,
            len(images.classes),
            best.recipe,
            images.classes,
            images.clusters,
        )
    return float((held_out.logits.argmax(1) == held_out.labels).double().mean())


def read(task: Task) -> list[Trial]:
    """Return the published trials of a task."""
    if not task.path.exists():
        return []
    return [
        Trial(**{**one, "candidates": [Tested(**row) for row in one["candidates"]]})
        for one in io.read_json(task.path)
    ]


def _interval(values: Sequence[float]) -> str:
    """Return a mean and its 95% interval over trials, with a sign."""
    score = statistics.summary(values)
    return f"{score.mean:+.3f}" if score.ci95 is None else f"{score.mean:+.3f} ± {score.ci95:.3f}"


def best_candidate(trials: Sequence[Trial]) -> str:
    """Return the name of the candidate with the highest mean test accuracy."""
    names = [one.name for one in trials[0].candidates]
    return max(names, key=lambda name: np.mean([trial.accuracy(name) for trial in trials]))


def choices() -> str:
    """Return the table of what was chosen, beside the best candidates."""
    lines = []
    for task in TASKS:
        trials = read(task)
        if not trials:
            lines.append([task.data, str(task.shots), "not run", *[""] * 6])
            continue
        chosen = [trial.accuracy(trial.chosen) for trial in trials]
        best = best_candidate(trials)
        of_best = [trial.accuracy(best) for trial in trials]
        of_each = [max(one.accuracy for one in trial.candidates) for trial in trials]
        default = [trial.candidates[0].accuracy for trial in trials]
        names = Counter(trial.chosen for trial in trials).most_common()
        lines.append(
            [
                task.data,
                str(task.shots),
                f"{np.mean(chosen):.3f} ({len(trials)})",
                _interval(np.subtract(chosen, default).tolist()),
                _interval(np.subtract(chosen, of_best).tolist()),
                f"{np.mean(np.subtract(chosen, of_each)):+.3f}",
                _interval([t.estimate - t.accuracy(t.chosen) for t in trials]),
                short(best),
                ", ".join(f"{short(name)} ({times})" for name, times in names[:3]),
            ]
        )
    columns = [
        "data",
        "labels",
        "auto (trials)",
        "minus the default",
        "minus the best candidate",
        "minus the best of each trial",
        "estimate minus test",
        "best candidate",
        "most often chosen",
    ]
    return formatting.markdown_table(columns, lines)


def accuracies() -> str:
    """Return the table of the mean test accuracy of each candidate."""
    known = {task: read(task) for task in TASKS}
    names = dict.fromkeys(
        one.name for trials in known.values() for trial in trials for one in trial.candidates
    )
    lines = []
    for name in names:
        line = [short(name)]
        for trials in known.values():
            has = trials and name in [one.name for one in trials[0].candidates]
            mean = np.mean([trial.accuracy(name) for trial in trials]) if has else None
            line.append("" if mean is None else f"{mean:.3f}")
        lines.append(line)
    titles = [f"{task.data}, {task.shots}" for task in TASKS]
    return formatting.markdown_table(["candidate", *titles], lines)


def short(name: str) -> str:
    """Return the name of a candidate in fewer words."""
    for words, fewer in SHORTER.items():
        name = name.replace(words, fewer)
    return name


def tables() -> dict[str, str]:
    """Return the tables of the page by name."""
    return {"choices": choices(), "accuracies": accuracies()}


def run() -> None:
    """Measure the trials that have no record yet."""
    import torch

    torch.set_num_threads(1)
    io.make_folder(FOLDER)
    for task in TASKS:
        trials = read(task)
        for seed in range(len(trials), N_TRIALS):
            trials.append(run_trial(task, seed))
            io.write_json(task.path, [asdict(trial) for trial in trials])
            last = trials[-1]
            print(
                f"{task.data} {task.shots} {seed}: {last.chosen} {last.accuracy(last.chosen):.3f}",
                flush=True,
            )


if __name__ == "__main__":
    if sys.argv[1:] == ["runs"]:
        run()
    else:
        pages.update([PAGE], tables, "scripts.auto")
