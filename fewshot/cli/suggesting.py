"""The command `suggest`: which images to label first."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fewshot.cli import common, completion
from fewshot.cli.display import work
from fewshot.errors import UserError

if TYPE_CHECKING:
    from fewshot.model.suggest.suggestions import Suggestions


def suggest(
    pool: Annotated[
        list[str],
        typer.Argument(
            metavar="POOL",
            help="Folders of images, with folders inside or not, and image files; or one table, "
            "archive, or name of a data set, whose training images are the pool.",
            autocompletion=completion.data_sets,
        ),
    ],
    budget: Annotated[int, typer.Option(help="Number of images to suggest.")] = 20,
    model: Annotated[
        Path | None,
        typer.Option(help="Model file of the images that have labels.", show_default="no labels"),
    ] = None,
    labelled: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="In place of a model: the images that have labels, as for `fewshot fit`.",
            show_default="no labels",
        ),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            help="max-herding, k-means, typiclust, margin, coreset or random.",
            show_default="by the numbers of labels",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Folder to make.", show_default="suggestions, or suggestions-2 ..."
        ),
    ] = None,
    simulate: Annotated[
        bool,
        typer.Option(
            "--simulate",
            help="Measure on a data set whose labels are known what suggestions gain over random "
            "choice, with up to BUDGET labels.",
        ),
    ] = False,
    trials: Annotated[
        int | None,
        typer.Option(min=1, help="With --simulate: number of random pools.", show_default="10"),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of what is random.")] = 0,
    device: common.Device = None,
    as_json: common.Json = False,
    quiet: common.Quiet = False,
) -> None:
    """Suggest which images of a pool to label first.

    The folder that is written has a table with an empty column for labels, a sheet of the images,
    and a link to each image. With a model or with labelled images, the suggestions are those that
    add most to the existing labels, and images that have a label are not suggested.

    Examples:

        fewshot suggest photos --budget 20
        fewshot suggest photos --budget 20 --labelled labelled
        fewshot suggest photos --budget 20 --model labelled.fewshot
        fewshot suggest cifar10 --budget 160 --simulate
    """
    if simulate:
        if model is not None or labelled is not None or len(pool) > 1:
            raise UserError(
                "--simulate takes one data set, whose labels it knows, and begins without labels: "
                "leave out --model, --labelled and further folders."
            )
        _simulate(pool[0], budget, method, out, trials or 10, seed, device, as_json, quiet)
        return
    if trials is not None:
        raise UserError("--trials is the number of pools of --simulate: use both, or neither.")
    with work(quiet, resumes=False):
        from fewshot.model.suggest import output, suggestions

        suggestions.check(budget, method)
        folder = out or output.free_folder(Path("suggestions"))
        output.check(folder, pool)
        result = suggestions.suggest(
            pool,
            budget,
            model=model,
            labelled=labelled,
            method=suggestions.as_method(method),
            seed=seed,
            device=device,
        )
        output.write(result, folder)
    _print(result, as_json)
    print(f"suggestions: {folder}", file=sys.stderr)


def _print(result: Suggestions, as_json: bool) -> None:
    """Print the suggestions, and on stderr what else there is to know."""
    from episodes.datasets.names import readable_line
    from fewshot.model import image_listing

    if as_json:
        print(json.dumps([row._asdict() for row in result], indent=1))
    else:
        width = len(str(len(result)))
        for row in result:
            print(readable_line(f"{row.rank:>{width}}  {row.image}  ({row.reason})"))
    if result.n_known:
        print(f"{result.n_known:,} images of the pool have a label already", file=sys.stderr)
    if result.left_out:
        files = image_listing.summary(result.left_out)
        print(f"left out {len(result.left_out):,}: {files}", file=sys.stderr)


def _simulate(
    data: str,
    budget: int,
    method: str | None,
    out: Path | None,
    trials: int,
    seed: int,
    device: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Print and draw what suggestions gain over random choice."""
    with work(quiet, resumes=False):
        from fewshot.model.suggest import output, suggestions
        from fewshot.model.suggest import simulate as simulation
        from fewshot.report import suggestion_gain

        suggestions.check(budget, method)
        folder = out or output.free_folder(Path("suggestions-gain"))
        output.check(folder, [data])
        curve = simulation.of_data(
            data,
            budget,
            suggestions.as_method(method),
            n_trials=trials,
            seed=seed,
            device=device,
        )
        files = suggestion_gain.write(curve, folder)
    print(json.dumps(curve.to_json(), indent=1) if as_json else suggestion_gain.text(curve))
    for file in files:
        print(file, file=sys.stderr)
