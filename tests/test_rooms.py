"""Holds the imports of the packages to the table of rooms: arrows go down only, nothing heavy before it is needed."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("episodes", "fewshot")

# Rooms, lowest first: a room imports only rooms of the lines above its own. A package's name stands for all of its
# files, but `episodes` and `fewshot` for their __init__ alone. The order is that of the design's layout.
ORDER: tuple[tuple[str, ...], ...] = (
    ("episodes", "episodes.errors", "episodes.rng", "episodes.types", "episodes.augment"),
    ("episodes.datasets", "episodes.subsets", "episodes.class_splits", "episodes.samplers"),
    ("episodes.streams",),
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
    ("fewshot.model", "fewshot.checks"),
    ("fewshot.studies",),
    ("fewshot.report",),
    ("fewshot.api",),
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
LIGHT = (  # what runs before a command knows what to do: importing it imports nothing heavy, not even by a detour
    "episodes", "episodes.errors", "fewshot", "fewshot.__main__", "fewshot.cli", "fewshot.cli.main", "fewshot.config",
    "fewshot.cli.arguments", "fewshot.errors", "fewshot.progress", "episodes.datasets", "episodes.datasets.locations",
)  # fmt: skip
NO_TORCH = {
    "torch",
    "torchvision",
    "timm",
}  # for fewshot.report, but for the contact sheet, which shows a data set


class Import(NamedTuple):
    """An import statement; at_start: it runs when its module is imported, not in a function or for types alone."""

    target: str
    line: int
    at_start: bool


def sources() -> dict[str, str]:
    """Module name -> source, of every file of the packages."""
    found = {}
    for path in sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text()
    return found


def room_of(module: str) -> str | None:
    """The longest name in the table that the module is, or lies under."""
    fitting = [
        room
        for room in ROOMS
        if module == room or (room not in PACKAGES and module.startswith(room + "."))
    ]
    return max(fitting, key=len, default=None)


@cache
def statements(source: str) -> list[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Every import statement, wherever it stands, and whether it runs when its module is imported."""
    found: list[tuple[ast.Import | ast.ImportFrom, bool]] = []

    def visit(node: ast.AST, at_start: bool) -> None:
        if isinstance(node, ast.Import | ast.ImportFrom):
            found.append((node, at_start))
        later = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for_types = isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for child in ast.iter_child_nodes(node):
            visit(child, at_start and not later and not for_types)

    visit(ast.parse(source), True)
    return found


def imports(module: str, modules: Mapping[str, str]) -> list[Import]:
    """What a module imports; `from a import b` is of a.b where that is a module, of a elsewhere."""
    is_package = any(each.startswith(module + ".") for each in modules)
    found = []
    for node, at_start in statements(modules[module]):
        if isinstance(node, ast.Import):
            found += [Import(alias.name, node.lineno, at_start) for alias in node.names]
            continue
        above = (
            module.split(".")[: len(module.split(".")) - node.level + is_package]
            if node.level
            else []
        )
        origin = ".".join([*above, *([node.module] if node.module else [])])
        for alias in node.names:
            inside = f"{origin}.{alias.name}"
            found.append(Import(inside if inside in modules else origin, node.lineno, at_start))
    return found


def arrows(modules: Mapping[str, str]) -> Iterator[str]:
    """A sentence for each module without a room and each import that the table does not allow."""
    for module in modules:
        room = room_of(module)
        if room is None:
            yield f"{module} has no room: give it a line in the table of tests/test_rooms.py, or another place"
            continue
        for each in imports(module, modules):
            if each.target.split(".")[0] not in PACKAGES:
                continue
            if module == "fewshot" and not each.at_start:
                continue  # the public names, imported for type checkers alone
            target = room_of(each.target)
            if target not in {
                room,
                *ROOMS[room],
                *(FREE if room.startswith("fewshot") else {"episodes.errors"}),
            }:
                yield f"{module}, line {each.line}: room {room} may not import {each.target}"


def outside(module: str, modules: Mapping[str, str]) -> dict[str, str]:
    """What importing a module imports from outside the packages: top-level name -> the module that does it."""
    found: dict[str, str] = {}
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in seen or name not in modules:
            continue
        seen.add(name)
        waiting += [name.rpartition(".")[0]]  # a package's __init__ runs before its modules
        for each in imports(name, modules):
            if each.at_start:
                found.setdefault(each.target.split(".")[0], name)
                waiting.append(each.target)
    return found


def weights(modules: Mapping[str, str]) -> Iterator[str]:
    """A sentence for each module that has to be light, or free of torch, and is not."""
    for module in modules:
        in_report = module.startswith("fewshot.report")
        forbidden = HEAVY if module in LIGHT else NO_TORCH if in_report else set()
        for name, origin in outside(module, modules).items():
            if name in forbidden:
                yield f"importing {module} imports {name} (in {origin}): import it where it is used"


def test_the_table_goes_down_only():
    rooms = list(ROOMS)
    for place, room in enumerate(rooms):
        assert ROOMS[room] <= set(rooms[:place]), (
            f"{room} imports a room that stands below it, or none"
        )
        if room.startswith("episodes"):
            assert not any(each.startswith("fewshot") for each in ROOMS[room])


def test_every_room_is_there():
    modules = sources()
    assert [room for room in (*ROOMS, *LIGHT) if room not in modules] == []


def test_every_file_has_a_room_and_imports_what_its_room_may():
    assert list(arrows(sources())) == []


def test_nothing_heavy_is_imported_before_it_is_needed():
    assert list(weights(sources())) == []


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
def test_an_offence_is_found(module: str, source: str, words: str):
    modules = {**sources(), module: source}
    found = [*arrows(modules), *weights(modules)]
    assert any(words in each for each in found), found


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
def test_what_is_allowed_is_no_offence(module: str, source: str):
    modules = {**sources(), module: source}
    assert [*arrows(modules), *weights(modules)] == []
