"""Oracle: the folders of configs/methods, and folders made here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from fewshot.cli import completion

METHODS = Path(__file__).parents[3] / "configs" / "methods"


def context(**parameters: Any) -> Any:
    """Return as much of Typer's context as completion reads."""
    return SimpleNamespace(params=parameters)


def test_methods_are_those_with_packaged_presets() -> None:
    assert completion.methods("") == sorted(path.name for path in METHODS.iterdir())
    assert completion.methods("prot") == ["protonet"]
    assert completion.methods("zzz") == []


def test_presets_are_those_of_the_method_named_before() -> None:
    names = sorted(path.stem for path in (METHODS / "probe").iterdir())
    assert completion.presets(context(method="probe"), "") == names
    assert completion.presets(context(method="probe"), "fe") == ["few"]
    assert set(names) < set(completion.presets(context(method=None), ""))


def test_data_sets_are_built_in_or_folders(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "omniglot").mkdir()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FEWSHOT_DATA", str(tmp_path))
    assert completion.data_sets("") == ["cifar10", "digits", "omniglot"]
    assert completion.data_sets("o") == ["omniglot"]
    monkeypatch.delenv("FEWSHOT_DATA")
    assert completion.data_sets("") == ["cifar10", "digits"]


def test_completion_imports_no_torch() -> None:
    code = (
        "import sys; from fewshot.cli import completion\n"
        "completion.methods(''); completion.data_sets('')\n"
        "print('torch' in sys.modules)"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert process.stdout == "False\n", process.stderr
