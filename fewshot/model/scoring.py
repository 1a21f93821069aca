"""How good a classifier is on labelled images that it has not learned from."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from episodes.datasets.names import readable_line
from episodes.datasets.source import few
from fewshot import progress
from fewshot.errors import UserError
from fewshot.evaluation import metrics, statistics
from fewshot.evaluation.statistics import Interval
from fewshot.model import growing, image_listing, predictor, reject
from fewshot.model.image_listing import NotRead
from fewshot.model.labelled_files import LabelledFiles

MOST_CONFUSIONS = 10  # pairs of classes that are listed


class ClassScore(NamedTuple):
    """How many images of a class were classified correctly."""

    name: str
    n_images: int
    correct: int


class Confusion(NamedTuple):
    """How many images of one class were taken for another."""

    true: str
    predicted: str
    times: int


class Refusals(NamedTuple):
    """How many images were refused because they belong to none of the classes.

    Attributes:
        known: images of known classes that were refused.
        accepted_correct: images of known classes that were neither refused nor wrong.
        chosen: share of images of known classes that the threshold was chosen to refuse; 0 if no
            image is refused.
        unknown: images of classes that the classifier does not know.
        unknown_refused: those of them that were refused.
        auroc: probability that an image of a known class has a higher known score than one of an
            unknown class; None without unknown classes.
    """

    known: int
    accepted_correct: int
    chosen: float
    unknown: int
    unknown_refused: int
    auroc: float | None


@dataclass(frozen=True)
class Evaluation:
    """How good a classifier is on some labelled images.

    Attributes:
        n_images: images of the classes that it knows.
        accuracy: share of them that it classifies correctly, if none are refused.
        interval: its 95% interval over images.
        ece: expected calibration error.
        classes: score of each class that has images.
        confused: the pairs of classes that are confused most often, the most frequent first.
        refusals: None for a run, which refuses nothing.
        unknown_classes: classes of the images that it does not know.
        untested: its classes without images.
        left_out: files that could not be read.
        n_learned_from: images that the classifier has learned from; 0 for a run, which cannot say.
    """

    n_images: int
    accuracy: float
    interval: Interval
    ece: float
    classes: tuple[ClassScore, ...]
    confused: tuple[Confusion, ...]
    refusals: Refusals | None
    unknown_classes: tuple[str, ...]
    untested: tuple[str, ...]
    left_out: tuple[NotRead, ...]
    n_learned_from: int

    def to_json(self) -> dict[str, Any]:
        """Return the evaluation as plain JSON values."""
        content = asdict(self)
        content["interval"] = list(self.interval)
        content["classes"] = [one._asdict() for one in self.classes]
        content["confused"] = [one._asdict() for one in self.confused]
        content["refusals"] = None if self.refusals is None else self.refusals._asdict()
        content["left_out"] = [one._asdict() for one in self.left_out]
        return content

    def __str__(self) -> str:
        lines = [
            f"accuracy: {self.accuracy:.1%} of {_images(self.n_images)} (95% interval "
            f"{self.interval.text('.1f', 100)}%)",
            f"expected calibration error: {self.ece:.3f}",
        ]
        if self.n_learned_from:
            lines.insert(
                0,
                f"the classifier has learned from {_images(self.n_learned_from)} of these: the "
                "numbers are too high; evaluate it on images that it has not seen",
            )
        lines += [] if self.refusals is None else _of_refusals(self.refusals, self.n_images)
        width = max(len(one.name) for one in self.classes)
        lines += ["classes:"]
        for name, n, correct in self.classes:
            lines.append(f"  {name:<{width}}  {correct / n:6.1%}  ({correct} of {n})")
        if self.confused:
            lines += ["most often confused:"]
            lines += [
                f"  {true} taken for {predicted}: {times}"
                for true, predicted, times in self.confused
            ]
        for names, what in (
            (self.unknown_classes, "not classes of the classifier"),
            (self.untested, "classes without images here"),
        ):
            if names:
                lines.append(f"{what}: {few(list(names))}")
        if self.left_out:
            n, files = len(self.left_out), image_listing.summary(self.left_out)
            lines.append(f"left out {n:,}: {files}")
        return "\n".join(map(readable_line, lines))


def evaluate(
    place: Path, data: str, *, seed: int | None = None, device: str | None = None
) -> Evaluation:
    """Evaluate a model or a run on labelled images; their classes are matched by name.

    Images of classes that the classifier does not know count for its refusals alone.

    Args:
        place: a model file, or the folder of a run.
        data: a folder or file of labelled images, or the name of a data set. Its test part is
            used if it has one.
        seed: trial of the run; None for the first.
        device: cpu, cuda and so on; None for a GPU if there is one.

    Raises:
        UserError: a file is missing or broken, or no image is of a class of the classifier.
    """
    progress.update("loading the classifier")
    ready = predictor.load(place, seed, device)
    files = LabelledFiles(data, test=True)
    label_of = files.labels_among(ready.classes)
    if all(label is None for label in label_of):
        raise UserError(
            f"{data} has images of {few(list(files.classes))}, and none of the classes of {place}: "
            f"{few(list(ready.classes))}; give the folders the names of these classes."
        )
    new_labels = torch.tensor([-1 if label is None else label for label in label_of])
    logits, labels, known, n_learned_from = [], [], [], 0
    for chunk in files.chunks(ready.decoding):
        for pixels in chunk.pixels.split(ready.batch_size):
            predicted = ready.classify(pixels.numpy())
            logits.append(predicted.logits)
            if predicted.known is not None:
                known.append(predicted.known)
            if ready.model is not None and predicted.features is not None:
                numbers = growing.learned_from(ready.model, predicted.features)
                n_learned_from += int((numbers >= 0).sum())
        labels.append(new_labels[chunk.labels])
    if not logits or not (torch.cat(labels) >= 0).any():
        raise UserError(
            f"{data} has no image of a class of {place} that can be read: "
            f"{image_listing.summary(files.left_out)}."
        )
    rejection = None if ready.model is None else ready.model.rejection
    refusals = None
    if rejection is not None:
        share = rejection.share if rejection.threshold > reject.NOTHING else 0.0
        refusals = _refusals(
            torch.cat(logits), torch.cat(labels), torch.cat(known), rejection.threshold, share
        )
    return _evaluation(
        torch.cat(logits),
        torch.cat(labels),
        ready.classes,
        refusals,
        tuple(name for name, at in zip(files.classes, label_of, strict=True) if at is None),
        tuple(files.left_out),
        n_learned_from,
    )


def _evaluation(
    logits: Tensor,
    labels: Tensor,
    classes: tuple[str, ...],
    refusals: Refusals | None,
    unknown_classes: tuple[str, ...],
    left_out: tuple[NotRead, ...],
    n_learned_from: int,
) -> Evaluation:
    """Score logits [n, n_way] against labels [n], of which -1 is no class."""
    is_known = labels >= 0
    scores = metrics.scores(logits[is_known], labels[is_known])
    n_images = int(is_known.sum())
    confusion = scores.confusion
    totals = [sum(row) for row in confusion]
    pairs = [
        Confusion(classes[i], classes[j], times)
        for i, row in enumerate(confusion)
        for j, times in enumerate(row)
        if i != j and times
    ]
    pairs.sort(key=lambda pair: -pair.times)
    return Evaluation(
        n_images=n_images,
        accuracy=scores.accuracy,
        interval=statistics.summary([scores.accuracy]).with_test_images(n_images),
        ece=scores.ece,
        classes=tuple(
            ClassScore(name, n, confusion[i][i])
            for i, (name, n) in enumerate(zip(classes, totals, strict=True))
            if n
        ),
        confused=tuple(pairs[:MOST_CONFUSIONS]),
        refusals=refusals,
        unknown_classes=unknown_classes,
        untested=tuple(name for name, n in zip(classes, totals, strict=True) if not n),
        left_out=left_out,
        n_learned_from=n_learned_from,
    )


def _refusals(
    logits: Tensor, labels: Tensor, known: Tensor, threshold: float, share: float
) -> Refusals:
    is_known, refused = labels >= 0, known < threshold
    auroc = None
    if not is_known.all():
        from sklearn.metrics import roc_auc_score

        auroc = float(roc_auc_score(is_known.numpy(), known.numpy()))
    return Refusals(
        known=int((is_known & refused).sum()),
        accepted_correct=int((is_known & ~refused & (logits.argmax(1) == labels)).sum()),
        chosen=share,
        unknown=int((~is_known).sum()),
        unknown_refused=int((~is_known & refused).sum()),
        auroc=auroc,
    )


def _of_refusals(refusals: Refusals, n_images: int) -> list[str]:
    if not refusals.chosen:
        line = "refused: none, because the classifier refuses no image"
    else:
        line = (
            f"refused: {refusals.known / n_images:.1%} of the images of known classes "
            f"({refusals.chosen:.0%} was chosen)"
        )
    lines = []
    if refusals.unknown:
        share = refusals.unknown_refused / refusals.unknown
        line += f", and {share:.1%} of {_images(refusals.unknown)} of other classes"
        lines = [f"known score: AUROC {refusals.auroc:.3f} between known and other classes"]
    accepted = n_images - refusals.known
    if accepted:
        correct = refusals.accepted_correct / accepted
        lines.append(f"accuracy without refused images: {correct:.1%} of {_images(accepted)}")
    return [line, *lines]


def _images(n: int) -> str:
    return f"{n:,} image{'' if n == 1 else 's'}"
