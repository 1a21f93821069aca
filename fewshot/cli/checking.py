"""The command `check`: what is wrong with a data set, before anything is learned from it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from fewshot.cli import common, completion
from fewshot.cli.display import work
from fewshot.errors import UserError


def check(
    data: Annotated[
        str,
        typer.Argument(
            metavar="FOLDER|FILE",
            help="Folder of images, with or without a folder for each class; a table; or the name "
            "of a data set.",
            autocompletion=completion.data_sets,
        ),
    ],
    against: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER|FILE",
            help="Test images, of which none may be among the data.",
            show_default="the test part of the data, if there is one",
        ),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="Kind of fault to search for, such as `broken` or `near copy`; several separated "
            "by commas.",
            show_default="all",
        ),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 if there is a serious fault.")
    ] = False,
    fix: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Move broken files and copies into this folder; other kinds of faults only if "
            "--only names them. Nothing is deleted or overwritten.",
        ),
    ] = None,
    undo: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Move back what --fix DIR has moved.")
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a web page with the images, pairs side by side."),
    ] = None,
    device: common.Device = None,
    as_json: common.Json = False,
    quiet: common.Quiet = False,
) -> None:
    """Check images for broken files, copies, wrong labels and more.

    It reports exact and near copies, also of test images; images in two classes; labels that are
    probably wrong; images that resemble no class; classes with too few images; whether the size,
    the date or the mean colour gives the class away; and images that are dark, light, blurry,
    grey, tiny, very long, or show almost nothing.

    Examples:

        fewshot check photos
        fewshot check photos --against test-photos --page check.html
        fewshot check photos --fix moved
        fewshot check photos --undo moved
        fewshot check photos --only broken,"exact copy" --strict
    """
    if undo is not None:
        from fewshot.checks import moving
        from fewshot.cli import arguments

        if fix is not None:
            raise UserError("--fix moves images and --undo moves them back: use one.")
        arguments.check_undo(against=against, only=only, strict=strict, page=page, json=as_json)
        with work(quiet):
            n_moved = moving.undo(Path(os.path.expanduser(data)), undo)
        images = "1 image" if n_moved == 1 else f"{n_moved:,} images"
        print(f"{images} moved back to {data}", file=sys.stderr)
        return
    if page is not None and page.is_dir():
        raise UserError(f"{page} is a folder: name the file to write, such as check.html.")
    kinds = None if only is None else [one.strip() for text in only for one in text.split(",")]
    with work(quiet, resumes=False):
        from fewshot.checks import moving
        from fewshot.checks.check import check as check_data

        if fix is not None:
            moving.check_target(data, fix)
        report = check_data(data, against, only=kinds, device=device)
        if page is not None:
            from fewshot.checks import page as pages

            pages.write(report, page)
    print(json.dumps(report.to_json(), indent=1) if as_json else report)
    if page is not None:
        print(f"page: {page}", file=sys.stderr)
    if fix is not None:
        with work(quiet):
            moved = moving.move(report, fix, kinds)
        print(moved, file=sys.stderr)
    if strict and report.is_serious:
        raise typer.Exit(1)
