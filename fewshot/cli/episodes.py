"""The command `episodes`: evaluate methods on many N-way k-shot tasks."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from fewshot.cli import common, completion
from fewshot.cli.display import work


def episodes(
    method: Annotated[
        str | None,
        typer.Option(
            help="Heads or learners, as `fewshot list` names them; several are separated by "
            "commas and see identical tasks.",
            autocompletion=completion.methods,
        ),
    ] = None,
    ways: Annotated[
        str | None,
        typer.Option(help="Classes of a task, or several numbers: 5,20.", show_default="5"),
    ] = None,
    shots: Annotated[
        str | None,
        typer.Option(help="Support images per class, or several numbers: 1,5.", show_default="1"),
    ] = None,
    queries: Annotated[
        int | None, typer.Option(help="Query images per class.", show_default="15")
    ] = None,
    tasks: Annotated[int | None, typer.Option(help="Number of tasks.", show_default="2000")] = None,
    sampler: Annotated[
        str | None,
        typer.Option(
            help="Shape of the tasks: fixed; varying (ways and shots as in Meta-Dataset); or "
            "superclasses (one task for each).",
            show_default="fixed",
        ),
    ] = None,
    balance: Annotated[
        str | None,
        typer.Option(
            help="Numbers of queries of the classes: balanced, dirichlet, or missing (a class "
            "has none); or several of them.",
            show_default="balanced",
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed of the tasks.", show_default="0")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="Name of a data set, or the path of a folder or file of images.",
            show_default="cifar10",
            autocompletion=completion.data_sets,
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="Division of the classes into base, val and novel: a name, a YAML file, or "
            "seed:S:BASE/VAL/NOVEL.",
            show_default="all classes are novel",
        ),
    ] = None,
    part: Annotated[
        str | None,
        typer.Option(help="Classes of the tasks: novel or val.", show_default="novel"),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            help="Data sets whose classes are the base classes, separated by commas.",
            show_default="the base classes of the split",
        ),
    ] = None,
    train: Annotated[
        bool, typer.Option("--train", help="Meta-train on the base classes first.")
    ] = False,
    train_seed: Annotated[
        int | None,
        typer.Option(min=0, help="Seed of the meta-training.", show_default="0"),
    ] = None,
    backbone: common.Backbone = None,
    weights: Annotated[
        str | None,
        typer.Option(
            help="none (random), pretrained, or a weight file; without it, a --backbone other than "
            "the default one has random weights."
        ),
    ] = None,
    features: Annotated[
        Path | None,
        typer.Option(help="File .npz with your own features [n, d] and labels [n], for heads."),
    ] = None,
    base_features: Annotated[
        Path | None,
        typer.Option(
            help="File .npz with features [m, d] of base classes; heads subtract their mean."
        ),
    ] = None,
    task_file: Annotated[
        Path | None,
        typer.Option(help="File of tasks to evaluate on, such as the tasks.npz of a run."),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="Packaged preset, or the path of a YAML file.",
            show_default="the method's own, by the weights",
            autocompletion=completion.presets,
        ),
    ] = None,
    set_: common.Set = None,
    config: common.Config = None,
    device: common.Device = None,
    threads: common.Threads = None,
    out: common.Out = Path("runs"),
    log: common.Log = None,
    as_json: common.Json = False,
    quiet: common.Quiet = False,
    force: Annotated[
        bool, typer.Option("--force", help="Evaluate finished runs again as well.")
    ] = False,
) -> None:
    """Evaluate methods on many N-way k-shot tasks of classes that they were not trained on.

    Every method sees identical tasks. Each combination of method, ways, shots and balance is one
    run with a record and its tasks.

    Examples:

        fewshot episodes --method nearest-mean --data cifar10 --shots 1,5
        fewshot episodes --method nearest-mean,pt-map --data cifar10 --balance balanced,dirichlet
        fewshot episodes --method protonet --train --data tinyimagenet32 --split tinyimagenet
    """
    from fewshot.cli import task_arguments

    requests = task_arguments.requests(
        config,
        set_ or [],
        method=method,
        ways=ways,
        shots=shots,
        balance=balance,
        tasks={
            "queries": queries,
            "count": tasks,
            "sampler": sampler,
            "seed": seed,
            "file": None if task_file is None else str(task_file),
        },
        train=train,
        train_seed=train_seed,
        data=data,
        split=split,
        part=part,
        base=base,
        backbone=backbone,
        weights=weights,
        preset=preset,
    )
    task_arguments.check_features(features, base_features)
    with work(quiet):
        from fewshot.runs.episodic import experiment, given
        from fewshot.training import curves

        with curves.sent_to(log):
            records = experiment.run_all(
                requests,
                out=out,
                device=device,
                threads=threads,
                force=force,
                given=None if features is None else given.read(features, base_features),
            )
    if as_json:
        print(json.dumps([record.to_json() for record in records], indent=1))
        return
    from fewshot.report.episodic import terminal

    print(terminal.text(records))
    for record in records:
        print(f"record: {out / record.run_id / 'record.json'}", file=sys.stderr)
