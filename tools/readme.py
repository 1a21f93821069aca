"""Puts the tables that README.md shows into it, from the committed records; `--check` only says whether they are there.

python tools/readme.py [--check]
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from fewshot import records
from fewshot.report import table

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
RECORDS = ROOT / "reports" / "records" / "main"
MARKED = re.compile(r"(<!-- table: main -->\n).*?(<!-- end of table -->)", re.DOTALL)


def written() -> str:
    """README.md as it should be."""
    found = table.markdown([record for _, record in records.find([RECORDS])])
    return MARKED.sub(lambda match: f"{match[1]}\n{found}\n\n{match[2]}", README.read_text())


if __name__ == "__main__":
    wanted = written()
    if "--check" in sys.argv:
        sys.exit(0 if README.read_text() == wanted else "README.md is stale: run python tools/readme.py")
    README.write_text(wanted)
