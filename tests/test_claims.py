"""Comparisons in presets against what they rest on. Oracle: records, log and pages on disk."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
COMPARISON = re.compile(
    r"\b(better|worse|best|gain(s|ed)?|alike|oscillates?|fails?|ruins?|faster|slower|enough"
    r"|settles?|as good|good as|too (few|small|large|many|high|low)|far (above|below)|saves?"
    r"|los(es?|t)|costs?|takes? .*(times|as long)|no (clear )?difference|may)\b",
    re.I,
)
PLACE = re.compile(r"\b(?:docs|reports|benchmarks)/[\w./-]*\w")
CITATION = re.compile(r"arXiv \d{4}\.\d{4,5}|\bthe (report|slides)\b")  # of the studies
ASSUMED = re.compile(r"\bassumed\b|\bnot compared\b", re.I)
QUOTED = re.compile(r"\"[^\"]*\"|`[^`]*`")
SECTION = re.compile(r"docs/log\.md \(\"(?P<title>.*?)\"", re.S)


def comments(text: str) -> list[str]:
    """Return each comment of a YAML file: an inline one, or a block of whole lines."""
    texts: list[str] = []
    block: list[str] = []
    for line in [*text.splitlines(), ""]:
        before, mark, comment = line.partition("#")
        if mark and not before.strip():
            block.append(comment.strip())
            continue
        if block:
            texts.append(" ".join(block))
            block = []
        if mark:
            texts.append(comment.strip())
    return texts


def problems(text: str) -> list[str]:
    """Return the comparisons of a file that rest on nothing, and the places that do not exist."""
    bad = []
    for comment in comments(text):
        places = PLACE.findall(comment)
        bad += [f"{place} does not exist" for place in places if not (ROOT / place).exists()]
        words = QUOTED.sub("", PLACE.sub("", comment))
        compares = COMPARISON.search(words)
        if compares and not places and not ASSUMED.search(words) and not CITATION.search(words):
            bad.append(f"'{compares[0]}' rests on nothing: {comment}")
    return bad


PRESETS = sorted((ROOT / "configs" / "methods").rglob("*.yaml"))


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_comparisons_in_presets_name_a_record_the_log_a_paper_or_are_assumed(path: Path) -> None:
    assert problems(path.read_text()) == []


def test_the_sections_of_the_log_that_presets_name_exist() -> None:
    log = (ROOT / "docs" / "log.md").read_text()
    headings = [line.partition(": ")[2] for line in log.splitlines() if line.startswith("## ")]
    for path in PRESETS:
        for comment in comments(path.read_text()):
            for match in SECTION.finditer(comment):
                assert match["title"] in headings, (path, match["title"])


@pytest.mark.parametrize(
    ("text", "n_problems"),
    [
        ("lr: 0.1  # better than 0.2", 1),
        ("lr: 0.1  # better than 0.2: docs/log.md", 0),
        ("lr: 0.1  # better than 0.2: reports/records/nowhere.json", 1),
        ("lr: 0.1  # assumed; 0.2 may be better", 0),
        ("lr: 0.1  # Snell et al., arXiv 1703.05175, found it better than 0.2", 0),
        ("# The rate is\n# no better here than others.\nlr: 0.1", 1),
        ("# The rate is no better than\n# others: docs/log.md.\nlr: 0.1", 0),
        ("lr: 0.1  # twice the usual rate", 0),
        ("steps: 4  # 2 are too few here", 1),
    ],
)
def test_the_check_itself(text: str, n_problems: int) -> None:
    assert len(problems(text)) == n_problems
