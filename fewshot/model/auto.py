"""Choose how to learn, by cross-validation of the labelled images alone.

Heads on the frozen features of the default network come first, then those on another network, then
trainings, each only if it fits into the time. What is slower has to be better by a margin. A
training is given up after its first fold if it is worse there by more than chance.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from episodes import subsets
from episodes.types import ImageSet
from fewshot import progress
from fewshot.config import BackboneSettings
from fewshot.config.fitting import FitConfig
from fewshot.errors import Diverged
from fewshot.heads import calibration
from fewshot.model import candidates, comparing, heads, training, training_folds
from fewshot.model.candidates import Candidate, Network
from fewshot.model.classifier import Recipe
from fewshot.model.comparing import Score, Split
from fewshot.model.heads import OutOfFold
from fewshot.runs import calibrating, checks

COMPARED_IMAGES = 2000  # labelled images that are compared on, at most
SHORT = "demo"  # preset of a training that takes seconds
BACKWARD = 3  # times the arithmetic of a forward pass


class Compared(NamedTuple):
    """A candidate, and how good it is on held-out images."""

    candidate: Candidate
    score: Score


@dataclass
class Comparison:
    """What was compared.

    Attributes:
        images: all labelled images.
        rows: those that are compared on, int64 [n].
        settings: how to fit.
        device: cpu, cuda and so on.
        compared: what was compared, in the order of its cost.
        left_out: what was not, each with the reason.
        best: the choice so far.
        held_out: predictions of each training for the images of its folds, by its name.
    """

    images: ImageSet
    rows: Tensor
    settings: FitConfig
    device: str
    compared: list[Compared] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    best: Compared | None = None
    held_out: dict[str, OutOfFold] = field(default_factory=dict)
    started: float = field(default_factory=time.perf_counter)

    @property
    def seconds_left(self) -> float:
        """The rest of the time for the comparison."""
        return self.settings.seconds - (time.perf_counter() - self.started)

    @property
    def labels(self) -> Tensor:
        """Labels of the images that are compared on, int64 [n]."""
        return self.images.labels[self.rows]

    @property
    def clusters(self) -> Tensor | None:
        """Clusters of the images that are compared on, int64 [n]."""
        return None if self.images.clusters is None else self.images.clusters[self.rows]

    def coordinates(self, network: Network) -> Tensor:
        """Return features of the images that are compared on, for heads alone."""
        return candidates.with_small_coordinates(network.features[self.rows])

    def recipe(self, recipe: Recipe) -> Recipe:
        """Return a recipe under the prior and with the seed of the settings."""
        return recipe._replace(prior=self.settings.prior, seed=self.settings.seed)

    def score(self, predictions: OutOfFold) -> Score:
        """Score predictions for held-out images, under the prior."""
        counts = self.labels.bincount(minlength=len(self.images.classes))
        expected = calibration.frequencies(self.settings.prior, self.images.classes, counts)
        weights = calibration.image_weights(predictions.labels, expected)
        return comparing.score(predictions.logits, predictions.labels, weights)

    def predict(self, candidate: Candidate, rows: Tensor, splits: Sequence[Split]) -> OutOfFold:
        """Return what a head on frozen features predicts for held-out images."""
        n_way = len(self.images.classes)
        return heads.on_splits(
            rows, self.labels, n_way, candidate.recipe, self.images.classes, splits
        )

    def add_heads(self, network: Network, recipes: Sequence[Recipe] = candidates.RECIPES) -> None:
        """Compare heads on the features of a network, which has to be better by the margin."""
        splits = comparing.splits(self.labels, self.clusters, self.settings.seed)
        rows = self.coordinates(network)
        group = []
        for recipe in recipes:
            candidate = candidates.on_frozen(network, self.recipe(recipe))
            progress.update(f"comparing: {candidate.name}")
            score = self.score(self.predict(candidate, rows, splits))
            group.append(Compared(candidate, score))
        self.compared += group
        self._take(min(group, key=lambda one: one.score.loss))

    def _take(self, new: Compared, old: Score | None = None) -> None:
        """Choose something slower if it is better than the best so far by the margin.

        Args:
            new: what is slower.
            old: score of the best on the same images; None if it is that of the best.
        """
        best = None if self.best is None else old or self.best.score
        if best is None or new.score.loss < best.loss * (1 - self.settings.least_gain):
            self.best = new

    def add_training(self, candidate: Candidate, seconds: float) -> None:
        """Compare a training on the folds, if there is time for it."""
        splits = list(
            calibrating.folds(
                self.labels, self.clusters, self.settings.seed, comparing.TRAINING_FOLDS
            )
        )
        total = seconds * (len(splits) + 1)
        if total > self.seconds_left:
            self.left_out.append(f"{candidate.name} (no time: about {progress.duration(total)})")
            return
        try:
            predictions = self._trained_on_folds(candidate, splits)
        except Diverged:
            self.left_out.append(f"{candidate.name} (it diverged)")
            return
        if predictions is None:
            return
        on_same = self.score_of_best(splits)
        self.held_out[candidate.name] = predictions
        new = Compared(candidate, self.score(predictions))
        self.compared.append(new)
        self._take(new, on_same)

    def _trained_on_folds(self, candidate: Candidate, splits: Sequence[Split]) -> OutOfFold | None:
        """Return what trainings without each fold predict for it; None if the first is hopeless."""
        logits: list[Tensor] = []
        of_images = [(self.rows[inside], self.rows[outside]) for inside, outside in splits]
        for fold in training_folds.logits(candidate, self.images, of_images, self.device):
            logits.append(fold)
            if len(logits) == 1 and self._is_hopeless(fold, splits[0]):
                self.left_out.append(f"{candidate.name} (worse on its first fold)")
                return None
        at = torch.cat([outside for _, outside in splits])
        return OutOfFold(torch.cat(logits), self.labels[at], at, len(splits))

    def _is_hopeless(self, logits: Tensor, split: Split) -> bool:
        """Return whether a training is worse on a fold than the best so far, beyond chance."""
        new = self.score(OutOfFold(logits, self.labels[split[1]], split[1], 1))
        return comparing.is_hopeless(new, self.score_of_best([split]))

    def score_of_best(self, splits: Sequence[Split]) -> Score:
        """Score the best so far on the folds of a training, or on the first of them.

        All trainings have the same folds in the same order.
        """
        assert self.best is not None
        best = self.best.candidate
        if best.network is not None:
            return self.score(self.predict(best, self.coordinates(best.network), splits))
        held_out, n = self.held_out[best.name], sum(len(outside) for _, outside in splits)
        return self.score(
            OutOfFold(held_out.logits[:n], held_out.labels[:n], held_out.positions[:n], len(splits))
        )

    def sentence(self) -> str:
        """Return what was chosen, why, and how close the next was."""
        assert self.best is not None
        rest = [one for one in self.compared if one.candidate is not self.best.candidate]
        text = f"{_scored(self.best)} was chosen among {len(self.compared)} methods by log-loss"
        if rest:
            text += f"; the next is {_scored(min(rest, key=lambda one: one.score.loss))}"
        if self.left_out:
            text += f". Not compared, or not to the end: {'; '.join(self.left_out)}"
        return text + "."


def _scored(one: Compared) -> str:
    return (
        f"{one.candidate.name} (log-loss {one.score.loss:.3f}, accuracy {one.score.accuracy:.3f})"
    )


def compared_rows(images: ImageSet) -> Tensor:
    """Return the labelled images to compare on: all, or of many a part of each class.

    Each class has two images if it can, one to hold out and one to learn from.
    """
    if len(images) <= COMPARED_IMAGES:
        return torch.arange(len(images))
    labels, classes = images.labels, images.classes
    share = COMPARED_IMAGES / len(images)
    part = subsets.fraction(labels, len(classes), share, seed=0)
    at_most_two = labels.bincount(minlength=len(classes)).clamp_max(2).tolist()
    numbers = dict(zip(classes, at_most_two, strict=True))
    return torch.cat([part, subsets.shots(labels, classes, 2, 0, numbers)]).unique()


def can_compare(images: ImageSet) -> bool:
    """Return whether most classes have an image to hold out."""
    counts = images.labels.bincount(minlength=len(images.classes))
    return int((counts > 1).sum()) >= max(2, len(counts) / 2)


def compare(first: Network, images: ImageSet, settings: FitConfig, device: str) -> Comparison:
    """Compare ways to learn.

    Args:
        first: the default network, or the one that the user names, which is then the only one.
        images: the labelled images.
        settings: how to fit.
        device: cpu, cuda and so on.
    """
    comparison = Comparison(images, compared_rows(images), settings, device)
    comparison.add_heads(first)
    if settings.backbone is None:
        for other in candidates.others(first.settings):
            _add_if_there_is_time(comparison, other)
    for candidate, seconds in _trainings(comparison, first):
        comparison.add_training(candidate, seconds)
    return comparison


def fine_tuned(first: Network, images: ImageSet, settings: FitConfig, device: str) -> Comparison:
    """Compare fine-tuning of a network with the probe that it starts from, whatever it takes."""
    settings = settings.model_copy(update={"seconds": math.inf, "least_gain": 0.0})
    comparison = Comparison(images, compared_rows(images), settings, device)
    comparison.add_heads(first, candidates.RECIPES[:1])
    comparison.add_training(_fine_tuning(comparison, first), 0.0)
    return comparison


def _add_if_there_is_time(comparison: Comparison, settings: BackboneSettings) -> None:
    images, device = comparison.images, comparison.device
    if not images.mirror:
        settings = checks.without_mirrored_views(settings)
    backbone = candidates.build(settings, device)
    seconds = len(images) * candidates.seconds_per_image(backbone, images, device)
    if seconds > comparison.seconds_left:
        comparison.left_out.append(
            f"heads on {settings.full_name} (no time: about {progress.duration(seconds)})"
        )
        return
    progress.update(f"computing features of {settings.full_name}")
    comparison.add_heads(candidates.network(settings, images, device))


def short_training(comparison: Comparison) -> Candidate:
    """Return a training from random weights that takes seconds."""
    return _from_random_weights(comparison, SHORT)


def _from_random_weights(comparison: Comparison, preset: str | None) -> Candidate:
    settings = comparison.settings
    made = training.configured("scratch", comparison.images, None, preset)
    one = training.Training(made, comparison.device, settings.seed)
    return candidates.by_training(one, comparison.recipe(candidates.RECIPES[0]))


def _fine_tuning(comparison: Comparison, first: Network) -> Candidate:
    settings, device = comparison.settings, comparison.device
    made = training.configured("finetune", comparison.images, first.settings)
    return candidates.by_training(
        training.Training(made, device, settings.seed), comparison.recipe(candidates.RECIPES[0])
    )


def _trainings(comparison: Comparison, first: Network) -> list[tuple[Candidate, float]]:
    """Return trainings and the seconds of each, the shortest first."""
    images, timed = comparison.images, []
    for candidate in (short_training(comparison), _from_random_weights(comparison, None)):
        assert candidate.training is not None
        timed.append((candidate, candidate.training.seconds(images)))
    candidate = _fine_tuning(comparison, first)
    assert candidate.training is not None
    per_image = BACKWARD * first.seconds_per_image / first.backbone.n_views
    timed.append((candidate, candidate.training.n_images(images) * per_image))
    return sorted(timed, key=lambda pair: pair[1])
