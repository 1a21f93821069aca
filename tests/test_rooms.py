"""Imports of the packages go down the table of rooms, and nothing heavy is imported early.

Oracle: sources with and without an offence, written here by hand.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("episodes", "fewshot")

# Rooms, lowest first: a room may import the rooms of the lines above its own. The name of a folder
# stands for all of its files, but `episodes` and `fewshot` stand for their __init__ alone.
ORDER: tuple[tuple[str, ...], ...] = (
    ("episodes", "episodes.errors", "episodes.rng", "episodes.types", "episodes.augment"),
    (
        "episodes.datasets",
        "episodes.subsets",
        "episodes.class_splits",
        "episodes.samplers",
    ),
    ("episodes.streams", "episodes.tasks"),
    (
        "fewshot",
        "fewshot.errors",
        "fewshot.io",
        "fewshot.functional",
        "fewshot.distributed",
        "fewshot.progress",
    ),
    ("fewshot.config",),
    ("fewshot.backbones", "fewshot.heads", "fewshot.training"),
    ("fewshot.learners",),
    ("fewshot.features",),
    ("fewshot.evaluation",),
    ("fewshot.runs",),
    ("fewshot.model",),
    ("fewshot.checks",),
    ("fewshot.studies",),
    ("fewshot.report",),
    ("fewshot.api", "fewshot.episodic"),
    ("fewshot.app",),
    ("fewshot.cli",),
    ("fewshot.__main__",),
)
ROOMS: dict[str, set[str]] = {
    room: {lower for line in ORDER[:number] for lower in line}
    - ({"fewshot"} if room != "fewshot.cli" else set())
    for number, line in enumerate(ORDER)
    for room in line
}
FREE = {"episodes.errors", "fewshot.errors"}  # every room may import them

HEAVY = {"torch", "torchvision", "timm", "sklearn", "scipy", "pandas", "matplotlib", "pyarrow"}
# These run before a command knows what to do: importing them imports nothing heavy, not even
# through another module.
LIGHT = (
    "episodes",
    "episodes.datasets",
    "episodes.datasets.locations",
    "episodes.errors",
    "fewshot",
    "fewshot.__main__",
    "fewshot.cli",
    "fewshot.cli.arguments",
    "fewshot.cli.main",
    "fewshot.cli.task_arguments",
    "fewshot.config",
    "fewshot.errors",
    "fewshot.model.model_card",
    "fewshot.progress",
)
NO_TORCH = {"torch", "torchvision", "timm"}  # must not be imported by fewshot.report


class Import(NamedTuple):
    """An import statement.

    Attributes:
        target: the imported module.
        line: its line.
        at_start: it runs when its module is imported, not in a function or for types alone.
    """

    target: str
    line: int
    at_start: bool


def sources() -> dict[str, str]:
    """Return the source of every module of the packages, by the module's name."""
    modules = {}
    for path in sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text()
    return modules


def room_of(module: str) -> str | None:
    """Return the longest name in the table that is the module's or that of a folder around it."""
    rooms = [
        room
        for room in ROOMS
        if module == room or (room not in PACKAGES and module.startswith(room + "."))
    ]
    return max(rooms, key=len, default=None)


@cache
def statements(source: str) -> list[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Return every import statement, and whether it runs when its module is imported."""
    with_start: list[tuple[ast.Import | ast.ImportFrom, bool]] = []

    def visit(node: ast.AST, at_start: bool) -> None:
        if isinstance(node, ast.Import | ast.ImportFrom):
            with_start.append((node, at_start))
        later = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for_types = isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for child in ast.iter_child_nodes(node):
            visit(child, at_start and not later and not for_types)

    visit(ast.parse(source), True)
    return with_start


def imports(module: str, modules: Mapping[str, str]) -> list[Import]:
    """Return what a module imports; `from a import b` imports a.b if that is a module, else a."""
    is_package = any(name.startswith(module + ".") for name in modules)
    parts = module.split(".")
    imported = []
    for node, at_start in statements(modules[module]):
        if isinstance(node, ast.Import):
            imported += [Import(alias.name, node.lineno, at_start) for alias in node.names]
            continue
        above = parts[: len(parts) - node.level + is_package] if node.level else []
        origin = ".".join([*above, *([node.module] if node.module else [])])
        for alias in node.names:
            inside = f"{origin}.{alias.name}"
            target = inside if inside in modules else origin
            imported.append(Import(target, node.lineno, at_start))
    return imported


def arrows(modules: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for each module without a room and each import that is not allowed."""
    for module in modules:
        room = room_of(module)
        if room is None:
            yield f"{module} has no room: add it to the table of tests/test_rooms.py, or move it"
            continue
        free = FREE if room.startswith("fewshot") else {"episodes.errors"}
        for statement in imports(module, modules):
            if statement.target.split(".")[0] not in PACKAGES:
                continue
            if module == "fewshot" and not statement.at_start:
                continue  # the public names, imported for type checkers alone
            if room_of(statement.target) not in {room, *ROOMS[room], *free}:
                place = f"{module}, line {statement.line}"
                yield f"{place}: room {room} may not import {statement.target}"


def outside(module: str, modules: Mapping[str, str]) -> dict[str, str]:
    """Return what importing a module imports from outside the packages.

    Returns:
        Top-level names, each with the module that imports it.
    """
    importers: dict[str, str] = {}
    visited: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in visited or name not in modules:
            continue
        visited.add(name)
        waiting += [name.rpartition(".")[0]]  # a package's __init__ runs before its modules
        for statement in imports(name, modules):
            if statement.at_start:
                importers.setdefault(statement.target.split(".")[0], name)
                waiting.append(statement.target)
    return importers


def heavy_imports(modules: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for each module that must be light, or free of torch, and is not."""
    for module in modules:
        in_report = module.startswith("fewshot.report")
        forbidden = HEAVY if module in LIGHT else NO_TORCH if in_report else set()
        for name, importer in outside(module, modules).items():
            if name in forbidden:
                yield f"importing {module} imports {name} (in {importer}): import it where used"


def test_the_table_goes_down_only():
    rooms = list(ROOMS)
    for position, room in enumerate(rooms):
        assert ROOMS[room] <= set(rooms[:position]), f"{room} may import a room above it"
        if room.startswith("episodes"):
            assert not any(lower.startswith("fewshot") for lower in ROOMS[room])


def test_every_room_is_there():
    modules = sources()
    assert [room for room in (*ROOMS, *LIGHT) if room not in modules] == []


def test_every_file_has_a_room_and_imports_what_its_room_may():
    assert list(arrows(sources())) == []


def test_nothing_heavy_is_imported_before_it_is_needed():
    assert list(heavy_imports(sources())) == []


@pytest.mark.parametrize(
    ("module", "source", "words"),
    [
        (
            "episodes.subsets",
            "import fewshot.training.trainer",
            "may not import fewshot.training.trainer",
        ),
        (
            "episodes.subsets",
            "from fewshot.training import trainer",
            "may not import fewshot.training.trainer",
        ),
        (
            "episodes.subsets",
            "def f():\n    from episodes.streams import Pool",
            "line 2: room episodes.subsets",
        ),
        ("episodes.subsets", "from . import streams", "may not import episodes.streams"),
        ("episodes.datasets.new", "from ..streams import Pool", "may not import episodes.streams"),
        (
            "fewshot.learners.new",
            "from fewshot.runs.trial import trial",
            "may not import fewshot.runs.trial",
        ),
        (
            "fewshot.training.new",
            "if TYPE_CHECKING:\n    from fewshot.learners import maml",
            "fewshot.learners",
        ),
        (
            "fewshot.runs.new",
            "try:\n    import fewshot.report\nexcept ImportError: pass",
            "fewshot.report",
        ),
        ("fewshot.utils", "", "fewshot.utils has no room"),
        ("episodes.new.part", "", "episodes.new.part has no room"),
        ("fewshot.cli.main", "import pandas as pd", "importing fewshot.cli.main imports pandas"),
        (
            "fewshot.cli.arguments",
            "try:\n    from torch import nn\nexcept ImportError: pass",
            "imports torch",
        ),
        (
            "fewshot.config",
            "class A:\n    import sklearn.svm",
            "importing fewshot.config imports sklearn",
        ),
        (
            "fewshot.config",
            "from episodes.rng import generator",
            "fewshot.config imports torch (in episodes.rng)",
        ),
        (
            "episodes",
            "from episodes import types",
            "fewshot.cli.main imports torch (in episodes.types)",
        ),
        (
            "fewshot.runs.records",
            "import torch",
            "fewshot.report.comparison imports torch (in fewshot.runs.records)",
        ),
    ],
)
def test_an_offence_is_reported(module: str, source: str, words: str):
    modules = {**sources(), module: source}
    offences = [*arrows(modules), *heavy_imports(modules)]
    assert any(words in offence for offence in offences), offences


@pytest.mark.parametrize(
    ("module", "source"),
    [
        (
            "episodes.subsets",
            "from episodes.rng import generator\nfrom episodes.errors import UserError",
        ),
        (
            "fewshot.learners.new",
            "from fewshot.heads import trainable\nfrom . import base\nimport torch",
        ),
        (
            "fewshot.cli.main",
            "def run():\n    import pandas\n    from fewshot.runs import experiment",
        ),
        ("fewshot.config", "if typing.TYPE_CHECKING:\n    import torch"),
        ("fewshot.checks.new", "import torch"),
    ],
)
def test_an_allowed_import_is_no_offence(module: str, source: str):
    modules = {**sources(), module: source}
    assert [*arrows(modules), *heavy_imports(modules)] == []
