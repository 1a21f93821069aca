"""The package works where it is installed without the repository."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a wheel of the files in the repository, and unpack it."""
    folder = tmp_path_factory.mktemp("wheel")
    build = ["-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run([sys.executable, *build], cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    site = folder / "site"
    zipfile.ZipFile(wheel).extractall(site)
    return site


def test_a_wheel_has_every_file_of_the_package(installed: Path) -> None:
    folders = [("episodes", ""), ("fewshot", ""), ("configs", "fewshot")]
    places = [
        installed / below / file.relative_to(ROOT)
        for name, below in folders
        for file in (ROOT / name).rglob("*")
        if file.is_file() and file.suffix != ".pyc"
    ]
    assert len(places) > 300
    assert [place for place in places if not place.is_file()] == []


def test_commands_run_from_a_wheel(installed: Path, tmp_path: Path) -> None:
    """Run the shipped weights on a preset, and a study and its report by name."""
    environment = os.environ | {"PYTHONPATH": str(installed)}

    def run(*words: str) -> str:
        command = [sys.executable, "-P", *words]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = run("-c", "import episodes, fewshot; print(fewshot.__file__, episodes.__file__)")
    assert where.count(str(installed)) == 2
    few = ["--method", "probe", "--shots", "1", "--data", "digits", "--seeds", "1", "--quiet"]
    assert "mini-resnet" in run("-m", "fewshot", "run", *few)
    run("-m", "fewshot", "sweep", "experts/E4", "--scale", "smoke", "--quiet")
    run("-m", "fewshot", "report", "experts/E4", "--scale", "smoke", "--out", "reports")
    assert "Custom CNN" in (tmp_path / "reports" / "experts.md").read_text(encoding="utf-8")
