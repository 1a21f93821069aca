"""What is predicted for an image, as a line of CSV or JSON."""

from __future__ import annotations

import csv
import json
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

from episodes.datasets.names import readable, readable_line
from fewshot.model.image_listing import NotRead, id_of

SEPARATOR = "|"  # between the classes of a set in a CSV file


class Prediction(NamedTuple):
    """What is predicted for one image. It is stored as JSON, so it is made of plain values.

    Attributes:
        labels: indices of the most probable classes, the most probable first.
        probabilities: their probabilities.
        known: similarity to the nearest class; None for a run.
        refused: whether the image is of none of the classes; None for a run.
        members: indices of the classes of the prediction set; None if none was asked for.
    """

    labels: list[int]
    probabilities: list[float]
    known: float | None = None
    refused: bool | None = None
    members: list[int] | None = None


@dataclass(frozen=True)
class Content:
    """What the lines contain.

    Attributes:
        classes: class names.
        top: how many of the best classes stand in a line.
        knows: whether there are a known score and a refusal.
        sets: whether there are prediction sets.
    """

    classes: tuple[str, ...]
    top: int = 1
    knows: bool = False
    sets: bool = False


class Format(ABC):
    """Lines of text, between a beginning and an end.

    Attributes:
        names_broken: whether files that could not be read have a line.
    """

    names_broken = False

    def __init__(self, content: Content) -> None:
        self.content = content

    @abstractmethod
    def begin(self) -> str:
        """Return what stands before the first line."""

    @abstractmethod
    def line(self, name: str, prediction: Prediction) -> str:
        """Return the line of an image."""

    def broken(self, name: str, reason: str) -> str:
        """Return the line of a file that could not be read."""
        return ""

    def end(self) -> str:
        """Return what stands after the last line."""
        return ""


class Csv(Format):
    """A table with a header.

    Args:
        content: what the lines contain.
        on_terminal: whether it is shown on a terminal, which would obey control characters in
            names. In a file or a pipe the names are those of the files.
    """

    def __init__(self, content: Content, on_terminal: bool = False) -> None:
        super().__init__(content)
        self.shown = readable_line if on_terminal else readable

    def begin(self) -> str:
        content = self.content
        names = ["file", "label", "probability"]
        names += ["known", "refused"] if content.knows else []
        names += ["set"] if content.sets else []
        for rank in range(2, content.top + 1):
            names += [f"label_{rank}", f"probability_{rank}"]
        return _csv(names)

    def line(self, name: str, prediction: Prediction) -> str:
        classes = self.content.classes
        ranked = [
            cell
            for label, share in zip(prediction.labels, prediction.probabilities, strict=True)
            for cell in (self.shown(classes[label]), f"{share:.6f}")
        ]
        cells = [self.shown(name), *ranked[:2]]
        if prediction.known is not None:
            cells += [f"{prediction.known:.6f}", "true" if prediction.refused else "false"]
        if prediction.members is not None:
            members = (self.shown(classes[label]) for label in prediction.members)
            cells.append(SEPARATOR.join(map(_escaped, members)))
        return _csv(cells + ranked[2:])


class Kaggle(Format):
    """A table of the ids, by which files are named, and their classes."""

    def begin(self) -> str:
        return _csv(["id", "label"])

    def line(self, name: str, prediction: Prediction) -> str:
        return _csv([id_of(name), self.content.classes[prediction.labels[0]]])


class JsonLines(Format):
    """A JSON object in each line."""

    names_broken = True

    def begin(self) -> str:
        return ""

    def line(self, name: str, prediction: Prediction) -> str:
        return json.dumps(self._object(name, prediction)) + "\n"

    def broken(self, name: str, reason: str) -> str:
        return json.dumps({"file": readable(name), "error": reason}) + "\n"

    def _object(self, name: str, prediction: Prediction) -> dict[str, Any]:
        classes = self.content.classes
        ranked = [
            {"label": classes[label], "probability": round(share, 6)}
            for label, share in zip(prediction.labels, prediction.probabilities, strict=True)
        ]
        content: dict[str, Any] = {"file": readable(name), **ranked[0]}
        if prediction.known is not None:
            content |= {"known": round(prediction.known, 6), "refused": prediction.refused}
        if prediction.members is not None:
            content["set"] = [classes[label] for label in prediction.members]
        if self.content.top > 1:
            content["top"] = ranked
        return content


class JsonArray(JsonLines):
    """A JSON array with an object in each line."""

    def __init__(self, content: Content) -> None:
        super().__init__(content)
        self.separator = "["

    def begin(self) -> str:
        self.separator = "["
        return ""

    def line(self, name: str, prediction: Prediction) -> str:
        return self._next(super().line(name, prediction))

    def broken(self, name: str, reason: str) -> str:
        return self._next(super().broken(name, reason))

    def end(self) -> str:
        return "\n]\n" if self.separator == "," else "[]\n"

    def _next(self, line: str) -> str:
        start, self.separator = self.separator, ","
        return f"{start}\n{line.rstrip()}"


def format_of(content: Content, out: Path | None, as_json: bool, kaggle: bool) -> Format:
    """Return the format of the output.

    Args:
        content: what the lines contain.
        out: the file to write; None for the standard output.
        as_json: whether the standard output is JSON.
        kaggle: whether ids and classes are asked for.
    """
    if kaggle:
        return Kaggle(content)
    suffix = ".json" if out is None and as_json else "" if out is None else out.suffix.lower()
    if suffix in {".json", ".jsonl"}:
        return JsonArray(content) if suffix == ".json" else JsonLines(content)
    return Csv(content, on_terminal=out is None and sys.stdout.isatty())


def table_of_broken(files: Sequence[NotRead]) -> str:
    """Return a CSV table of the files that could not be read, with the reasons."""
    lines = [_csv(["file", "reason"])]
    return "".join([*lines, *(_csv([readable(name), reason]) for name, reason in files)])


def _escaped(name: str) -> str:
    return name.replace("\\", "\\\\").replace(SEPARATOR, "\\" + SEPARATOR)


def _csv(cells: Sequence[Any]) -> str:
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()
