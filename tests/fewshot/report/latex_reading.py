"""Read LaTeX tables back, and compile them, without the code that writes them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

ENGINES = ("pdflatex", "lualatex", "xelatex")
PACKAGES = ("array", "booktabs", "longtable", "pdflscape", "rotating")
MULTILINE = re.compile(r"\\begin\{tabular\}\[b\]\{@\{\}[lr]@\{\}\}(.*?)\\end\{tabular\}")


class Read(NamedTuple):
    """A block of a table: its number of columns as stated, its headings, and its rows."""

    columns: int
    headings: list[str]
    rows: list[list[str]]


def blocks(text: str) -> list[Read]:
    """Return every `tabular` and `longtable` of a LaTeX text."""
    text = re.sub(r"(?<!\\)%.*", "", text)
    text = MULTILINE.sub(lambda match: match[1].replace(r" \\ ", " "), text)
    environment = r"\\begin\{(tabular|longtable)\}\{([^\n]*)\}\n(.*?)\\end\{\1\}"
    return [_block(types, body) for _, types, body in re.findall(environment, text, re.S)]


def _block(types: str, body: str) -> Read:
    head = body.split(r"\toprule", 1)[1].split(r"\midrule")[0]
    last = r"\endlastfoot" if r"\endlastfoot" in body else r"\midrule"
    rows = body.split(last, 1)[1].removesuffix("\\bottomrule\n")
    types = re.sub(r">\{\\raggedright\\arraybackslash\}p\{[\d.]+\\linewidth\}", "p", types)
    assert set(types) <= set("lrp")
    (headings,), cells = _rows(head), _rows(rows)
    return Read(len(types), headings, cells)


def _rows(text: str) -> list[list[str]]:
    lines = [line for line in re.split(r"\\\\", text) if line.strip()]
    return [[cell.strip() for cell in re.split(r"(?<!\\)&", line)] for line in lines]


def compile_document(text: str, folder: Path) -> str:
    """Compile tables as a document of the class article, and return what TeX says.

    Skips the test where no TeX engine is installed. Fails if the engine does.
    """
    engine = next((name for name in ENGINES if shutil.which(name)), None)
    if engine is None:
        pytest.skip(f"no TeX engine: none of {', '.join(ENGINES)} is installed")
    preamble = "\\documentclass{article}\n\\usepackage{" + ",".join(PACKAGES) + "}\n"
    document = folder / "document.tex"
    document.write_text(
        f"{preamble}\\begin{{document}}\n{text}\n\\end{{document}}\n", encoding="utf-8"
    )
    command = [engine, "-interaction=nonstopmode", "-halt-on-error", document.name]
    for _ in range(4):
        done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
        output = done.stdout.decode(errors="replace")
        if done.returncode and "not found" in output:
            pytest.skip(f"{engine} lacks a package: {output.split('! ')[1].splitlines()[0]}")
        assert done.returncode == 0, output[-3000:]
        if "Rerun LaTeX" not in output and "may have changed" not in output:
            return output
    return output
