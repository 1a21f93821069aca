"""What is published says what its records say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fewshot.report import table

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("name", ["main", "presets"])
def test_tables_are_what_their_records_give(name: str) -> None:
    assert table.tell([ROOT / "reports" / "records" / name], ROOT / "reports" / name, check=True) == 0


def test_the_readme_shows_the_main_table() -> None:
    done = subprocess.run([sys.executable, ROOT / "tools" / "readme.py", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
