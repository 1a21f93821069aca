"""The command `fewshot demo`: a page in the browser for photos of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fewshot.cli import common
from fewshot.cli.display import work


def demo(
    places: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[MODEL|FOLDER]...",
            help="Model file to begin with, or hf:user/name for one on the hub; folders of photos: "
            "each folder inside is a class, and photos outside these folders have no label.",
            show_default="an empty page",
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=1, max=65535, help="Port of the page.", show_default="7860, or the next free one"
        ),
    ] = None,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")
    ] = True,
    device: common.Device = None,
    quiet: common.Quiet = False,
) -> None:
    """Open a page in the browser to label photos and see how good a classifier of them is.

    Drop photos onto it, or begin with a folder or a model. It shows which photos to label next,
    classifies the others, and offers the model and the tables for download. The page is reachable
    only from your own computer, and nothing leaves that computer. Ctrl-C stops it.

    Examples:

        fewshot demo
        fewshot demo photos
        fewshot demo model.fewshot new-photos --no-browser
    """
    from fewshot.app import server

    server.check()
    with work(quiet, resumes=False):
        server.serve(places or [], port, browser, device)
