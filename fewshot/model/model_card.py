"""What a model file is, in words, for `fewshot show`; imports neither torch nor numpy."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from episodes.datasets.names import readable_line
from fewshot.model import model_header
from fewshot.model.card import Card


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
        reject: share of images of known classes that may be refused.
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

    Raises:
        UserError: there is no such file, it is not a model file, it is damaged, or a newer version
            wrote it.
    """
    header = model_header.read(path)
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
        reject=about.reject,
        n_bytes=header.n_bytes,
        fingerprint=header.fingerprint,
    )


def text(model_file: ModelFile) -> str:
    """Return the card of a model in lines of plain text."""
    card = model_file.card
    lines = [f"{model_file.path}: {len(model_file.classes)} classes, {_size(model_file)}"]
    lines += [f"  {name}: {_images(n)}" for name, n in card.class_counts.items()]
    lines += [f"quality: {_quality(card)}", f"method: {card.method}{_choice(card)}"]
    lines += [f"weights: {line}" for line in _origins(model_file)]
    lines += [f"data: {card.data}; made on {card.created[:10]} with fewshot {card.version}"]
    lines += [f"licence: {card.licence}"] if card.licence else []
    lines += [f"note: {note}" for note in (*card.notes, *card.forecast)]
    return _joined(lines)


def markdown(model_file: ModelFile) -> str:
    """Return the card of a model as a page in Markdown."""
    card = model_file.card
    lines = [f"# {model_file.path.name}", "", f"{_quality(card)[:1].upper()}{_quality(card)[1:]}."]
    lines += ["", "| class | labelled images |", "| --- | --- |"]
    lines += [f"| {_cell(name)} | {n} |" for name, n in card.class_counts.items()]
    lines += ["", f"- Method: {card.method}{_choice(card)}"]
    lines += [f"- Weights: {line}" for line in _origins(model_file)]
    lines += [f"- Data: {card.data}; made on {card.created[:10]} with fewshot {card.version}"]
    lines += [f"- Size: {_size(model_file)}"]
    lines += [f"- Licence: {card.licence}"] if card.licence else []
    lines += [f"- Note: {note}" for note in (*card.notes, *card.forecast)]
    return _joined(lines)


def _joined(lines: list[str]) -> str:
    """Return lines as one text; a name in a file that somebody else made cannot move the cursor."""
    return "\n".join(map(readable_line, lines)) + "\n"


def to_json(model_file: ModelFile) -> dict[str, Any]:
    """Return the card of a model, and what its file says, as plain JSON values."""
    return {**asdict(model_file), "path": str(model_file.path)}


def _size(model_file: ModelFile) -> str:
    where = "inside" if model_file.weights_inside else "not inside"
    return f"{model_file.n_bytes / 1e6:.1f} MB, {model_file.network} {where}"


def _images(n: int) -> str:
    return f"{n} image" if n == 1 else f"{n} images"


def _choice(card: Card) -> str:
    return f" ({card.choice})" if card.choice else ""


def _quality(card: Card) -> str:
    """Return how good the classifier is, in words."""
    quality = card.quality
    if quality.accuracy is None:
        return "not measured, because that takes at least two labelled images of a class"
    interval = ""
    if quality.low is not None and quality.high is not None:
        interval = f", and with 95% confidence between {quality.low:.0%} and {quality.high:.0%}"
    confused = ""
    if quality.confused is not None:
        first, second, n = quality.confused
        confused = f"; {first} and {second} are confused most often ({n} times)"
    return (
        f"{quality.accuracy:.0%} of new images right, by cross-validation of "
        f"{quality.n_images} labelled images{interval}{confused}"
    )


def _origins(model_file: ModelFile) -> list[str]:
    """Return a line for the weights of each network."""
    return [
        f"{origin.weights}, from {origin.source}, licence {origin.licence or 'unknown'}"
        for origin in model_file.card.origins
    ]


def _cell(name: str) -> str:
    return name.replace("|", "\\|")
