"""Oracle: the options of the commands as Click sees them."""

from __future__ import annotations

import typer.main

from fewshot.cli import main

SAME_EVERYWHERE = {"--device", "--json", "--quiet", "--set", "--trial"}


def test_an_option_means_the_same_in_every_command() -> None:
    group = typer.main.get_command(main.app)
    helps: dict[str, set[str]] = {}
    for command in group.commands.values():  # type: ignore[attr-defined]
        for parameter in command.params:
            for flag in set(parameter.opts) & SAME_EVERYWHERE:
                helps.setdefault(flag, set()).add(parameter.help)
    assert set(helps) == SAME_EVERYWHERE
    assert all(len(texts) == 1 for texts in helps.values()), helps
