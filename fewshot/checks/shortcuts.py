"""Find properties other than what an image shows that predict its class.

A classifier that learns from such images may learn the property: the camera, the day or the
background instead of the object. A small decision tree is cross-validated on each property alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
from PIL import Image

from episodes.datasets.decoding.image_formats import quiet_pillow
from fewshot.checks.findings import Finding
from fewshot.checks.inspected import Inspected

KIND = "shortcut"
FEWEST = 8  # images of a class
MOST = 5_000  # images that are used
LEAST = 0.75  # lower end of the interval of the balanced accuracy of a class against the others
MOST_FOLDS = 5
DATE_TAGS = (36867, 306)  # DateTimeOriginal, DateTime
WHAT = {
    "size": "the size of the image in pixels",
    "shape": "the ratio of width to height",
    "file type": "the type of the file",
    "date": "the date on which the photo was taken",
    "colour": "the mean colour",
}


def find(data: Inspected) -> list[Finding]:
    """Return the properties that distinguish some class from the others."""
    labels = data.labels.numpy()
    chosen = np.arange(len(labels))
    if len(labels) > MOST:
        chosen = np.sort(np.random.default_rng(0).permutation(len(labels))[:MOST])
    counts = np.bincount(labels[chosen], minlength=len(data.classes))
    chosen = chosen[counts[labels[chosen]] >= FEWEST]
    if len(np.unique(labels[chosen])) < 2:
        return []
    findings = []
    for name, values in properties(data, chosen):
        scores = {
            way: (score, low)
            for way, score, low in balanced_accuracies(values, labels[chosen])
            if low >= LEAST
        }
        if scores:
            best = max(scores, key=lambda way: scores[way][0])
            others = f" (and {len(scores) - 1} more)" if len(scores) > 2 else ""
            words = (
                f"{WHAT[name]} alone distinguishes class {data.classes[best]}{others} from the "
                f"others: balanced accuracy {scores[best][0]:.2f}, at least {scores[best][1]:.2f}, "
                "where chance is 0.50"
            )
            findings.append(Finding(KIND, (), words, scores[best][0]))
    return findings


def properties(data: Inspected, chosen: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the properties of some images by name, float [m, d], where images differ in them."""
    sizes = data.sizes.numpy()[chosen].astype(float)
    values = {
        "size": sizes,
        "shape": np.log(sizes[:, 1:] / sizes[:, :1]),
        "colour": data.thumbnails[chosen].float().mean((2, 3)).numpy(),
    }
    if data.files is not None:
        files = [data.files[index] for index in chosen.tolist()]
        suffixes = np.array([path.suffix.lower() for path in files])
        values["file type"] = np.unique(suffixes, return_inverse=True)[1][:, None].astype(float)
        values["date"] = np.array([[_date(path)] for path in files])
    for name, columns in values.items():
        if np.ptp(columns, axis=0).any():
            yield name, columns


def _date(path: Path) -> float:
    """Return when a photo was taken, in days; 0 if its file does not say."""
    try:
        with quiet_pillow(), Image.open(path) as image:
            tags = image.getexif()
            tags.update(tags.get_ifd(0x8769))
            text = next((str(tags[tag]) for tag in DATE_TAGS if tag in tags), "")
            return datetime.strptime(text[:19], "%Y:%m:%d %H:%M:%S").timestamp() / 86_400
    except Exception:  # a damaged tag says nothing, whatever the library makes of it
        return 0.0


def balanced_accuracies(
    values: np.ndarray, labels: np.ndarray
) -> Iterator[tuple[int, float, float]]:
    """Yield how well a property distinguishes each class from all others, by cross-validation.

    Args:
        values: float [n, d].
        labels: int [n].

    Yields:
        The class, the balanced accuracy, and the lower end of its 95% interval.
    """
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.tree import DecisionTreeClassifier

    folds = StratifiedKFold(MOST_FOLDS, shuffle=True, random_state=0)
    tree = DecisionTreeClassifier(
        max_leaf_nodes=4, min_samples_leaf=2, class_weight="balanced", random_state=0
    )
    for way in np.unique(labels).tolist():
        is_way = labels == way
        predicted = cross_val_predict(tree, values, is_way, cv=folds)
        recalls = [
            (float((predicted[truth] == is_way[truth]).sum()), int(truth.sum()))
            for truth in (is_way, ~is_way)
        ]
        score = sum(right / n for right, n in recalls) / 2
        # Two images more that are right and two that are wrong: Agresti and Coull, 1998.
        smoothed = [((right + 2) / (n + 4), n + 4) for right, n in recalls]
        variance = sum(share * (1 - share) / n for share, n in smoothed) / 4
        middle = sum(share for share, _ in smoothed) / 2
        yield way, score, middle - 1.96 * variance**0.5
