"""Numbers exceeded and not reached, against means of the raw records."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import pytest
import yaml

from fewshot.report.studies import gathering
from fewshot.report.studies import reported as reported_numbers
from tests.fewshot.report.studies.reading import study
from tests.fewshot.study_results import Planned, cell, record, row, save

ROOT = Path(__file__).parents[4]


def test_reported_numbers_passed_and_not_reached(
    reported: tuple[Planned, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    planned, saved, _ = reported
    _, first, passed, missed = reported_numbers.against_report(study(planned, saved, "kshot"))
    assert first.sentence == (
        "7 reported accuracies were measured again at scale small: 5 exceeded, 2 not reached."
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
        "5 of 7 reported accuracies were exceeded at scale small: K8 (2 of 4), K9, K10 and K11"
    )
    assert brief[0].endswith(" 2 were not reached: K8 (2 of 4).")
    assert brief[1].startswith("Scale small uses fewer images, fewer epochs or smaller networks")
    monkeypatch.setattr(reported_numbers, "MOST_MISSED", 1)
    *_, by_row = reported_numbers.against_report(study(planned, saved, "kshot"))
    assert by_row.details == [
        f"K8: 2 of 4, by {-less:.4f} to {0.5 - scratch['mean']:.4f} (all by more than the interval)"
    ]


def test_single_trials_have_no_interval(tmp_path: Path) -> None:
    one = row("kshot", "K9", "Some")
    cells = [cell(name, name, place, accuracy=0.1) for place, name in enumerate("abc")]
    for asked, n in zip(cells, (1, 1, 3), strict=True):
        content = record("probe-16")
        accuracy = content["scores"]["accuracy"]
        content["scores"] = {"accuracy": accuracy | {"values": accuracy["values"][:n]}}
        content["seeds"] = content["seeds"][:n]
        save(tmp_path, one, asked, content)
    some, every = (
        reported_numbers.against_report(gathering.gather([(one, asked)], tmp_path, "small")[0])
        for asked in (cells[:2], cells)
    )
    assert some[2].details[0].endswith("(single trials, without an interval)")
    assert every[2].details[0].endswith("(more than the interval; 2 of a single trial)")


def test_a_number_that_is_equal_to_the_report_is_reached(tmp_path: Path) -> None:
    one, asked = row("kshot", "K9", "Some"), cell("all", "all", accuracy=0.5)
    content = record("probe-16")
    accuracy = content["scores"]["accuracy"]
    equal = {"mean": 0.5, "std": 0.0, "ci95": 0.0, "values": [0.5] * len(accuracy["values"])}
    content["scores"] = {"accuracy": accuracy | equal}
    save(tmp_path, one, asked, content)
    (gathered,) = gathering.gather([(one, [asked])], tmp_path, "small")
    assert reported_numbers.missed(gathered) == []
    counts = reported_numbers.by_kind(gathered).small
    assert (len(counts.above), len(counts.below)) == (1, 0)


# The report's network where another one ran; rows that are not named ran with the report's own.
OTHER_NETWORK = {
    "kshot": {"K7": "resnet18", "K8": "convnext", "K12": "convnext", "K14": "convnext"},
    "experts": {"E11": "unknown"},
    "hyperparameters": {"H7": "four networks"},
    "architectures": {},
}
OF_SEARCH = {"H1": "vgg", "H2": "efficientnet", "H3": "mobilenet", "H4": "mobilenet"}


def recounted(study: str) -> dict[str, tuple[int, int]]:
    """Return full, small, other -> numbers exceeded and measured, from YAML and raw records."""
    counts = {"full": [0, 0], "small": [0, 0], "other": [0, 0]}
    for path in sorted((ROOT / "configs" / "studies" / study).glob("*.yaml")):
        row = yaml.safe_load(path.read_text())
        done = results_of(study, path.stem)
        for entry in row.get("reported", []):
            if not entry.get("counted", True):
                continue
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
                at_full = all(content["scale"] == "full" for content in cells)
                count = counts[("full" if at_full else "small") if is_own else "other"]
                count[0] += min(means) > entry[metric]
                count[1] += 1
    return {network: (above, total) for network, (above, total) in counts.items()}


def results_of(study: str, row: str) -> list[dict[str, Any]]:
    """Return the finished results of a row, those of scale full in the place of small ones."""
    done: dict[str, dict[str, Any]] = {}
    for scale in ("small", "full"):
        files = (ROOT / "reports" / "records" / study / scale / row).glob("*.json")
        contents = [content for content in map(read_json, files) if content["status"] == "done"]
        done |= {content["cell"]: content for content in contents}
    return list(done.values())


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
def test_each_stated_number_counts_once_by_scale_and_stand_ins_apart(name: str) -> None:
    expected = recounted(name)
    planned = gathering.read([ROOT / "configs" / "studies" / name], "highest")
    (published,) = gathering.gather(planned, ROOT / "reports" / "records", "highest")
    kinds = zip(expected, reported_numbers.by_kind(published), strict=True)
    assert {kind: (len(one.above), len(one.every)) for kind, one in kinds} == expected
    brief = reported_numbers.in_brief(published)
    for kind, words in (
        ("full", " at scale full"),
        ("small", " at scale small"),
        ("other", "another network"),
    ):
        above, total = expected[kind]
        sentences = [one for one in brief if words in one and "Scale small" not in one]
        assert len(sentences) == bool(total)
        if total > 1:
            assert sentences[0].startswith(f"{above or 'None'} of {total} reported accuracies")


def test_the_few_shot_slides_repeat_no_number() -> None:
    counts = recounted("experts")
    assert sum(total for _, total in counts.values()) == 41
    assert counts["other"] == (7, 7)
