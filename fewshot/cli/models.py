"""Commands that make and use model files: `fit`, `eval`, `add`, `show` and `export`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from fewshot.cli import common, completion
from fewshot.cli.display import work

Model = Annotated[
    Path,
    typer.Argument(
        metavar="MODEL", help="Model file of `fewshot fit`, or hf:user/name for one on the hub."
    ),
]
Public = Annotated[
    bool,
    typer.Option(
        "--public",
        help="With --out hf:user/name: make a new repository public; without this option it is "
        "private. The visibility of an existing repository does not change.",
    ),
]
LabelledData = Annotated[
    str,
    typer.Argument(
        metavar="FOLDER|FILE",
        help="Folder with a folder of images for each class, CSV file of image_path,label, or the "
        "name of a data set.",
        autocompletion=completion.data_sets,
    ),
]


def fit(
    data: LabelledData,
    out: Annotated[
        Path,
        typer.Option(
            help="Model file to write; or hf:user/name, to write it with an ONNX file and a card "
            "to a repository of the Hugging Face Hub."
        ),
    ] = Path("model.fewshot"),
    method: Annotated[
        str | None,
        typer.Option(
            help="auto, probe, protonet, finetune or scratch; auto compares the others by "
            "cross-validation of the labelled images.",
            show_default="auto",
        ),
    ] = None,
    backbone: common.Backbone = None,
    weights: Annotated[
        str | None,
        typer.Option(
            help="With --backbone: none, pretrained, or a weight file.",
            show_default="pretrained; none for scratch",
        ),
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(help="Time for the comparison of methods.", show_default="60")
    ] = None,
    reject: Annotated[
        float | None,
        typer.Option(
            help="Share of images of the known classes that may be refused as belonging to none.",
            show_default="0.05",
        ),
    ] = None,
    group_by: Annotated[
        str | None,
        typer.Option(
            help="Put images that share this into the same fold of the cross-validation: "
            "subfolder, prefix (of the file name), or a column of the table.",
            show_default="each image on its own",
        ),
    ] = None,
    standalone: Annotated[
        bool,
        typer.Option(
            "--standalone",
            help="Store the network in the file even if it is published and larger than 50 MB.",
        ),
    ] = False,
    public: Public = False,
    device: common.Device = None,
    set_: common.Set = None,
    as_json: common.Json = False,
    quiet: common.Quiet = False,
) -> None:
    """Fit a classifier to your labelled images and write it to one file.

    What it prints comes from cross-validation of the labelled images alone: how many new images
    will be classified correctly, with an interval, and which classes are confused. Images in a
    test part are not used; see `fewshot eval`.

    Examples:

        fewshot fit photos --out photos.fewshot
        fewshot fit labels.csv --method probe --reject 0.1
        fewshot fit photos --out hf:mia/pets
    """
    from fewshot.cli import arguments

    arguments.check_public(public, out)
    settings = arguments.fitting(
        set_ or [],
        method=method,
        backbone=backbone,
        weights=weights,
        seconds=seconds,
        reject=reject,
        group_by=group_by,
    )
    with work(quiet, resumes=False):
        from fewshot.model import model_card, model_output
        from fewshot.model.fit import fit_data

        model_output.check_replaceable(out)
        classifier = fit_data(data, settings, device)
        saved = model_output.save(classifier, out, standalone=standalone or None, public=public)
    if as_json:
        print(json.dumps(model_card.to_json(saved.model_file), indent=1))
    else:
        print(model_card.text(saved.model_file), end="")
    print(f"model: {saved.place} (use: fewshot predict {out.as_posix()} IMAGES)", file=sys.stderr)


def evaluate(
    classifier: common.Classifier,
    data: LabelledData,
    trial: common.Trial = None,
    device: common.Device = None,
    as_json: common.Json = False,
    quiet: common.Quiet = False,
) -> None:
    """Evaluate a model on labelled images that it has not learned from.

    Classes are matched by the names of the folders. Folders of other names count as images of no
    known class, which should be refused. If there is a test part, it alone is used.

    Example:

        fewshot eval model.fewshot test-photos
    """
    with work(quiet, resumes=False):
        from fewshot.model import scoring

        result = scoring.evaluate(classifier, data, seed=trial, device=device)
    print(json.dumps(result.to_json(), indent=1) if as_json else result)


def add(
    model: Model,
    data: LabelledData,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Model file to write, or hf:user/name for a repository of the Hugging Face Hub.",
            show_default="MODEL-2.fewshot or the next",
        ),
    ] = None,
    device: common.Device = None,
    as_json: common.Json = False,
    quiet: common.Quiet = False,
) -> None:
    """Add labelled images, or whole classes, to a model.

    The result is the same as fitting the method and network of the model to all images at once.
    Images that the model has learned from are not added again.

    Example:

        fewshot add model.fewshot more-photos --out better.fewshot
    """
    with work(quiet, resumes=False):
        from fewshot.model import adding, hub, model_card, model_output

        file = out or model_output.free_name(hub.beside(model))
        model_output.check_replaceable(file)
        added = adding.add(model, data, file, device)
    if as_json:
        print(json.dumps(model_card.to_json(added.saved.model_file), indent=1))
    else:
        print(model_card.text(added.saved.model_file), end="")
    print(f"model: {added.saved.place} ({added})", file=sys.stderr)


def show(
    model: Model,
    markdown: Annotated[
        bool,
        typer.Option(
            "--markdown",
            help="Print the card as a page in Markdown, as the Hugging Face Hub takes it.",
        ),
    ] = False,
    as_json: common.Json = False,
) -> None:
    """Show what a model file contains: classes, quality, origin of the weights, licence.

    Example:

        fewshot show model.fewshot
    """
    from fewshot.model import card_page, model_card

    model_file = model_card.read(model)
    if as_json:
        print(json.dumps(model_card.to_json(model_file), indent=1))
    else:
        text = card_page.markdown(model_file) if markdown else model_card.text(model_file)
        print(text, end="")


def export(
    model: Model,
    onnx: Annotated[
        Path | None, typer.Option(help="ONNX file to write.", show_default="none")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="hf:user/name: repository of the Hugging Face Hub to write the model, its ONNX "
            "file and its card to.",
            show_default="none",
        ),
    ] = None,
    public: Public = False,
    check: Annotated[
        list[Path] | None,
        typer.Option(
            help="Image, or folder of images, on which the ONNX file is compared with the model; "
            "repeatable.",
            show_default="no comparison",
        ),
    ] = None,
    quiet: common.Quiet = False,
) -> None:
    """Write a model as an ONNX file, or to the Hugging Face Hub.

    The ONNX file needs nothing else and takes images of any size. On the hub, `model.fewshot`,
    `model.onnx` and a card with the quality and the limits of the model share a repository, which
    is private unless you say --public.

    Examples:

        fewshot export model.fewshot --onnx model.onnx --check new-photos
        fewshot export model.fewshot --out hf:mia/pets
    """
    from fewshot.cli import arguments

    arguments.check_export(onnx, out, check, public)
    differences = None
    with work(quiet, resumes=False):
        from fewshot.model import exporting, publishing

        if onnx is not None:
            differences = exporting.export(model, onnx, check or [])
            print(f"model: {onnx}", file=sys.stderr)
        if out is not None:
            address = publishing.publish(model, out.as_posix(), public=public)
            print(
                f"model: {address} (use: fewshot predict {out.as_posix()} IMAGES)", file=sys.stderr
            )
    if differences is not None:
        print(exporting.text(differences))
        if not differences.are_small:
            raise typer.Exit(1)
