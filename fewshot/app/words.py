"""What the page says about the labelled photos and about an answer, in sentences and HTML."""

from __future__ import annotations

from html import escape

from episodes.datasets.source import few
from fewshot.app.answers import Answer
from fewshot.app.session import Added, Session
from fewshot.model import image_listing
from fewshot.model.card import Card

NONE_OF_THEM = "none of the classes"
BEGIN = "Add photos of two or more classes; the accuracy will then appear here."

NO_MODEL = "The model and the predictions can be saved once two classes have photos."
OF_MODEL = """
<a href="download/model.fewshot" download>Model <small>model.fewshot: use it with
<code>fewshot predict</code> or <code>FewShotClassifier.load</code></small></a>
<a href="download/predictions.csv" download>Predictions <small>predictions.csv: a row for each
photo without a label</small></a>
"""
OF_LABELS = """
<a href="download/labels.csv" download>Labels <small>labels.csv: use it with
<code>fewshot fit labels.csv</code></small></a>
"""


def status(session: Session) -> str:
    """Return the state of a session as HTML: how many photos, and how good the classifier is."""
    classifier = session.classifier()
    n_classes, n_labelled, n_pile = (
        len(session.classes),
        len(session.labelled),
        len(session.pile),
    )
    if session.base is not None:
        n_labelled += len(session.base.support.labels)
    tiles = [
        (f"{n_classes:,}", "class" if n_classes == 1 else "classes"),
        (f"{n_labelled:,}", "labelled"),
        (f"{n_pile:,}", "without a label"),
    ]
    numbers = "".join(f"<div><b>{number}</b><span>{what}</span></div>" for number, what in tiles)
    sentences = [BEGIN] if classifier is None else accuracy(classifier.card)
    first, rest = escape(sentences[0]), escape(" ".join(sentences[1:]))
    more = f"<details><summary>How this is known</summary>{rest}</details>" if rest else ""
    return f'<div class="tiles">{numbers}</div><p class="accuracy">{first}</p>{more}'


def downloads(session: Session) -> str:
    """Return the links to what can be saved, as HTML, or why there is nothing to save yet."""
    links = f"<p>{NO_MODEL}</p>" if session.classifier() is None else OF_MODEL
    return f'<div class="downloads">{links}{OF_LABELS if session.labelled else ""}</div>'


def accuracy(card: Card) -> list[str]:
    """Return how good a classifier is, and how sure that is, in sentences."""
    quality = card.quality
    if quality.accuracy is None or quality.low is None or quality.high is None:
        return list(card.forecast)
    n, n_right = quality.n_images, round(quality.accuracy * quality.n_images)
    sentences = [
        f"Between {100 * quality.low:.0f}% and {100 * quality.high:.0f}% of new photos will get "
        "the right class (95% confidence).",
        f"This comes from cross-validation: {n_right} of {n} labelled photos were classified "
        "correctly by models that had not seen them.",
    ]
    if quality.confused is not None:
        first, second, n = quality.confused
        times = "once" if n == 1 else f"{n} times"
        sentences.append(f"{first} and {second} were confused most often ({times}).")
    return [*sentences, *card.forecast, *(f"Note: {note}." for note in card.notes)]


def answer(classes: tuple[str, ...], one: Answer) -> str:
    """Return the answer for a photo in a line of text."""
    best = classes[one.labels[0]]
    text = f"{best} ({one.probabilities[0]:.0%})"
    if len(one.labels) > 1:
        text += f", then {classes[one.labels[1]]} ({one.probabilities[1]:.0%})"
    if one.refused:
        text = f"probably {NONE_OF_THEM}; the nearest is {text}"
    return f"{text}; known score {one.known:.2f}"


def added(result: Added) -> str:
    """Return what came of adding files, in a sentence."""
    n = result.added
    text = f"{n:,} photo{'' if n == 1 else 's'} added"
    if result.known:
        text += f"; there already: {few(result.known)}"
    if result.broken:
        text += f"; left out {len(result.broken):,}: {image_listing.summary(result.broken)}"
    return f"{text}."
