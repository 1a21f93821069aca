"""The command line: it has no logic, and it imports nothing heavy until a command runs."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from episodes.datasets.names import readable_line
from fewshot.cli import (
    checking,
    data,
    demo,
    display,
    episodes,
    example,
    listing,
    models,
    predicting,
    reporting,
    suggesting,
    training,
    using,
)
from fewshot.errors import Diverged, ProcessLost, RaisedByMainProcess, UserError

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(example.example)
app.command()(suggesting.suggest)
app.command()(models.fit)
app.command()(predicting.predict)
app.command("eval")(models.evaluate)
app.command()(models.add)
app.command()(models.show)
app.command()(models.export)
app.command()(demo.demo)
app.command()(training.run)
app.command()(training.pretrain)
app.command()(episodes.episodes)
app.command("list")(listing.list_)
app.command()(listing.options)
app.command()(data.data)
app.command()(checking.check)
app.command()(reporting.sweep)
app.command()(reporting.report)
app.command()(reporting.inspect)
app.command()(using.forecast)
app.command()(using.vote)


def _show_version(asked: bool) -> None:
    if asked:
        from fewshot import __version__

        print(f"fewshot {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Few-shot and transfer learning on images.

    Compare ways of learning from few labelled images: which one to use, how good it is, and how
    sure that is. Begin with `fewshot list` and `fewshot run --help`.
    """


def _of_system(error: OSError) -> str:
    """Return a sentence about an error of the file system that no command explains itself."""
    reason = error.strerror or str(error)
    place = "a file" if error.filename is None else str(error.filename)
    return (
        f"{place} cannot be read or written ({reason}): free some space, check the permissions, or "
        "name another folder (--out for results, FEWSHOT_CACHE for the cache)."
    )


def _check_working_directory() -> None:
    """Raise UserError if it was removed; relative paths then lead nowhere, and torch aborts."""
    try:
        Path.cwd()
    except FileNotFoundError:
        raise UserError("the working directory was removed: change to another (cd).") from None


def _lacking_memory(error: BaseException) -> str | None:
    """Return whose memory an error says was used up; None for another error. Imports no torch."""
    if type(error).__name__ == "OutOfMemoryError":
        return "GPU"
    is_of_torch = "DefaultCPUAllocator: can't allocate memory" in str(error)
    return "computer" if is_of_torch or isinstance(error, MemoryError) else None


def main() -> NoReturn:
    """Run the command line.

    Exit codes: 0 done, 1 a run failed, 2 the request was wrong, 130 interrupted and resumable.
    """
    # Idle OpenMP threads sleep instead of spinning. A run alone on its machine is up to 8% slower,
    # but beside another busy program it is 1.7 times as fast or more (see benchmarks/). This must
    # be set before torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    display.replace_closed_streams()
    display.never_fail_to_print()
    display.install_log_handler()
    display.take_termination_as_ctrl_c()
    display.never_lose_an_interruption()
    try:
        _check_working_directory()
        app()
    except RaisedByMainProcess:
        sys.exit(2)
    except UserError as error:
        print(readable_line(f"fewshot: {error}"), file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        print(readable_line(f"fewshot: {_of_system(error)}"), file=sys.stderr)
        sys.exit(2)
    except (Diverged, ProcessLost) as error:
        print(f"fewshot: {error}", file=sys.stderr)
        sys.exit(1)
    except (KeyboardInterrupt, RuntimeError, MemoryError) as error:
        if display.is_interruption(error):
            sys.exit(130)
        if (memory := _lacking_memory(error)) is None:
            raise
        print(
            f"fewshot: the memory of the {memory} was not enough: close other programs, or use a "
            "smaller train.batch_size or image_size, fewer --workers or another --device; trials "
            "that are finished stay.",
            file=sys.stderr,
        )
        sys.exit(1)
    finally:
        display.ignore_signals_at_exit()
    sys.exit(0)
