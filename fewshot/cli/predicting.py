"""The command that classifies image files with a model or a run: `predict`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from fewshot.cli import common
from fewshot.cli.display import work


def predict(
    classifier: common.Classifier,
    images: Annotated[
        list[Path],
        typer.Argument(
            help="Image files, or folders, which are searched with all folders inside them; - for "
            "a list of paths on standard input, one per line."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="File to write: .csv, .json, or .jsonl for a JSON object in each line.",
            show_default="print CSV",
        ),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Number of classes listed per image.")] = 1,
    sets: Annotated[
        float | None,
        typer.Option(
            help="Also list, for each image, a set of classes that contains the true one with this "
            "probability, such as 0.9.",
            show_default="no sets",
        ),
    ] = None,
    sets_exact: Annotated[
        bool,
        typer.Option(
            "--sets-exact",
            help="With --sets: fit the classifier again for each image and each possible class "
            "(full conformal prediction); this is slower but needs no held-out images.",
        ),
    ] = False,
    copy_to: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Sort copies of the images into a folder for each class; nothing is overwritten.",
            show_default="no copies",
        ),
    ] = None,
    skip_broken: Annotated[
        bool,
        typer.Option(
            "--skip-broken",
            help="Leave out files that cannot be read, and list them with the reasons, instead of "
            "stopping with an error.",
        ),
    ] = False,
    kaggle: Annotated[
        Path | None,
        typer.Option(
            help="CSV file to write: id,label in rising order of id, for files 1.png, 2.png, ..."
        ),
    ] = None,
    trial: common.Trial = None,
    device: common.Device = None,
    as_json: common.Json = False,
    quiet: common.Quiet = False,
) -> None:
    """Predict the classes of images with a model or a finished run.

    Each line has the file, its most probable class and the calibrated probability. With a model
    file, it also has the similarity to the known classes (from -1 to 1), and whether the image is
    refused because it belongs to none of them. With --out or --copy-to, the same command resumes an
    interrupted prediction.

    Examples:

        fewshot predict model.fewshot photo.jpg
        fewshot predict model.fewshot new-photos --out classes.csv --top 3
        fewshot predict model.fewshot new-photos --out classes.csv --copy-to sorted
        fewshot predict runs/0123456789ab new-photos --out classes.csv
    """
    from fewshot.cli import arguments
    from fewshot.errors import UserError

    file = arguments.prediction_file(kaggle, out, top, as_json)
    coverage = arguments.share("--sets", sets)
    if sets_exact and coverage is None:
        raise UserError("--sets-exact needs --sets, such as --sets 0.9 --sets-exact.")
    paths = arguments.image_paths(images)
    with work(quiet, resumes=file is not None or copy_to is not None):
        from fewshot.model import prediction
        from fewshot.model.prediction_work import Asked

        written = prediction.predict(
            classifier,
            paths,
            file,
            Asked(top, coverage, sets_exact),
            seed=trial,
            kaggle=kaggle is not None,
            as_json=as_json,
            copy_to=copy_to,
            skip_broken=skip_broken,
            device=device,
        )
    text = str(written) if file is None else f"{file} ({written})"
    print(f"predictions: {text}", file=sys.stderr)
    if copy_to is not None:
        print(f"copies: {copy_to}", file=sys.stderr)
