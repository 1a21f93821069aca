"""Classify image files with a model or a run: streamed, and resumed after a stop."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from fewshot import progress
from fewshot.errors import UserError
from fewshot.model import conformal, image_listing, prediction_formats, predictor
from fewshot.model.image_listing import NotRead
from fewshot.model.partial_file import SUFFIX
from fewshot.model.prediction_formats import Content
from fewshot.model.prediction_work import LEFT_OUT, PLAIN, Asked, Work
from fewshot.model.predictor import Predictor
from fewshot.model.sorted_copies import SortedCopies

log = logging.getLogger("fewshot")


class Written(NamedTuple):
    """How many images have a prediction, and which files have none.

    Attributes:
        images: number of images.
        left_out: files that were left out.
        refused: number of images that belong to none of the classes.
        table: the table of the files that could not be read; None if there is none.
    """

    images: int
    left_out: list[NotRead]
    refused: int = 0
    table: Path | None = None

    def __str__(self) -> str:
        text = f"{self.images:,} image{'' if self.images == 1 else 's'}"
        if self.refused:
            text += f", {self.refused:,} of none of the classes"
        if self.left_out:
            text += f"; left out {len(self.left_out):,}: {image_listing.summary(self.left_out)}"
        return f"{text}; all that could not be read: {self.table}" if self.table else text


def predict(
    place: Path,
    images: Sequence[Path],
    out: Path | None = None,
    asked: Asked = PLAIN,
    *,
    seed: int | None = None,
    kaggle: bool = False,
    as_json: bool = False,
    copy_to: Path | None = None,
    skip_broken: bool = False,
    device: str | None = None,
) -> Written:
    """Write the classes of images, and of those in folders and the folders below them.

    Finished parts are stored beside `out` until it is written, whole and by rename. The same call
    resumes after whatever stopped it, and computes a part again only if one of its files has
    changed or could not be decoded. Memory does not grow with the number of images, except for
    their names.

    Args:
        place: a model file, or the folder of a finished run.
        images: image files, and folders; hidden files and folders inside them are skipped. Files
            that are not images are left out.
        out: the file to write, in the format of its suffix: .csv, .json or .jsonl; None to print
            a line for each image as soon as it is classified.
        asked: what to write for each image.
        seed: trial of the run; None for the first.
        kaggle: write rows `id,label` by rising id, of files named by integers.
        as_json: print JSON instead of CSV.
        copy_to: folder for copies of the images, in a folder for each class.
        skip_broken: leave out files that cannot be decoded.
        device: cpu, cuda and so on; None for a GPU if there is one.

    Raises:
        UserError: the request is wrong, or files cannot be decoded and `skip_broken` is off. In the
            latter case all other files are done, and stored or printed.
    """
    files = image_listing.listing(images, kaggle, _own_files(out, copy_to, images))
    if files.unreadable and not skip_broken:
        raise UserError(
            f"{image_listing.summary(files.unreadable)}; convert or remove them, or use "
            "--skip-broken to leave them out."
        )
    for note in files.notes:
        log.warning("%s.", note)
    progress.update("loading the classifier")
    ready = predictor.load(place, seed, device)
    _check(ready, asked)
    has_sets = asked.coverage is not None
    content = Content(ready.classes, asked.top, ready.model is not None, has_sets)
    lines = prediction_formats.format_of(content, out, as_json, kaggle)
    copies = None if copy_to is None else SortedCopies(copy_to, ready.classes)
    work = Work(ready, asked, files, lines, copies)
    if out is None:
        work.print(skip_broken)
    else:
        work.write(out, skip_broken)
    if has_sets and ready.model is not None:
        model = ready.model
        n_labels = len(model.support.labels) if asked.exact else len(model.fold_scores)
        sure = conformal.in_words(asked.coverage or 0, n_labels)
        log.info("Sets that contain the true class: %s.", sure)
    return Written(work.n_images, work.left_out, work.n_refused, work.table)


def _own_files(out: Path | None, copy_to: Path | None, images: Sequence[Path]) -> list[Path]:
    """Return what the prediction writes, so that it is not taken for an image; and check it."""
    own: list[Path] = []
    if out is not None:
        if out.is_dir():
            raise UserError(
                f"{out} is a folder: name the file to write, such as {out / 'predictions.csv'}."
            )
        own += [out, out.with_name(out.name + SUFFIX), out.with_name(out.stem + LEFT_OUT)]
    if copy_to is not None:
        folder = os.path.realpath(copy_to)
        for image in images:
            if os.path.commonpath([folder, os.path.realpath(image)]) == folder:
                raise UserError(
                    f"--copy-to {copy_to} holds {image}, which is to be sorted: name another "
                    "folder for the copies."
                )
        own.append(copy_to)
    return own


def _check(ready: Predictor, asked: Asked) -> None:
    """Raise UserError if the classifier cannot give what is asked for."""
    n_classes = len(ready.classes)
    if asked.top > n_classes:
        raise UserError(
            f"--top {asked.top}: the classifier has {n_classes} classes, so at most {n_classes} "
            "can be written."
        )
    if asked.coverage is None:
        return
    if ready.model is None:
        raise UserError(
            "prediction sets need a model file, because a run does not store the scores that they "
            "are computed from: make a model with fewshot fit."
        )
    if asked.exact:
        features = torch.empty(0, ready.model.backbone.n_features)
        conformal.exact_sets(ready.model, features, asked.coverage)
    else:
        conformal.sets(ready.model.fold_scores, torch.empty(0, n_classes), asked.coverage)
