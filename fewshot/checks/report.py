"""What the checks of a data set found, sorted by severity, as text, JSON or a data frame."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from episodes.datasets.names import readable_line
from fewshot.checks import kinds
from fewshot.checks.findings import Finding, Place
from fewshot.checks.inspected import Inspected
from fewshot.checks.kinds import KINDS, Severity

if TYPE_CHECKING:
    import pandas as pd

EXAMPLES = 3  # findings of a kind that the text shows
HEADINGS: dict[Severity, str] = {
    "serious": "Serious",
    "likely": "Likely faults, to review",
    "note": "Notes on how images look, which may be intended",
}


class Row(TypedDict):
    """A finding as a row of a table, or an object in JSON.

    Keys:
        kind: the kind of fault.
        severity: serious, likely or note.
        image: path or number of the image to remove or correct; empty for the whole data set.
        part: data or against, where the image is.
        other: the images that it is compared with, separated by a line break.
        label: class that the image is in.
        advice: class that it more likely belongs to.
        score: how sure the finding is, from 0 to 1.
        words: a sentence.
    """

    kind: str
    severity: Severity
    image: str
    part: str
    other: str
    label: str
    advice: str
    score: float
    words: str


@dataclass(frozen=True, eq=False)
class Report:
    """What the checks found.

    Attributes:
        data: the data set.
        against: the test set that it was compared with; None without one.
        findings: the worst kind first, and the surest first within a kind.
        seconds: how long it took.
    """

    data: Inspected
    against: Inspected | None
    findings: tuple[Finding, ...]
    seconds: float

    @property
    def is_serious(self) -> bool:
        """Whether something makes results wrong."""
        return any(severity_of(finding) == "serious" for finding in self.findings)

    def counts(self) -> dict[str, int]:
        """Return how many findings there are of each kind that occurs, the worst kind first."""
        result: dict[str, int] = {}
        for finding in self.findings:
            result[finding.kind] = result.get(finding.kind, 0) + 1
        return result

    def of_kind(self, kind: str) -> list[Finding]:
        """Return the findings of one kind."""
        return [finding for finding in self.findings if finding.kind == kind]

    def rows(self) -> list[Row]:
        """Return all findings as rows of a table."""
        return [self._row(finding) for finding in self.findings]

    def to_frame(self) -> pd.DataFrame:
        """Return all findings as a data frame of pandas."""
        import pandas as pd

        return pd.DataFrame(self.rows(), columns=list(Row.__annotations__))

    def to_json(self) -> dict[str, object]:
        """Return the report as JSON."""
        against = self.against
        return {
            "data": self.data.data,
            "images": len(self.data.labels),
            "classes": list(self.data.classes),
            "against": None if against is None else against.data,
            "images_against": 0 if against is None else len(against.labels),
            "serious": self.is_serious,
            "counts": self.counts(),
            "findings": self.rows(),
        }

    def _row(self, finding: Finding) -> Row:
        first = finding.places[0] if finding.places else None
        return Row(
            kind=finding.kind,
            severity=severity_of(finding),
            image=readable_line(first.name) if first else "",
            part=first.part if first else "data",
            other="\n".join(readable_line(place.name) for place in finding.places[1:]),
            label=self.label_of(first) if first else "",
            advice=finding.advice,
            score=round(finding.score, 4),
            words=finding.words,
        )

    def label_of(self, place: Place) -> str:
        """Return the name of the class that an image is in; empty if it is not known."""
        part = self.data if place.part == "data" else self.against
        if part is None or place.position is None:
            return ""
        return part.classes[int(part.labels[place.position])]

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield self.title()
        severity: Severity | None = None
        for kind, number in self.counts().items():
            about = KINDS[kind]
            own = about.severity
            if own != severity:
                severity = own
                yield f"\n{HEADINGS[severity]}:"
            yield f"  {number:,} {heading(kind, number)}"
            yield from (f"    {line(finding)}" for finding in self.of_kind(kind)[:EXAMPLES])
            if number > EXAMPLES:
                yield f"    and {number - EXAMPLES:,} more"
            yield f"    -> {about.remedy}"
        if not self.findings:
            yield "No fault was detected."

    def title(self) -> str:
        """Return what was checked."""
        data, against = self.data, self.against
        classes = "no classes" if data.classes == ("",) else _count(len(data.classes), "class")
        text = f"{data.data}: {_count(len(data.labels), 'image')}, {classes}"
        if against is not None:
            return f"{text}, against {_count(len(against.labels), 'test image')} of {against.data}"
        return text


def severity_of(finding: Finding) -> Severity:
    """Return how serious a finding is."""
    return KINDS[finding.kind].severity


def sorted_findings(findings: list[Finding]) -> tuple[Finding, ...]:
    """Return findings with the worst kind first, and the surest first within a kind."""
    return tuple(sorted(findings, key=lambda one: (kinds.order(one.kind), -one.score)))


def heading(kind: str, number: int) -> str:
    """Return what a number of findings of a kind are called."""
    about = KINDS[kind]
    return about.plural if number != 1 else about.singular


def line(finding: Finding) -> str:
    """Return a finding on one line: the image, unless its name is in the sentence, and the words.

    An image of the test set is marked.
    """
    if not finding.places:
        return finding.words
    first = finding.places[0]
    name = readable_line(first.name)
    is_named = re.search(rf"(^|\s){re.escape(name)}($|[\s,.])", finding.words)
    text = finding.words if is_named else f"{name}: {finding.words}"
    return f"{text} (test set)" if first.part == "against" else text


def _count(n: int, noun: str) -> str:
    plural = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"1 {noun}" if n == 1 else f"{n:,} {plural}"
