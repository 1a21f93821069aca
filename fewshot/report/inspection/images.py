"""The parts of an inspection that show images: mistakes, and what the run's network holds to be nearest to them."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fewshot import config, io
from fewshot.errors import UserError
from fewshot.report.inspection import run_files
from fewshot.report.plots import image_sheets as sheets
from fewshot.report.formatting import picture, table
from fewshot.report.inspection.run_files import Run
from fewshot.report.plots.image_sheets import Mistake, Neighbour

MISTAKES, QUERIES, NEAREST = 20, 6, 5


class Asked(NamedTuple):
    """What is inspected: a run, the one of its draws whose images are shown, the folder to write to."""

    run: Run
    seed: int
    out: Path


class Part(NamedTuple):
    """The files of one part of the page, and its text in Markdown."""

    files: list[Path]
    text: str


def mistakes(asked: Asked) -> Part:
    """The test images of one draw that were taken for a wrong class with the greatest probability."""
    record = asked.run.record
    found = _mistakes(asked, MISTAKES)
    data = _data(asked)
    names = record["classes"]
    sheet = sheets.of_mistakes(found, _pictures(data.test, [each.image for each in found]), names)
    rows = [
        [each.image, names[each.true], names[each.predicted], f"{each.probability:.4f}"]
        for each in found
    ]
    first = found[0]
    alt = (
        f"{len(found)} test images with their true and their predicted class; the first is {names[first.true]}, "
        f"taken for {names[first.predicted]} with probability {first.probability:.3f}."
    )
    text = f"Draw {asked.seed}; the number is the image's place in the test set, counted from 0."
    return _sheet(
        asked,
        "mistakes",
        sheet,
        alt,
        text,
        table(["test image", "true", "predicted", "probability"], rows),
    )


def nearest(asked: Asked) -> Part:
    """For the first of the mistakes, the labelled images whose features lie nearest."""
    queries = _mistakes(asked, QUERIES)
    data = _data(asked)
    from fewshot.model import nearest as network

    folder = asked.run.draw(asked.seed).parent
    found = network.nearest(folder, asked.seed, [each.image for each in queries], NEAREST)
    near = [
        [Neighbour(*each) for each in zip(*row, strict=True)]
        for row in zip(found.images, found.labels, found.distances, strict=True)
    ]
    names = asked.run.record["classes"]
    others = [_pictures(data.train, images) for images in found.images]
    shown = _pictures(data.test, [each.image for each in queries])
    sheet = sheets.of_neighbours(list(zip(queries, near, strict=True)), shown, others, names)
    rows = [
        [
            query.image,
            names[query.true],
            names[query.predicted],
            *(_told(each, names) for each in row),
        ]
        for query, row in zip(queries, near, strict=True)
    ]
    some = (
        f"{found.compared:,} of {found.labelled:,}"
        if found.compared < found.labelled
        else f"{found.labelled:,}"
    )
    text = (
        f"Draw {asked.seed}; the {len(queries)} most confident mistakes, and of the {some} images it learned from "
        "the nearest by the features of its backbone. Distance: 1 - cosine after the mean of the labelled images "
        "is subtracted: 0 the same direction, 1 a right angle. The table gives class and distance."
    )
    alt = "Test images that were taken for a wrong class, each beside the labelled images nearest to it."
    columns = [
        "test image",
        "true",
        "predicted",
        *(f"nearest {place}" for place in range(1, len(near[0]) + 1)),
    ]
    return _sheet(asked, "nearest", sheet, alt, text, table(columns, rows))


def _told(each: Neighbour, names: Sequence[str]) -> str:
    return f"{names[each.label]} {each.distance:.3f}"


def _sheet(asked: Asked, name: str, sheet: Any, alt: str, text: str, numbers: str) -> Part:
    buffer = BytesIO()
    sheet.save(buffer, "PNG")
    place = asked.out / f"{name}.png"
    io.write_bytes(place, buffer.getvalue())
    return Part([place], f"{picture(place, alt)}\n\n{text}\n\n{numbers}")


def _mistakes(asked: Asked, most: int) -> list[Mistake]:
    found = sheets.mistakes(*run_files.predictions(asked.run, asked.seed), most)
    if not found:
        raise UserError(f"draw {asked.seed} made no mistake")
    return found


def _data(asked: Asked) -> Any:
    """The images that the run was judged on and learned from, as they lie now; a UserError where they are others."""
    from episodes import datasets

    path = asked.run.draw(asked.seed).parent / "config.yaml"
    if not path.is_file():
        raise UserError("config.yaml is not there, which says where the images are")
    settings = config.read(path)
    data = datasets.load(settings["data"], image_size=settings["image_size"], progress=True)
    _, labels = run_files.predictions(asked.run, asked.seed)
    known = data.train.fingerprint == asked.run.record["provenance"]["data_fingerprint"]
    if not known or not np.array_equal(data.test.labels.numpy(), labels):
        raise UserError(f"the images now found under '{settings['data']}' are not those of the run")
    return data


def _pictures(images: Any, indices: Sequence[int]) -> np.ndarray:
    """uint8 [n, h, w, c] of an ImageSet's images."""
    return images.images[list(indices)].permute(0, 2, 3, 1).numpy()
