"""The documentation against the interpreter, the command line, the Makefile and MkDocs."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import typer

from fewshot.cli.main import app
from fewshot.heads import HEADS
from fewshot.learners import LEARNERS
from scripts import docs

ROOT = Path(__file__).parent.parent
PAGES = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in (
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *sorted((ROOT / "docs").rglob("*.md")),
    )
}
NOTEBOOKS = {path.stem: path for path in sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))}
BLOCK = re.compile(r"(<!-- slow -->\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NOT_OURS = {".", "hf", "pip", "pre-commit"}  # programs whose arguments are not checked here


def blocks(page: str, language: str) -> list[tuple[str, bool]]:
    """Return the blocks of one language on a page, and whether each is marked as slow."""
    return [
        (text, bool(slow)) for slow, kind, text in BLOCK.findall(PAGES[page]) if kind == language
    ]


def pages_with(language: str, slow: bool) -> list[str]:
    """Return the pages that have a block of the language, slow or not."""
    return [
        page
        for page in PAGES
        if page != "CONTRIBUTING.md"
        and any(is_slow == slow for _, is_slow in blocks(page, language))
    ]


def run_python(code: str, page: str) -> None:
    known = dict(LEARNERS)
    try:
        exec(compile(code, page, "exec"), {"__name__": "__main__"})
    finally:  # a page may add learners of its own
        LEARNERS.clear()
        LEARNERS.update(known)


@pytest.mark.parametrize("page", pages_with("python", slow=False))
def test_quick_python_blocks_run(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code = "\n".join(text for text, slow in blocks(page, "python") if not slow)
    run_python(code, page)


@pytest.mark.slow
@pytest.mark.parametrize("page", pages_with("python", slow=True))
def test_all_python_blocks_of_a_page_run_in_order(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run_python("\n".join(text for text, _ in blocks(page, "python")), page)


def commands() -> list[tuple[str, str]]:
    """Return every command that a page shows behind a `$`, with its page."""
    shown = []
    for page in PAGES:
        for text, _ in blocks(page, "console"):
            joined = text.replace(" \\\n>  ", "")
            shown += [(page, line[2:]) for line in joined.splitlines() if line.startswith("$ ")]
    return list(dict.fromkeys(shown))


@pytest.mark.parametrize(("page", "command"), commands())
def test_a_command_exists_with_its_arguments(page: str, command: str) -> None:
    words = shlex.split(command.split(" | ")[0].replace("#", " #").split(" #")[0])
    if "fewshot" in words:
        arguments = words[words.index("fewshot") + 1 :]
        typer.main.get_command(app).make_context("fewshot", arguments[:]).close()
        if arguments and not arguments[0].startswith("-"):
            group = typer.main.get_command(app)
            group.commands[arguments[0]].make_context(arguments[0], arguments[1:]).close()
    elif words[0] == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert set(words[1:]) <= set(targets)
    elif words[:2] == ["python", "-m"]:
        assert words[2] == "pytest" or importlib.util.find_spec(words[2])
    elif words[0] == "python":
        assert (ROOT / words[1]).is_file()
    else:
        assert words[0] in NOT_OURS


def test_the_learner_of_contributing_passes_its_own_test(monkeypatch: pytest.MonkeyPatch) -> None:
    learner, _, test = (text for text, _ in blocks("CONTRIBUTING.md", "python"))
    module = types.ModuleType("fewshot.learners.knn")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(learner, "knn.py", "exec"), module.__dict__)
    names: dict[str, Any] = {"__name__": "test_knn"}
    exec(compile(test, "test_knn.py", "exec"), names)
    tests = [value for name, value in names.items() if name.startswith("test_")]
    assert tests
    for run in tests:
        run()


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_links_lead_to_files(page: str) -> None:
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", PAGES[page])
    assert targets
    missing = [
        target
        for target in targets
        if not target.startswith("https://") and not (ROOT / target).exists()
    ]
    assert missing == []


def test_readme_is_short() -> None:
    by_hand = re.sub(r"(?s)<!-- table: .*?<!-- end of table -->\n", "", PAGES["README.md"])
    assert 90 <= len(by_hand.splitlines()) <= 135


def test_every_learner_has_a_page() -> None:
    names = {path.stem for path in (ROOT / "docs" / "learners").glob("*.md")}
    assert names == {*LEARNERS, "index"}


@pytest.mark.parametrize("name", [name for name in HEADS if not HEADS[name].transductive])
def test_every_head_has_a_section_with_its_settings(name: str) -> None:
    section = PAGES["docs/heads.md"].split(f"\n### {name}\n")[1].split("\n##")[0]
    rows = [line.replace("`", "").split("|") for line in section.splitlines() if line[:1] == "|"]
    defaults = {setting.strip(): default.strip() for _, setting, default, *_ in rows[2:]}
    fields = HEADS[name].options_type.model_fields
    assert defaults == {key: str(fields[key].default) for key in fields if key != "features"}


def test_generated_texts_name_every_command_and_setting() -> None:
    commands_text, settings_text = docs.generate("commands"), docs.generate("settings")
    for name in typer.main.get_command(app).commands:
        assert f"## `fewshot {name}`" in commands_text
    for key in ("shots", "backbone.views", "train.optimizer.beta2", "train.phases[].lr"):
        assert f"`{key}`" in settings_text
    for method, learner in LEARNERS.items():
        table = docs.generate(f"options {method}")
        for name in learner.options_type.model_fields:
            assert f"`learner.{name}`" in table


def test_marks_are_replaced() -> None:
    for page, text in PAGES.items():
        if page.startswith("docs/"):
            assert "<!-- generated:" not in docs.on_page_markdown(text), page


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebooks_have_no_outputs(name: str) -> None:
    cells = json.loads(NOTEBOOKS[name].read_text())["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert code
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in code)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebooks_link_to_pages_that_exist_and_pages_to_notebooks(name: str) -> None:
    text = NOTEBOOKS[name].read_text()
    places = re.findall(r"\]\(([^):]+)\)", text)
    assert all((NOTEBOOKS[name].parent / place).is_file() for place in places), places
    assert any(f"notebooks/{name}.ipynb" in page for page in PAGES.values())


def printed_by(name: str, folder: Path) -> str:
    """Run a notebook in a folder and return what its cells print and return, as text."""
    nbclient = pytest.importorskip("nbclient", reason="pip install '.[docs]' installs nbclient")
    nbformat = pytest.importorskip("nbformat")
    notebook = nbformat.read(NOTEBOOKS[name], as_version=4)
    client = nbclient.NotebookClient(
        notebook, timeout=600, resources={"metadata": {"path": str(folder)}}
    )
    client.execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    texts = [output.get("text") or output.get("data", {}).get("text/plain") for output in outputs]
    return "\n".join(text for text in texts if text)


def number_after(words: str, text: str) -> float:
    """Return the number that follows some words."""
    match = re.search(rf"{re.escape(words)} ([\d.]+)", text)
    assert match is not None, text
    return float(match[1])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebooks_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    text = printed_by(name, tmp_path)
    match name:
        case "first_steps":
            assert number_after("after:", text) > number_after("before:", text)
        case "which_photos_to_label":
            rising = [number_after(f"{n} labels:", text) for n in (10, 30, 50, 70)]
            assert rising[-1] > rising[0] > 0.3
        case "what_is_wrong_with_my_folder":
            for file in ("3/broken.png", "4/copy.png", "8/also_a_five.png", "9/learned.png"):
                assert file in text
            assert "1/a_seven.png" in text
        case "many_small_tasks":
            assert "protonet, trained on base classes" in text
        case "your_own_images":
            assert number_after("accuracy on test images:", text) > 0.7
            assert "digit 9" in text
        case _:
            pytest.fail("say what this notebook must print")


@pytest.mark.slow
def test_the_site_builds_without_warnings(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="pip install '.[docs]' installs MkDocs")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    assert (tmp_path / "site" / "learners" / "probe" / "index.html").is_file()
