"""Pages with tables between marks: the tables come from records, the rest is written by hand."""

from __future__ import annotations

from collections.abc import Mapping

END = "<!-- end of table -->"


def filled(text: str, tables: Mapping[str, str]) -> str:
    """The text with each table between `<!-- table: NAME -->` and the end mark, where it has that mark."""
    for name, content in tables.items():
        before, mark, rest = text.partition(f"<!-- table: {name} -->\n")
        if mark:
            text = f"{before}{mark}\n{content}\n\n{END}{rest.partition(END)[2]}"
    return text
