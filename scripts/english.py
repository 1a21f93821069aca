"""Search the repository's texts and names for words of the project's former private dialect.

python -m scripts.english [PATH ...]

Prints every finding with its file and line, in all files or in those whose names begin with PATH.
The word list follows the section "English" of the design. Texts are docstrings, comments, string
literals that contain a space (messages, help texts), Markdown, YAML and shell files. Code in
backticks and in fenced blocks of Markdown is not searched.
"""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
NUMBERS = r"\d+|two|three|four|five|six|seven|eight|nine|ten|twenty"
DETERMINERS = (
    "a|an|the|this|that|these|those|each|every|one|another|any|no|its|their|both|all|of|per|"
    "few|fewer|more|most|other|others|same|first|last|next|single|common|missing|finished|over|"
    f"several|different|{NUMBERS}"
)

# What must not occur, by a name for the message: a pattern that ignores case, and what to write.
WORDS: dict[str, tuple[str, str]] = {
    "told": (r"\b(told|tells?|telling)\b", "report, show, warn, log"),
    "judge": (r"\b(judge[sd]?|judging|judgement)\b", "evaluate"),
    "said": (r"\b(un)?said\b", "name who reports what, or state the fact"),
    "bears": (r"\bbears?\b", "state what happens"),
    "leave away": (
        r"\b(leaves?|leaving|left) (\w+ )?away\b|\blook(s|ed|ing)? away\b",
        "omit, remove",
    ),
    "of those of": (r"\b(of|to|in|from) (those|that) of\b", "name the thing"),
    "looked at": (r"\blook(s|ed|ing) at\b", "inspect, compare, plot; or delete"),
    "handed": (r"\b(hands?|handed|handing) (\w+ )?(to|over|on|in)\b|\bhanded\b", "pass"),
    "kept (noun)": (
        r"\b(the|a|its|their|of|no|any|are|were|have) kept\b|\bwhat (is|was|are|it|they) kept\b"
        r"|\bkept (features?|answers?|predictions?|files?|images?|results?)\b|\bkeeps? to\b",
        "cached, saved, stored",
    ),
    "found (noun)": (r"\b(the|a|of) found\b", "name the thing"),
    "draw (a trial)": (
        rf"(?<!bootstrap )\b({DETERMINERS}) draws?\b(?! (a|an|the|from|random|numbers)\b)",
        "trial; `random numbers` for what a generator yields",
    ),
    "company": (r"\bcompany\b", "name the other processes, queries or images"),
}
VARIABLES = {"each", "found", "kept", "wanted", "told", "said", "judged", "handed"}
NAME_PARTS = re.compile(
    r"(^|_)(told|tell|tells|judges?|judged|judging|said|handed|bears)(_|$)", re.I
)
EXEMPT = {
    "scripts/english.py",  # holds the list
    "tests/test_english.py",  # holds the list
    "fewshot/backbones/weights/mini-resnet.classes.yaml",  # holds names of classes of ImageNet
}
TEXT_SUFFIXES = {".md", ".yaml", ".yml", ".sh", ".toml", ".cff"}
TEXT_NAMES = {"Makefile", "run"}


class Finding(NamedTuple):
    """An offence against the word list."""

    path: str  # relative to the repository's root
    line: int
    kind: str  # a key of WORDS, or "variable" or "name"
    text: str

    def __str__(self) -> str:
        advice = WORDS[self.kind][1] if self.kind in WORDS else "a noun that says what it holds"
        return f"{self.path}:{self.line}: {self.kind}: {self.text!r} ({advice})"


def files(root: Path = ROOT) -> list[str]:
    """List the tracked and new files, relative to the root, whose texts people read."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(
        command, cwd=root, capture_output=True, text=True, encoding="utf-8", check=True
    ).stdout
    return [
        name
        for name in sorted(set(listed.splitlines()))
        if (root / name).is_file() and name not in EXEMPT and _is_read(Path(name))
    ]


def _is_read(path: Path) -> bool:
    if path.is_relative_to("reports/records") or path.is_relative_to("configs/splits"):
        return False  # numbers, and names of classes
    return path.suffix in {".py", *TEXT_SUFFIXES} or path.name in TEXT_NAMES


def findings(name: str, source: str) -> list[Finding]:
    """Return the offences of one file.

    Args:
        name: path relative to the root; its suffix decides how the source is read.
        source: the content.
    """
    if not name.endswith(".py"):
        texts = _markdown(source) if name.endswith(".md") else enumerate(source.splitlines(), 1)
        return [offence for line, text in texts for offence in _in_text(name, line, text)]
    tree = ast.parse(source)
    in_texts = [
        offence
        for line, text in _python_texts(source, tree)
        for offence in _in_text(name, line, text)
    ]
    return sorted({*in_texts, *_in_names(name, tree)}, key=lambda offence: offence.line)


def _in_text(name: str, line: int, text: str) -> Iterator[Finding]:
    """Search one text, whose first line has the number `line`."""
    text = re.sub(r"`[^`\n]*`", lambda code: "`" * len(code.group()), text)
    for kind, (pattern, _) in WORDS.items():
        for match in re.finditer(pattern, text, re.IGNORECASE):
            above = text.count("\n", 0, match.start())
            yield Finding(name, line + above, kind, " ".join(match.group().split()))


def _markdown(source: str) -> Iterator[tuple[int, str]]:
    """Yield numbered lines outside fenced code."""
    fenced = False
    for number, line in enumerate(source.splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced:
            yield number, line


def _python_texts(source: str, tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield (line, text) of comments and of string literals with a space, f-strings included."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield node.lineno, node.value


def _in_names(name: str, tree: ast.AST) -> Iterator[Finding]:
    """Search the names that a file gives: variables, arguments, functions, classes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            word = node.id
        elif isinstance(node, ast.arg):
            word = node.arg
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            word = node.name
        else:
            continue
        if word in VARIABLES:
            yield Finding(name, node.lineno, "variable", word)
        elif NAME_PARTS.search(word):
            yield Finding(name, node.lineno, "name", word)


def search(paths: list[str], root: Path = ROOT) -> list[Finding]:
    """Return the offences of all files, or of those that begin with one of `paths`."""
    chosen = [name for name in files(root) if not paths or name.startswith(tuple(paths))]
    return [
        offence
        for name in chosen
        for offence in findings(name, (root / name).read_text(encoding="utf-8"))
    ]


if __name__ == "__main__":
    offences = search(sys.argv[1:])
    print(*offences, sep="\n")
    sys.exit(f"{len(offences)} findings" if offences else 0)
