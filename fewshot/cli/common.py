"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Records = Annotated[
    list[Path], typer.Argument(help="Files record.json, run folders, or folders of them.")
]
Classifier = Annotated[
    Path,
    typer.Argument(
        metavar="MODEL|RUN",
        help="Model file of `fewshot fit`, hf:user/name for one on the hub, or folder of a "
        "finished run.",
    ),
]
Backbone = Annotated[
    str | None, typer.Option(help="One of our own backbones, or any model of timm.")
]
Device = Annotated[
    str | None,
    typer.Option(help="cpu, cuda, or cuda:1.", show_default="a GPU if there is one"),
]
Threads = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="CPU threads of each trial; another number changes results slightly.",
        show_default="as many as the run has; for a new run OMP_NUM_THREADS, or 2",
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override a setting, such as train.lr=0.01; repeatable."),
]
Config = Annotated[Path | None, typer.Option(help="YAML file of settings, or a run's config.yaml.")]
Out = Annotated[Path, typer.Option(help="Folder that holds the run folders.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Log = Annotated[
    str | None,
    typer.Option(
        help="Also send the curves of trainings to tensorboard (into the run's folder) or wandb.",
        show_default="neither",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Show no progress on stderr.")]
Trial = Annotated[
    int | None, typer.Option(help="Trial of the run, by its seed.", show_default="the first")
]
