"""Numbers exceeded and not reached, against means of the raw records."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import pytest
import yaml

from fewshot.report.studies import reported as reported_numbers
from fewshot.report.studies import results
from tests.fewshot.report.studies.reading import study
from tests.fewshot.study_results import Planned, record

ROOT = Path(__file__).parents[4]


def test_reported_numbers_passed_and_not_reached(
    reported: tuple[Planned, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    planned, saved, _ = reported
    _, first, passed, missed = reported_numbers.against_report(study(planned, saved, "kshot"))
    assert first.sentence == (
        "7 reported accuracies were measured again: 5 exceeded, 2 not reached."
    )
    gain = statistics.fmean(record("maml-16")["scores"]["accuracy"]["values"]) - 0.14
    assert f"K11: by {gain:.4f}, more than its interval" in passed.details
    probe, scratch = (record(f"{name}-16")["scores"]["accuracy"] for name in ("probe", "scratch"))
    less = probe["mean"] - 0.71
    assert missed.sentence == "Not reached:"
    assert missed.details[0] == (
        f'K8 "method probe": {probe["mean"]:.4f} against 0.71 ({less:+.4f} ± {probe["ci95"]:.4f})'
    )
    brief = reported_numbers.in_brief(study(planned, saved, "kshot"))
    assert brief[0].startswith(
        "5 of 7 reported accuracies were exceeded: K8 (2 of 4), K9, K10 and K11"
    )
    assert brief[0].endswith(" 2 were not reached: K8 (2 of 4).")
    assert brief[1].startswith("Scale small uses fewer images, fewer epochs or smaller networks")
    monkeypatch.setattr(reported_numbers, "MOST_MISSED", 1)
    *_, by_row = reported_numbers.against_report(study(planned, saved, "kshot"))
    assert by_row.details == [
        f"K8: 2 of 4, by {-less:.4f} to {0.5 - scratch['mean']:.4f} (all by more than the interval)"
    ]


# The report's network where another one ran; rows that are not named ran with the report's own.
OTHER_NETWORK = {
    "kshot": {"K7": "resnet18", "K8": "convnext", "K12": "convnext", "K14": "convnext"},
    "experts": {"E11": "unknown"},
    "hyperparameters": {"H7": "four networks"},
    "architectures": {},
}
OF_SEARCH = {"H1": "vgg", "H2": "efficientnet", "H3": "mobilenet", "H4": "mobilenet"}
REPEATED = {"A4"}  # its numbers are those of A3


def recounted(study: str) -> dict[str, tuple[int, int]]:
    """Return "own" and "other" -> numbers exceeded and measured, from YAML and raw records."""
    counts = {"own": [0, 0], "other": [0, 0]}
    for path in sorted((ROOT / "configs" / "studies" / study).glob("*.yaml")):
        row = yaml.safe_load(path.read_text())
        files = (ROOT / "reports" / "records" / study / "small" / path.stem).glob("*.json")
        done = [content for content in map(read_json, files) if content["status"] == "done"]
        for entry in row.get("reported", []) if path.stem not in REPEATED else []:
            for metric in ("accuracy", "validation_accuracy"):
                cells = [content for content in done if has(content["values"], entry["at"])]
                means = [mean(content["record"], metric) for content in cells]
                means = [one for one in means if one is not None]
                if metric not in entry or not means:
                    continue
                body = OTHER_NETWORK[study].get(path.stem) or OF_SEARCH.get(
                    entry["at"].get("network", "")
                )
                is_own = body is None or all(body in one["record"]["backbone"] for one in cells)
                count = counts["own" if is_own else "other"]
                count[0] += min(means) > entry[metric]
                count[1] += 1
    return {network: (above, total) for network, (above, total) in counts.items()}


def read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def has(values: dict[str, Any], at: dict[str, Any]) -> bool:
    return all(axis in values and float_or_text(values[axis]) == float_or_text(value)
               for axis, value in at.items())  # fmt: skip


def float_or_text(value: Any) -> Any:
    try:
        return float(value)
    except (TypeError, ValueError):
        return value


def mean(record: dict[str, Any], metric: str) -> float | None:
    if metric == "accuracy":
        return statistics.fmean(record["scores"]["accuracy"]["values"])
    scores = record["validation"]
    return None if scores is None else statistics.fmean(scores["accuracy"]["values"])


@pytest.mark.parametrize("name", OTHER_NETWORK)
def test_each_stated_number_counts_once_and_stand_ins_apart(name: str) -> None:
    expected = recounted(name)
    planned = results.read([ROOT / "configs" / "studies" / name], "small")
    (published,) = results.gather(planned, ROOT / "reports" / "records", "small")
    own, other = reported_numbers.by_network(published)
    assert (len(own.above), len(own.every)) == expected["own"]
    assert (len(other.above), len(other.every)) == expected["other"]
    words = f"{expected['own'][0] or 'None'} of {expected['own'][1]} reported accuracies"
    brief = reported_numbers.in_brief(published)
    assert expected["own"][1] == 1 or brief[0].startswith(words)
    with_others = [sentence for sentence in brief if "another network" in sentence]
    assert len(with_others) == bool(expected["other"][1])


def test_the_few_shot_slides_repeat_no_number() -> None:
    counts = recounted("experts")
    assert sum(above for above, _ in counts.values()) == 14
    assert sum(total for _, total in counts.values()) == 41
    assert counts == {"own": (7, 34), "other": (7, 7)}
