"""The parts of the GPU campaign; oracles: differences by hand, a report of pytest by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts import gpu_parts
from scripts.gpu_parts import Options


def test_only_what_needs_tiny_imagenet_asks_for_it(tmp_path: Path) -> None:
    parts = gpu_parts.parts(Options(tmp_path, "cuda", False, 540.0))
    assert {part.name: list(part.data) for part in parts if part.data} == {
        "meta": ["tinyimagenet32"],
        "wider": ["tinyimagenet32"],
    }
    assert not any(part.data for part in gpu_parts.parts(Options(tmp_path, "cpu", True, 540.0)))


def test_trials_are_paired_by_their_seed(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    record = {"seeds": [0, 1, 7], "scores": {"accuracy": {"values": [0.70, 0.72, 0.60]}}}
    path.write_text(json.dumps(record))
    result = gpu_parts.paired({"0": 0.71, "1": 0.716, "5": 0.1}, path)
    assert result["difference_to_cpu"] == pytest.approx(0.003)
    assert result["largest_difference"] == pytest.approx(0.01)
    assert result["within_tolerance"] is True
    assert gpu_parts.paired({"7": 0.5}, path)["within_tolerance"] is False
    assert gpu_parts.paired({}, path) == {}


def test_a_report_of_pytest_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "tests.xml"
    path.write_text(
        '<testsuites><testsuite tests="4" failures="1" errors="0" skipped="1">'
        '<testcase name="a"/><testcase name="b"/><testcase name="c"><skipped/></testcase>'
        '<testcase name="d"><failure message="first&#10;second"/></testcase>'
        "</testsuite></testsuites>"
    )
    result = gpu_parts.read_tests(path)
    assert result == {"passed": 2, "skipped": 1, "failed": 1, "failures": {"d": "first"}}
