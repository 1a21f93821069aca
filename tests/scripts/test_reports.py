"""The list of generated pages against the files under reports/."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from scripts import reports


def test_every_page_has_a_command() -> None:
    words = [" ".join(command) for command in reports.commands()]
    for page in (reports.ROOT / "reports").glob("*.md"):
        module = page.stem.replace("-", "_")
        by_script = any(f"scripts.{module}" in command for command in words)
        by_study = (reports.ROOT / "configs" / "studies" / page.stem).is_dir()
        assert by_script or by_study or page.name == "README.md"
    for folder in reports.COMPARISONS:
        assert Path(reports.ROOT / "reports" / folder / "comparison.md").is_file()


@pytest.mark.parametrize("code", [0, 1])
def test_the_exit_code_is_1_if_one_page_is_stale(
    code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def run(words: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        calls.append(words)
        return subprocess.CompletedProcess(words, code if "scripts.learners" in words else 0)

    monkeypatch.setattr(subprocess, "run", run)
    assert reports.run(check=True) == code
    assert len(calls) == len(reports.commands())
    assert all(words[0] == sys.executable and words[-1] == "--check" for words in calls)
