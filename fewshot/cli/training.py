"""Commands that train: `run` and `pretrain`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from fewshot.cli import common, completion
from fewshot.cli.display import is_follower, work


def run(
    method: Annotated[
        str | None,
        typer.Option(
            help="Learner, as `fewshot list` names it.",
            show_default="probe",
            autocompletion=completion.methods,
        ),
    ] = None,
    shots: Annotated[int | None, typer.Option(help="Labelled images per class.")] = None,
    fraction: Annotated[
        float | None, typer.Option(help="Share of each class's training images to label.")
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Label all training images; the default with --data.")
    ] = False,
    data: Annotated[
        str | None,
        typer.Option(
            help="Name of a data set, or the path of a folder or file of images.",
            show_default="cifar10",
            autocompletion=completion.data_sets,
        ),
    ] = None,
    backbone: common.Backbone = None,
    weights: Annotated[
        str | None,
        typer.Option(
            help="none (random), pretrained, or a weight file; without it, a --backbone other than "
            "the preset's has random weights."
        ),
    ] = None,
    test: Annotated[
        str | None,
        typer.Option(
            help="Test images: the path of other images, or a share of a data set without a test "
            "part, such as 0.2.",
            show_default="its test part, or cross-validation",
        ),
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(
            min=2,
            help="Folds of the cross-validation of a data set without a test part.",
            show_default="5",
        ),
    ] = None,
    group_by: Annotated[
        str | None,
        typer.Option(
            help="Put images that share this into the same fold or part: subfolder, prefix (of the "
            "file name), or a column of the table.",
            show_default="each image on its own",
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="Packaged preset, or the path of a YAML file.",
            show_default="few or full, by the number of labels",
            autocompletion=completion.presets,
        ),
    ] = None,
    seeds: Annotated[
        str, typer.Option(help="Number of trials (seeds 0 to N-1), or a range a-b.")
    ] = "10",
    device: common.Device = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Trials at the same time, each in its own process; results do not change.",
            show_default="for long trials as many as fit on the cores; 1 on a GPU",
        ),
    ] = None,
    threads: common.Threads = None,
    set_: common.Set = None,
    config: common.Config = None,
    out: common.Out = Path("runs"),
    log: common.Log = None,
    as_json: common.Json = False,
    quiet: common.Quiet = False,
    force: Annotated[
        bool, typer.Option("--force", help="Run finished trials again as well.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Print what would run and how long it takes; start no trial."
        ),
    ] = False,
) -> None:
    """Train and evaluate one method on labelled subsets of a data set.

    Each seed is one trial: it samples a labelled subset, trains the method on it, and evaluates it
    on the whole test set. Finished trials are not repeated, so a second call with more seeds runs
    only the missing ones. A data set without a test part is cross-validated: each trial tests on
    one fold (of 5 by default, see --folds) and learns from the others. After each fold has
    been tested once, the images are split anew.

    Examples:

        fewshot run --data photos
        fewshot run --method protonet --shots 16 --data digits
        fewshot run --method finetune --fraction 0.01 --seeds 3
        fewshot run --method scratch --full --set train.epochs=30 --set train.lr=0.05
    """
    from fewshot.cli import arguments

    values = arguments.values(
        config,
        set_ or [],
        method=method,
        shots=shots,
        fraction=fraction,
        full=full or None,
        data=data,
        backbone=backbone,
        weights=weights,
        test=test,
        test_folds=folds,
        group_by=group_by,
        preset=preset,
    )
    seed_list = arguments.seeds(seeds)
    if dry_run:
        with work(quiet):
            from fewshot.runs import dry_run as trying

            forecast = trying.forecast(values, seed_list, out=out, device=device, threads=threads)
        print(json.dumps(forecast.to_json(), indent=1) if as_json else forecast)
        return
    with work(quiet):
        from fewshot.runs import experiment
        from fewshot.training import curves

        with curves.sent_to(log):
            record = experiment.run(
                values,
                seed_list,
                out=out,
                device=device,
                force=force,
                workers=workers,
                threads=threads,
            )
    if is_follower():
        return
    if as_json:
        print(json.dumps(record.to_json(), indent=1))
        return
    from fewshot.report import comparison

    print(comparison.markdown([record], brief=True))
    print(f"record: {out / record.run_id / 'record.json'}", file=sys.stderr)


def pretrain(
    data: Annotated[
        str,
        typer.Option(
            help="Data set to learn features from: a name, or the path of a folder or file.",
            autocompletion=completion.data_sets,
        ),
    ],
    backbone: Annotated[
        str | None,
        typer.Option(
            help="One of our own backbones, or any model of timm.", show_default="mini-resnet"
        ),
    ] = None,
    epochs: Annotated[
        float | None,
        typer.Option(min=0, help="Passes over the data.", show_default="the preset's"),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of the initial weights and of the images' order.")
    ] = 0,
    device: common.Device = None,
    threads: common.Threads = None,
    set_: common.Set = None,
    config: common.Config = None,
    out: common.Out = Path("runs"),
    log: common.Log = None,
    as_json: common.Json = False,
    quiet: common.Quiet = False,
    force: Annotated[bool, typer.Option("--force", help="Train again, even if finished.")] = False,
) -> None:
    """Train a backbone on all labels of a data set and write its weights for other runs.

    The last line on stderr names the weight file and the options of `fewshot run` that use it.

    Example:

        fewshot pretrain --data tinyimagenet32 --backbone conv4 --epochs 20
    """
    from fewshot.cli import arguments

    values, command = arguments.pretraining(
        config, set_ or [], data=data, backbone=backbone, epochs=epochs, seed=seed
    )
    with work(quiet):
        from fewshot.runs import pretraining
        from fewshot.training import curves

        with curves.sent_to(log):
            record, weights = pretraining.run(
                values,
                seed,
                command=command,
                out=out,
                device=device,
                threads=threads,
                force=force,
            )
    if is_follower():
        return
    if as_json:
        print(json.dumps(record.to_json(), indent=1))
    else:
        from fewshot.report import comparison

        print(comparison.markdown([record], brief=True))
    print(f"weights: {weights} (use: {pretraining.use(record, weights)})", file=sys.stderr)
