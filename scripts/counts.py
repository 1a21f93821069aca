"""Count what the design limits, by room: dialect, long lines, missing tests, imports.

python -m scripts.counts [--root FOLDER] [--list KIND] [PATH ...]

Without `--list`: one table with a row for each room and, below it, the counts of the whole tree.
With `--list` and one of the kinds in the table's head: file, line and text of every case.
PATH limits both to files whose names begin with it. `--root` counts another checkout.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from scripts import english

PACKAGES = ("episodes", "fewshot")
LONGEST_LINE = 100
LONGEST_FILE = 300
LONGEST_FUNCTION = 50
ENTRANCES = ("fewshot/__init__.py", "fewshot/__main__.py", "fewshot/api.py", "fewshot/cli.py")
KINDS = ("words", "names", "long lines", "discovery", "dict", "untested", "ignores", "size")


class Case(NamedTuple):
    """One case that is counted."""

    kind: str  # one of KINDS
    path: str
    line: int
    text: str


def room_of(path: str) -> str:
    """Return the room of a file: the folder or file in a package, or another top-level folder."""
    parts = Path(path).with_suffix("").parts
    if parts[0] in PACKAGES and len(parts) > 1:
        return "/".join(parts[:2])
    if parts[:1] == ("tests",) and len(parts) > 2:
        return "/".join(parts[:3] if len(parts) > 3 else parts[:2])
    return parts[0] if len(parts) > 1 else path


def cases(root: Path, paths: list[str]) -> Iterator[Case]:
    """Yield every case in the files of a checkout whose names begin with one of `paths`."""
    names = english.files(root)
    sources = {name: (root / name).read_text(encoding="utf-8") for name in names}
    for name, source in sources.items():
        if paths and not name.startswith(tuple(paths)):
            continue
        for word in english.findings(name, source):
            kind = "names" if word.kind in ("variable", "name") else "words"
            yield Case(kind, name, word.line, f"{word.kind}: {word.text}")
        if name.endswith(".py"):
            yield from _of_lines(name, source)
            if name.startswith(PACKAGES):
                yield from _of_syntax(name, ast.parse(source))
                yield from _untested(name, source, names)
    crossing = _dicts_between_rooms({name: sources[name] for name in names if _in_packages(name)})
    yield from (case for case in crossing if not paths or case.path.startswith(tuple(paths)))


def _in_packages(name: str) -> bool:
    return name.endswith(".py") and name.split("/")[0] in PACKAGES


def _of_lines(name: str, source: str) -> Iterator[Case]:
    lines = source.splitlines()
    for number, line in enumerate(lines, 1):
        if len(line) > LONGEST_LINE:
            yield Case("long lines", name, number, f"{len(line)} columns")
        if "# type: ignore" in line and _in_packages(name):
            yield Case("ignores", name, number, line.strip())
    if len(lines) > LONGEST_FILE:
        yield Case("size", name, 1, f"{len(lines)} lines")


def _of_syntax(name: str, tree: ast.AST) -> Iterator[Case]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("hasattr", "getattr"):
            subject = ast.unparse(node.args[0]).lower() if node.args else ""
            if re.search(r"\blearner\b", subject):
                yield Case("discovery", name, node.lineno, ast.unparse(node))
        if isinstance(node, ast.FunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > LONGEST_FUNCTION:
                yield Case("size", name, node.lineno, f"{node.name}: {length} lines")


def _untested(name: str, source: str, names: list[str]) -> Iterator[Case]:
    """Yield the module if the mirrored folder under tests/ has no test file of its name."""
    path = Path(name)
    body = ast.parse(source).body
    imports = ast.Expr | ast.Import | ast.ImportFrom
    statements = [node for node in body if not isinstance(node, imports)]
    if path.stem in ("__init__", "__main__") or not statements:
        return
    mirrored = str(Path("tests") / path.parent / f"test_{path.name}")
    if mirrored not in names:
        elsewhere = [other for other in names if other.endswith(f"/test_{path.name}")]
        remark = f" (but {elsewhere[0]})" if elsewhere else ""
        yield Case("untested", name, 1, f"no {mirrored}{remark}")


def _dicts_between_rooms(sources: Mapping[str, str]) -> Iterator[Case]:
    """Yield public functions with `dict[str, Any]` in the signature that another room uses."""
    users: dict[str, set[str]] = defaultdict(set)  # name -> rooms that use it
    for name, source in sources.items():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Attribute):
                users[node.attr].add(room_of(name))
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    users[alias.name].add(room_of(name))
    for name, source in sources.items():
        for node in ast.walk(ast.parse(source)):
            if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
                continue
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            annotations = [node.returns, *(argument.annotation for argument in arguments)]
            signature = " ".join(ast.unparse(part) for part in annotations if part is not None)
            untyped = any(f"{form}[str, Any]" in signature for form in ("dict", "Mapping"))
            if untyped and users[node.name] - {room_of(name)}:
                yield Case("dict", name, node.lineno, f"{node.name}: {signature}")


def arrows(root: Path) -> set[tuple[str, str]]:
    """Return the imports between folders: (importing folder, imported folder).

    Files directly in a package count as one folder, so that older layouts are counted alike.
    What imports everything on purpose is left out: a package's public names and its command line.
    """
    modules = {name.removesuffix(".py").replace("/", "."): name for name in english.files(root)}
    folders = set()
    for name in modules.values():
        if not _in_packages(name) or name in ENTRANCES:
            continue
        for target in _imported(name, (root / name).read_text(encoding="utf-8"), modules):
            pair = (str(Path(name).parent), str(Path(modules[target]).parent))
            if pair[0] != pair[1]:
                folders.add(pair)
    return folders


def _imported(name: str, source: str, modules: Mapping[str, str]) -> Iterator[str]:
    """Yield the modules of the packages that a file imports, wherever the statement stands."""
    parent = name.removesuffix(".py").replace("/", ".").split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        targets: list[str] = []
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = parent[: len(parent) - node.level + 1] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            inside = [f"{origin}.{alias.name}" for alias in node.names]
            targets = [
                target if target in modules or f"{target}.__init__" in modules else origin
                for target in inside
            ]
        for target in targets:
            for candidate in (target, f"{target}.__init__"):
                if candidate in modules and target.split(".")[0] in PACKAGES:
                    yield candidate


def whole(root: Path) -> dict[str, int | str]:
    """Return the counts that belong to no room."""
    names = english.files(root)
    pairs = arrows(root)
    direct = {
        package: sum(str(Path(name).parent) == package for name in names if name.endswith(".py"))
        for package in PACKAGES
    }
    both_ways = sorted({tuple(sorted(pair)) for pair in pairs if pair[::-1] in pairs})
    return {
        "files directly in fewshot/": direct["fewshot"],
        "files directly in episodes/": direct["episodes"],
        "modules in both packages": sum(
            _in_packages(name) and Path(name).name != "__init__.py" for name in names
        ),
        "lines of README.md": len((root / "README.md").read_text(encoding="utf-8").splitlines()),
        "import arrows between folders": len(pairs),
        "pairs of folders that import each other": len(both_ways),
        "which": ", ".join(" <-> ".join(pair) for pair in both_ways) or "none",
    }


def table(counted: Counter[tuple[str, str]], rooms: list[str]) -> str:
    """Return a text table: a row for each room and a row of sums."""
    width = max(map(len, [*rooms, "sum"]))
    head = " " * width + "".join(f"{kind:>12}" for kind in KINDS)
    rows = [
        f"{room:{width}}" + "".join(f"{counted[room, kind] or '.':>12}" for kind in KINDS)
        for room in rooms
    ]
    sums = [sum(counted[room, kind] for room in rooms) for kind in KINDS]
    return "\n".join([head, *rows, f"{'sum':{width}}" + "".join(f"{n:>12}" for n in sums)])


def main() -> None:
    """Print the table, or the cases of one kind."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("paths", nargs="*", metavar="PATH", help="count only files that begin so")
    parser.add_argument("--root", type=Path, default=english.ROOT, help="the checkout to count")
    parser.add_argument("--list", choices=KINDS, help="print every case of this kind")
    options = parser.parse_args()
    chosen = list(cases(options.root, options.paths))
    if options.list:
        listed = [case for case in chosen if case.kind == options.list]
        print(*(f"{case.path}:{case.line}: {case.text}" for case in listed), sep="\n")
        sys.exit(0)
    counted = Counter((room_of(case.path), case.kind) for case in chosen)
    print(table(counted, sorted({room for room, _ in counted})))
    if not options.paths:
        print()
        for name, value in whole(options.root).items():
            print(f"{name}: {value}")


if __name__ == "__main__":
    main()
