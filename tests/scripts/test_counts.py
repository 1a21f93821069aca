"""The counting script. Oracle: a small repository, written here, whose counts are known."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from scripts import counts

FILES = {
    "README.md": "one\ntwo\n",
    "fewshot/__init__.py": "",
    "fewshot/low.py": "def read(values: dict[str, Any]) -> int:\n    return 1\n",
    "fewshot/runs/__init__.py": "",
    "fewshot/runs/trial.py": "from fewshot.low import read\nx = hasattr(learner, 'x')\n",
    "fewshot/heads/__init__.py": "",
    "fewshot/heads/ridge.py": f"import fewshot.runs.trial\nx = 1  # {'x' * 100}\n",
    "tests/fewshot/test_low.py": "",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    return tmp_path


def test_each_case_is_counted_in_its_file(root: Path) -> None:
    cases = {(case.kind, case.path, case.line) for case in counts.cases(root, [])}
    assert cases == {
        ("dict", "fewshot/low.py", 1),
        ("discovery", "fewshot/runs/trial.py", 2),
        ("long lines", "fewshot/heads/ridge.py", 2),
        ("untested", "fewshot/runs/trial.py", 1),
        ("untested", "fewshot/heads/ridge.py", 1),
    }


def test_only_the_named_files_are_counted(root: Path) -> None:
    cases = list(counts.cases(root, ["fewshot/heads"]))
    assert {case.path for case in cases} == {"fewshot/heads/ridge.py"}


def test_counts_of_the_whole_tree(root: Path) -> None:
    whole = counts.whole(root)
    assert whole["files directly in fewshot/"] == 2
    assert whole["lines of README.md"] == 2
    # heads -> runs, runs -> fewshot
    assert whole["import arrows between folders"] == 2
    assert whole["pairs of folders that import each other"] == 0


def test_the_table_has_a_row_of_sums() -> None:
    lines = counts.table(
        counts.Counter({("a", "words"): 2, ("b", "words"): 3}), ["a", "b"]
    ).splitlines()
    assert lines[-1].split()[:2] == ["sum", "5"]
