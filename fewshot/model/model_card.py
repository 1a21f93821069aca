"""What a model file is, in words, for `fewshot show`; imports neither torch nor numpy."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from episodes.datasets.names import readable_line
from fewshot.config.origins import Origin
from fewshot.model import hub, model_header
from fewshot.model.card import Card

LOWEST_COSINE = -1.0  # a threshold that refuses nothing


@dataclass(frozen=True)
class ModelFile:
    """What the first part of a model file says.

    Attributes:
        path: the file.
        format_version: version of the format.
        card: how the classifier was made, how good it is, and where its parts are from.
        classes: class names, in the order of the logits.
        network: name of the network.
        side: side in pixels to which images are decoded.
        weights_inside: whether the weights of the network are in the file.
        n_images: labelled images whose features are in the file.
        reject: share of images of known classes that may be refused; 0 if no image is refused.
        n_bytes: size of the file.
        fingerprint: hash of all that decides what the classifier answers.
    """

    path: Path
    format_version: int
    card: Card
    classes: tuple[str, ...]
    network: str
    side: int
    weights_inside: bool
    n_images: int
    reject: float
    n_bytes: int
    fingerprint: str


def read(path: Path) -> ModelFile:
    """Read the first part of a model file.

    Args:
        path: the file, or hf:user/name for the one in a repository of the hub.

    Raises:
        UserError: there is no such file, it is not a model file, it is damaged, or a newer version
            wrote it.
    """
    header = model_header.read(hub.local_file(path))
    about = header.about
    return ModelFile(
        path=path,
        format_version=about.format_version,
        card=about.card,
        classes=about.classes,
        network=about.backbone.full_name,
        side=about.decoding.size,
        weights_inside=about.weights_inside,
        n_images=len(about.image_names),
        reject=about.reject if about.threshold > LOWEST_COSINE else 0.0,
        n_bytes=header.n_bytes,
        fingerprint=header.fingerprint,
    )


def text(model_file: ModelFile) -> str:
    """Return the card of a model in lines of plain text.

    A name in a file that somebody else made cannot move the cursor of a terminal.
    """
    card = model_file.card
    n_classes, n_images = len(model_file.classes), sum(card.class_counts.values())
    lines = [f"{model_file.path}: {n_classes} classes, from {n_images} labelled images"]
    lines += [f"  {name}: {_images(n)}" for name, n in card.class_counts.items()]
    facts = [("quality", quality_in_words(card)), *facts_of_making(model_file)]
    facts += [("unknown images", _refusals(model_file.reject))]
    facts += [("note", note) for note in card.notes]
    facts += [("forecast", sentence) for sentence in card.forecast]
    lines += [f"{key}: {value}" for key, value in facts]
    return "\n".join(map(readable_line, lines)) + "\n"


def to_json(model_file: ModelFile) -> dict[str, Any]:
    """Return the card of a model, and what its file says, as plain JSON values."""
    return {**asdict(model_file), "path": str(model_file.path)}


def facts_of_making(model_file: ModelFile) -> list[tuple[str, str]]:
    """Return how a model was made, each fact with its heading."""
    card = model_file.card
    where = "inside the file" if model_file.weights_inside else "not inside the file"
    facts = [
        ("method", f"{card.method}; {card.choice}" if card.choice else card.method),
        ("network", f"{model_file.network} on {model_file.side} pixels, {where}"),
    ]
    facts += [("weights", _origin(origin)) for origin in card.origins]
    facts += [
        ("data", f"{card.data}, fingerprint {card.data_fingerprint[:12] or 'unknown'}"),
        ("made", f"{card.created[:10]} with fewshot {card.version}, in {card.seconds:.0f} s"),
        ("size", f"{model_file.n_bytes / 1e6:.1f} MB, format {model_file.format_version}"),
    ]
    return facts


def _refusals(share: float) -> str:
    return f"refuses about {share:.0%} of images of these classes" if share else "refuses none"


def _images(n: int) -> str:
    return f"{n} image" if n == 1 else f"{n} images"


def quality_in_words(card: Card) -> str:
    """Return how good the classifier is, in words."""
    quality = card.quality
    if quality.accuracy is None:
        return "not measured, because that takes a class with two labelled images or more"
    interval = ""
    if quality.low is not None and quality.high is not None:
        interval = f" (95% interval {quality.low:.0%} to {quality.high:.0%})"
    words = (
        f"{quality.accuracy:.0%} of new images classified correctly{interval}, by "
        f"{quality.n_folds}-fold cross-validation of {quality.n_images} labelled images"
    )
    if quality.ece is not None:
        words += f"; probabilities are off by {quality.ece:.1%} on average (ECE)"
    if quality.confused is not None:
        first, second, n = quality.confused
        times = "once" if n == 1 else f"{n} times"
        words += f"; {first} and {second} are confused most often ({times})"
    if single := [name for name, n in card.class_counts.items() if n == 1]:
        words += f"; not tested, for lack of a second image: {', '.join(single)}"
    return words


def _origin(origin: Origin) -> str:
    known = [part for part in (origin.source, origin.licence) if part]
    return f"{origin.weights} ({'; '.join(known)})" if known else origin.weights
