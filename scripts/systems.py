"""Table of the few-shot learners of study kshot: trained, not trained, and as reported.

A reported number stands beside learners that were trained as the report names them. The scripts
`readme` and `learners` write the table.
"""

from __future__ import annotations

from typing import NamedTuple

from fewshot import io
from fewshot.report import formatting
from fewshot.runs import records
from fewshot.runs.run_record import RunRecord
from fewshot.studies.schema import MEASURED
from scripts import names
from scripts.pages import RECORDS

SHOTS = (1, 4, 16)
REPORTED_SHOTS = 16  # assumed: study kshot does not state its number of labels per class
FOLDERS = ("learners", "main", "meta")  # those that do not exist yet are left out


class System(NamedTuple):
    """A row of study kshot: its learner, the words of the slides and the accuracy they state."""

    row: str
    method: str
    words: str
    accuracy: float


SYSTEMS = (
    System("K9", "protonet", "prototypical network", 0.46),
    System("K10", "siamese", "siamese network", 0.51),
    System("K11", "maml", "MAML", 0.14),
)


def table(*, in_full: bool = True) -> str:
    """Return what ran of K9 to K11, the trained systems first.

    Args:
        in_full: whether to show every system that has records, or of the trained ones only those
            that began with random weights and are no variant of their method.
    """
    rows = []
    for system in SYSTEMS:
        kinds = sorted(of_method(system).items(), key=lambda kind: _order(kind[1]))
        rows += [
            _row(system, words, by_shots)
            for words, by_shots in kinds
            if in_full or _is_plain(words, by_shots)
        ]
    columns = ["row", "what ran here", *map(str, SHOTS), "reported", "difference"]
    return (
        f"{formatting.markdown_table(columns, rows)}\n\nAccuracy in percent on the 10,000 test "
        f"images of CIFAR-10 with {formatting.joined([*map(str, SHOTS)])} labels per class: mean ± "
        "half of the 95% interval (number of trials). The report, a set of slides, states one "
        "number for each system, but not the network, its initial weights or the number of labels; "
        f"{REPORTED_SHOTS} is assumed. It is shown beside learners that were trained as the slides "
        "name them, and not beside the untrained ones, which are other classifiers. "
        "All meta-trainings on other classes, also those from pretrained weights, are in "
        f"`reports/meta.md`. {names.sentence()}"
    )


def of_method(system: System) -> dict[str, dict[int, RunRecord]]:
    """Return what ran, in words -> labels per class -> the record with the most trials."""
    kinds: dict[str, dict[int, RunRecord]] = {}
    for record, words in sorted(_records(system), key=lambda pair: len(pair[0].seeds)):
        if record.method == system.method and record.shots in SHOTS and record.data == "cifar10":
            kinds.setdefault(words, {})[record.shots] = record
    return kinds


def _records(system: System) -> list[tuple[RunRecord, str]]:
    """Return records with what ran in words; those that trained in the study say so."""
    places = [RECORDS / name for name in FOLDERS if (RECORDS / name).is_dir()]
    listed = [
        (record, formatting.network(record))
        for _, record in records.load(places)
        if record.preset != "full" and not _is_of_meta_page_alone(record)
    ]
    folders = [RECORDS / "kshot" / scale / system.row for scale in MEASURED]
    for path in (path for folder in folders for path in sorted(folder.glob("*.json"))):
        result = io.read_json(path)
        if result["status"] != "done":
            continue
        record = RunRecord.from_json(result["record"])
        if not formatting.is_untrained(record):
            words = f"{formatting.network(record)}, with the slides' learning rate"
            listed.append((record, words))
    return listed


def _is_of_meta_page_alone(record: RunRecord) -> bool:
    """Return whether a record is the untrained side of a row of reports/meta.md."""
    return record.preset.startswith("meta") and formatting.is_untrained(record)


def _is_plain(words: str, by_shots: dict[int, RunRecord]) -> bool:
    """Return whether a system ran without training, or as its paper has it: from random weights."""
    record = by_shots[max(by_shots)]
    is_variant = words.startswith(f"{record.method} (")
    return formatting.is_untrained(record) or (record.weights == "none" and not is_variant)


def _order(by_shots: dict[int, RunRecord]) -> tuple[bool, float]:
    """Sort trained systems before others, and the most accurate first."""
    most = by_shots[max(by_shots)]
    return formatting.is_untrained(most), -most.scores["accuracy"].mean


def _row(system: System, words: str, by_shots: dict[int, RunRecord]) -> list[str]:
    accuracies = [formatting.percent(by_shots.get(shots)) for shots in SHOTS]
    compared = by_shots.get(REPORTED_SHOTS)
    beside = ["", ""]
    if not formatting.is_untrained(by_shots[max(by_shots)]):
        beside[0] = f"{100 * system.accuracy:.0f}"
        if compared is not None:
            gap = 100 * (compared.scores["accuracy"].mean - system.accuracy)
            beside[1] = f"{gap:+.1f}"
    return [f"{system.row}, {system.words}", words, *accuracies, *beside]
