"""Oracle: nodes made unlike the first by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from fewshot.runs import provenance
from fewshot.studies import node_checks


def test_a_node_like_the_first_has_no_difference(tmp_path: Path) -> None:
    required = node_checks.required_by(tmp_path / "runs")
    assert node_checks.difference(required) is None
    assert node_checks.required_by(tmp_path / "runs") == required  # also in the next sweep


def test_a_node_with_another_folder_of_the_same_name_is_named(tmp_path: Path) -> None:
    runs, elsewhere = tmp_path / "runs", tmp_path / "elsewhere"
    required = node_checks.required_by(runs)
    runs.rename(elsewhere)
    assert f"does not see {runs}" in str(node_checks.difference(required))
    node_checks.required_by(runs)
    assert f"does not see {runs}" in str(node_checks.difference(required))


def test_a_node_with_another_version_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    required = node_checks.required_by(tmp_path / "runs")
    monkeypatch.setattr(provenance, "versions", lambda: {**required.versions, "torch": "1.0"})
    message = node_checks.difference(required)
    assert message is not None
    assert f"torch 1.0, and the sweep runs with {required.versions['torch']}" in message
