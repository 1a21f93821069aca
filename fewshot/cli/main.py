"""The command line: no logic, and nothing heavy imported until a command runs."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from fewshot.errors import Diverged, UserError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Few-shot and transfer learning on images: which way of learning to use, how good it is, how sure one can be.",
)

Paths = Annotated[
    list[Path], typer.Argument(help="record.json files, run folders, or folders of them.")
]
Told = Annotated[
    list[Path],
    typer.Argument(help="Records, run folders, folders of them; or studies' YAML files."),
]


@app.command()
def run(
    method: Annotated[str | None, typer.Option(help="Learner, as `fewshot list` names it.")] = None,
    shots: Annotated[int | None, typer.Option(help="Labelled images of every class.")] = None,
    fraction: Annotated[
        float | None, typer.Option(help="Share of the training images, by class.")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="All training images.")] = False,
    data: Annotated[
        str | None, typer.Option(help="Name, or path of a folder.", show_default="cifar10")
    ] = None,
    backbone: Annotated[str | None, typer.Option(help="One of our own, or any timm model.")] = None,
    weights: Annotated[str | None, typer.Option(help="none, pretrained, or a file.")] = None,
    preset: Annotated[
        str | None, typer.Option(help="few, full, ...", show_default="by the number of labels")
    ] = None,
    seeds: Annotated[str, typer.Option(help="N draws (0 to N-1), or a range a-b.")] = "10",
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda, cuda:1.", show_default="a GPU where there is one")
    ] = None,
    workers: Annotated[
        int, typer.Option(min=1, help="Draws run at once, each in its own process.")
    ] = 1,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="key=value, as train.steps=200; repeatable.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="YAML file of settings, or a run's config.yaml.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for run folders.")] = Path("runs"),
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the record instead of the table.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress on stderr.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Run the draws again, even if finished.")
    ] = False,
) -> None:
    """Train and judge one method on labelled subsets of one data set, one draw a seed."""
    from fewshot.cli import arguments

    values = arguments.values(
        config, set_ or [], method=method, shots=shots, fraction=fraction, full=full or None, data=data,
        backbone=backbone, weights=weights, preset=preset,
    )  # fmt: skip
    draws = arguments.seeds(seeds)
    quiet = quiet or _follows()
    with _interruptible(), _progress(quiet) as tell:
        from fewshot.runs import experiment

        record = experiment.run(
            values,
            draws,
            out=out,
            device=device,
            force=force,
            workers=workers,
            progress=not quiet,
            tell=tell,
        )
    if _follows():
        return
    place = out / record["run_id"] / "record.json"
    if as_json:
        print(json.dumps(record, indent=1))
        return
    from fewshot.report import comparison as table

    print(table.markdown([record], brief=True))
    print(f"record: {place}", file=sys.stderr)


@app.command()
def pretrain(
    data: Annotated[
        str, typer.Option(help="Name, or path of a folder: what to learn features from.")
    ],
    backbone: Annotated[
        str | None,
        typer.Option(help="One of our own, or any timm model.", show_default="mini-resnet"),
    ] = None,
    epochs: Annotated[
        float | None, typer.Option(min=0, help="Passes over the data.", show_default="preset's")
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Of the first weights and the order of the images.")
    ] = 0,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda, cuda:1.", show_default="a GPU where there is one")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="key=value, as train.lr=0.01; repeatable.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file of settings.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for run folders.")] = Path("runs"),
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the record instead of the table.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress on stderr.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Train again, even if finished.")] = False,
) -> None:
    """Train a backbone on all labels of a data set and write its weights, for `run --backbone ... --weights FILE`."""
    from fewshot.cli import arguments

    values, command = arguments.pretraining(
        config, set_ or [], data=data, backbone=backbone, epochs=epochs, seed=seed
    )
    quiet = quiet or _follows()
    with _interruptible(), _progress(quiet) as tell:
        from fewshot.runs import pretraining

        record, weights = pretraining.run(
            values,
            seed,
            command=command,
            out=out,
            device=device,
            force=force,
            progress=not quiet,
            tell=tell,
        )
    if _follows():
        return
    if as_json:
        print(json.dumps(record, indent=1))
    else:
        from fewshot.report import comparison as table

        print(table.markdown([record], brief=True))
    print(f"weights: {weights} (use: {pretraining.use(record, weights)})", file=sys.stderr)


@app.command("list")
def list_() -> None:
    """Methods, backbones and data sets, one line each."""
    from fewshot.cli import catalogue

    for title, rows in catalogue.everything():
        print(f"{title}")
        width = max(len(name) for name, _ in rows)
        for name, line in rows:
            print(f"  {name:<{width}}  {line}")


@app.command("data")
def data_(
    name: Annotated[
        str | None, typer.Argument(help="A data set's name, or the path of a folder of images.")
    ] = None,
    image_size: Annotated[int | None, typer.Option(help="Working size in pixels.")] = None,
    sheet: Annotated[
        Path | None, typer.Option(help="Contact sheet.", show_default="NAME-contact-sheet.png")
    ] = None,
    cache: Annotated[
        bool, typer.Option("--cache", help="Show the decoded images and features that are kept.")
    ] = False,
    clear: Annotated[bool, typer.Option("--clear", help="With --cache: remove them all.")] = False,
) -> None:
    """Sizes, classes and a contact sheet of a data set; or what is kept of all of them."""
    if clear and not cache:
        raise UserError(
            "--clear removes what --cache shows: use both, as in fewshot data --cache --clear."
        )
    if (name is None) != cache:
        raise UserError(
            "give a data set's name, as in fewshot data cifar10, or --cache, for all that is kept."
        )
    if name is None:
        from fewshot.features import administration

        print(administration.clear() if clear else administration.show())
        return
    from fewshot.checks import contact_sheet

    text, place = contact_sheet.describe(name, image_size, sheet)
    print(text)
    print(f"contact sheet: {place}", file=sys.stderr)


@app.command()
def sweep(
    studies: Annotated[
        list[Path], typer.Argument(help="Folders or files of study rows, as configs/studies/kshot.")
    ],
    scale: Annotated[
        str, typer.Option(help="smoke: seconds a row; small: hours in all; full: the report's own.")
    ] = "small",
    only: Annotated[
        str | None, typer.Option(help="Rows by name, as K9,K10.", show_default="all")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would run, and how long.")
    ] = False,
    workers: Annotated[int, typer.Option(min=1, help="Cells run at once, through Ray.")] = 1,
    ray_address: Annotated[
        str | None, typer.Option(help="A running Ray cluster that shares --out.")
    ] = None,
    shard: Annotated[
        str, typer.Option(help="i/n: every n-th run, from the i-th on, without votes.")
    ] = "1/1",
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda, cuda:1.", show_default="a GPU where there is one")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for run folders.")] = Path("runs"),
    results: Annotated[
        Path | None,
        typer.Option(help="Folder for a file of each cell's result.", show_default="OUT/studies"),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress on stderr.")] = False,
) -> None:
    """Run the rows of studies, whatever is missing of them; a run that fails does not stop the rest."""
    from fewshot.cli import arguments
    from fewshot.studies import status
    from fewshot.studies.results import Places, progress

    rows = arguments.rows(studies, only)
    part = arguments.shard(shard)
    places = Places(arguments.scale(scale), out, results or out / "studies")
    known = progress(rows, places)
    if dry_run:
        print(status.text(known, scale))
        return
    with _interruptible(), status.Board(known, quiet) as shown:
        from fewshot.studies import sweep

        sweep.run(
            rows,
            places,
            device=device,
            workers=workers,
            address=ray_address,
            shard=part,
            tell=shown.tell,
        )
    known = progress(rows, places)
    print(status.text(known, scale))
    sys.exit(1 if any(each.failed for each in known) else 0)


@app.command()
def report(
    records: Told,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for tables, figures and page; without it the table is printed."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only say whether what is written is up to date.")
    ] = False,
    scale: Annotated[str, typer.Option(help="Of studies: smoke, small or full.")] = "small",
    results: Annotated[
        Path, typer.Option(help="Of studies: where fewshot sweep keeps results.")
    ] = Path("runs/studies"),
) -> None:
    """A comparison table of any records; of studies, tables beside the reported numbers, figures and one HTML page."""
    from fewshot.cli import arguments
    from fewshot.report.studies import report as studies

    if studies.named(records):
        sys.exit(studies.tell(records, out, check, arguments.scale(scale), results))
    from fewshot.report import comparison as table

    sys.exit(table.tell(records, out, check))


@app.command("inspect")
def inspect_(
    run: Annotated[Path, typer.Argument(help="A run's folder, or a record by itself.")],
    draw: Annotated[
        int | None,
        typer.Option(help="Seed of the draw whose images are shown.", show_default="the first"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write to.", show_default="RUN_ID-inspect")
    ] = None,
) -> None:
    """Figures of one run: confusion, classes, overfitting, calibration, mistakes, nearest labelled images."""
    from fewshot.report.inspection import report as inspection

    places, missing = inspection.inspect(run, draw, out)
    for each in places:
        print(each)
    for sentence in missing:
        print(f"not shown: {sentence}", file=sys.stderr)


@app.command()
def plan(
    records: Paths,
    target: Annotated[
        float | None, typer.Option(help="Accuracy to reach, as 0.9; without it only forecasts.")
    ] = None,
    at: Annotated[
        str | None, typer.Option(help="Labels a class to forecast for as well: 64,128.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for figures of the curves and their forecasts.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON instead of the table.")
    ] = False,
) -> None:
    """How many labels a target accuracy needs, from runs at three numbers of labels or more, and how sure that is."""
    from fewshot.cli import arguments

    counts = arguments.counts(at)
    from fewshot.report.forecasting import report as sample_size

    text, written = sample_size.tell(records, target, counts, out, as_json)
    print(text)
    for path in written:
        print(path, file=sys.stderr)


@app.command()
def vote(
    runs: Paths,
    rule: Annotated[str, typer.Option(help="soft: mean of softmax; hard: majority.")] = "soft",
    best: Annotated[
        str | None,
        typer.Option(
            help="Percent of members, best on validation first: 10,50.", show_default="all"
        ),
    ] = None,
    pool: Annotated[
        bool, typer.Option("--pool", help="All draws in one vote, instead of a vote a seed.")
    ] = False,
    out: Annotated[Path, typer.Option(help="Folder for the votes' own folders.")] = Path("runs"),
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the records instead of the table.")
    ] = False,
) -> None:
    """Let finished runs vote, from the predictions that they saved; nothing is trained."""
    from fewshot.cli import arguments

    percents = arguments.percents(best)
    from fewshot.runs import voting

    found = voting.vote(runs, rule=rule, percents=percents, pool=pool, out=out)
    if as_json:
        print(json.dumps(found, indent=1))
        return
    from fewshot.report import comparison as table

    print(table.markdown(found, brief=True))
    for record in found:
        print(f"record: {out / record['run_id'] / 'record.json'}", file=sys.stderr)


@app.command()
def predict(
    run: Annotated[
        Path,
        typer.Argument(help="Folder of a finished run; the data it was made from must be there."),
    ],
    images: Annotated[
        Path, typer.Argument(help="Folder of image files; folders in it are not read.")
    ],
    draw: Annotated[
        int | None, typer.Option(help="Draw of the run, by its seed.", show_default="the first")
    ] = None,
    kaggle: Annotated[
        Path | None,
        typer.Option(help="CSV to write: id,label by rising id, for files named 1.png, 2.png, ..."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="CSV to write: file,label,probability (softmax, not calibrated)."),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="With --out: so many of the best classes.")] = 1,
    skip_broken: Annotated[
        bool,
        typer.Option(
            "--skip-broken",
            help="Leave out files that are no readable images, instead of an error.",
        ),
    ] = False,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda, cuda:1.", show_default="a GPU where there is one")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress on stderr.")] = False,
) -> None:
    """Tell the classes of a folder of images by a finished run; stopped at any moment, the same command continues."""
    from fewshot.cli import arguments

    place = arguments.predictions(kaggle, out, top)
    with _interruptible(), _progress(quiet) as tell:
        from fewshot.model import prediction

        found = prediction.predict(
            run, images, place, seed=draw, kaggle=kaggle is not None, top=top, skip_broken=skip_broken, device=device,
            tell=tell,
        )  # fmt: skip
    print(f"predictions: {place} ({found})", file=sys.stderr)


def _follows() -> bool:
    """Whether torchrun started this process as one of several, and not as the first, which speaks for all."""
    return os.environ.get("RANK", "0") != "0"


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """An interruption is said in a line, with exit code 130."""
    try:
        yield
    except KeyboardInterrupt:
        if not _follows():
            print("fewshot: interrupted; the same command continues.", file=sys.stderr)
        raise typer.Exit(130) from None


class _progress:
    """`tell(text)`: one line on a terminal, replaced as work goes on; plain lines elsewhere, a few seconds apart."""

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet
        self.last = float("-inf")
        self.status: Any = None

    def __enter__(self) -> Any:
        if sys.stderr.isatty() and not self.quiet:
            from rich.console import Console

            self.status = Console(stderr=True).status("")
        return self.tell

    def tell(self, text: str) -> None:
        import time

        if self.status is not None:
            self.status.start()  # not before the first draw: decoding has a bar of its own
            self.status.update(text)
        elif not self.quiet and time.monotonic() - self.last > 5:
            print(text, file=sys.stderr, flush=True)
            self.last = time.monotonic()

    def __exit__(self, *error: object) -> None:
        if self.status is not None:
            self.status.stop()


def main() -> NoReturn:
    """Exit codes: 0 done, 1 a run failed, 2 the request was wrong, 130 interrupted and resumable."""
    # Threads that wait sleep instead of spinning: up to 8% slower alone on the machine, but 1.7 times as fast and
    # more beside another busy program (benchmarks/beside_another.py). It has to be said before torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        app()
    except UserError as error:
        print(f"fewshot: {error}", file=sys.stderr)
        sys.exit(2)
    except Diverged as error:
        print(f"fewshot: {error}", file=sys.stderr)
        sys.exit(1)
    sys.exit(0)
