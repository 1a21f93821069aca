"""The command `data`: describe a data set, or administer the cache."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from fewshot.cli import completion
from fewshot.errors import UserError


def data(
    name: Annotated[
        str | None,
        typer.Argument(
            help="Name of a data set, or the path of a folder or file of images.",
            autocompletion=completion.data_sets,
        ),
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(help="Side to which images of a folder are resized, in pixels.")
    ] = None,
    sheet: Annotated[
        Path | None,
        typer.Option(help="File for the contact sheet.", show_default="NAME-contact-sheet.png"),
    ] = None,
    test: Annotated[
        str | None,
        typer.Option(
            help="Test images of a data set without a test part: the path of other images, or a "
            "share of each class.",
            metavar="DIR|SHARE",
        ),
    ] = None,
    group_by: Annotated[
        str | None,
        typer.Option(
            help="Put images that share this on the same side of a split: `subfolder`, `prefix` "
            "(of the file name) or the name of a column."
        ),
    ] = None,
    cache: Annotated[
        bool,
        typer.Option("--cache", help="Show the cached images, features and meta-trained weights."),
    ] = False,
    clear: Annotated[
        bool, typer.Option("--clear", help="With --cache: remove everything cached.")
    ] = False,
) -> None:
    """Show the sizes and classes of a data set and write a contact sheet, or show the cache.

    The contact sheet shows some images of every class. Notes list the files that are not read, with
    the reasons, and how the images become square. Without a test part, all images are counted
    together.

    Examples:

        fewshot data digits
        fewshot data my-photos --image-size 64
        fewshot data my-photos --test other-photos
        fewshot data --cache
    """
    if clear and not cache:
        raise UserError(
            "--clear removes what --cache shows: use both, as in fewshot data --cache --clear."
        )
    if (name is None) != cache:
        raise UserError(
            "give either the name of a data set, as in fewshot data cifar10, or --cache, which "
            "shows everything cached."
        )
    if name is None:
        from fewshot.features import administration

        print(administration.clear() if clear else administration.show())
        return
    from episodes import datasets
    from fewshot.checks import contact_sheet, describe
    from fewshot.cli import arguments

    images = datasets.load(
        name,
        image_size=image_size,
        test=arguments.test_images(test),
        group_by=group_by,
        progress=True,
    )
    print(describe.text(images))
    path = sheet or Path(f"{images.train.name}-contact-sheet.png")
    try:
        contact_sheet.write(images.train, path)
    except UserError as error:
        if sheet is not None:
            raise
        print(f"fewshot: {error}", file=sys.stderr)
    else:
        print(f"contact sheet: {path}", file=sys.stderr)
