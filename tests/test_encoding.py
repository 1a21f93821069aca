"""Every text file is read and written as UTF-8, whatever the encoding of the machine.

Oracle: the calls in the source code, and a process whose machine has another encoding.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
FOLDERS = ("fewshot", "episodes", "scripts", "benchmarks")
# Opens of other things than text files: images, archives, devices
OTHER_OPENS = {"Image", "image", "zipfile", "tarfile", "gzip", "webbrowser", "os", "archive", "pa"}


def calls(path: Path) -> Iterator[ast.Call]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def lacks_encoding(call: ast.Call) -> bool:
    """Whether a call reads or writes text in the encoding of the machine."""
    given = {word.arg: word.value for word in call.keywords}
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    if isinstance(call.func, ast.Name):
        name = call.func.id
    if "encoding" in given:
        return False
    if name == "read_text":
        return len(call.args) < 1
    if name == "write_text" and isinstance(call.func, ast.Attribute):
        return len(call.args) < 2 and not (
            isinstance(call.func.value, ast.Name) and call.func.value.id == "io"
        )
    if name in ("run", "Popen", "check_output"):
        return "text" in given or "universal_newlines" in given
    if name in ("open", "fdopen"):
        owner = call.func.value if isinstance(call.func, ast.Attribute) else None
        if isinstance(owner, ast.Name) and owner.id in OTHER_OPENS and name == "open":
            return False
        at = 0 if owner is not None and name == "open" else 1
        mode = given.get("mode", call.args[at] if len(call.args) > at else ast.Constant("r"))
        return isinstance(mode, ast.Constant) and "b" not in str(mode.value)
    return name in ("to_csv", "reconfigure") and not given


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_text_file_names_its_encoding(folder: str):
    offences = [
        f"{path.relative_to(ROOT)}:{call.lineno}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for call in calls(path)
        if lacks_encoding(call)
    ]
    assert offences == []


@pytest.mark.parametrize(
    "line",
    [
        "path.read_text()",
        "path.write_text(text)",
        "open(path)",
        "open(path, 'w')",
        "path.open('a')",
        "path.open()",
        "subprocess.run(words, text=True)",
    ],
)
def test_the_test_can_fail(line: str):
    call = ast.parse(line, mode="eval").body
    assert isinstance(call, ast.Call)
    assert lacks_encoding(call)


@pytest.mark.slow
def test_a_run_is_made_and_read_on_machines_of_different_encodings(tmp_path: Path):
    # A name in UTF-8 is stored, read back and printed where the machine's encoding is ASCII.
    for label, name in enumerate(("a", "b")):
        folder = tmp_path / "données" / name
        folder.mkdir(parents=True)
        for number in range(4):
            colour = (200 * label + number, 90, 200 - 150 * label)
            Image.new("RGB", (16, 16), colour).save(folder / f"{number}.png")
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    words = ["run", "--method", "probe", "--shots", "1", "--seeds", "1", "--out", "runs"]
    outputs = []
    for environment, arguments in (
        (ascii_only, [*words, "--data", "données"]),
        ({"PYTHONUTF8": "1"}, [*words, "--config", "CONFIG"]),
        (ascii_only, [*words, "--config", "CONFIG"]),
    ):
        config = next((tmp_path / "runs").glob("*/config.yaml"), Path())
        command = [sys.executable, "-m", "fewshot", *arguments, "--quiet"]
        done = subprocess.run(
            [str(config) if word == "CONFIG" else word for word in command],
            cwd=tmp_path,
            env={**os.environ, **environment, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        outputs.append(done.stdout)
    assert b"donn" in outputs[0]
    assert "données, 1 label per class".encode() in outputs[1]
    assert len(list((tmp_path / "runs").iterdir())) == 1
