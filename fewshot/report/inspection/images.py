"""The parts of an inspection that show images: mistakes, and the nearest labelled images."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fewshot import config, io
from fewshot.errors import UserError
from fewshot.report.formatting import markdown_table, picture
from fewshot.report.inspection import run_files
from fewshot.report.inspection.run_files import Run
from fewshot.report.plots import image_sheets
from fewshot.report.plots.image_sheets import Mistake, Neighbour

if TYPE_CHECKING:
    from PIL import Image

    from episodes.types import ImageSet, TrainTest

MISTAKES, QUERIES, NEAREST = 20, 6, 5


class Inspected(NamedTuple):
    """A run, the seed of the trial whose images are shown, and the folder to write to."""

    run: Run
    seed: int | None
    out: Path


class Part(NamedTuple):
    """The files of one part of the page, and its text in Markdown."""

    files: list[Path]
    text: str


def mistakes(inspected: Inspected) -> Part:
    """Show the test images of one trial with the most confident wrong predictions."""
    wrong = _mistakes(inspected, MISTAKES)
    data = _data(inspected)
    names = inspected.run.record.classes
    pictures = _pictures(data.test, [mistake.image for mistake in wrong])
    sheet = image_sheets.of_mistakes(wrong, pictures, names)
    rows = [[*_head(mistake, names), f"{mistake.probability:.4f}"] for mistake in wrong]
    first = wrong[0]
    alt = (
        f"{len(wrong)} test images with their true and their predicted class; the first is "
        f"{names[first.true]}, predicted as {names[first.predicted]} with probability "
        f"{first.probability:.3f}."
    )
    numbered = "Test images" if inspected.run.record.folds is None else "All images"
    text = f"Trial {inspected.seed}. {numbered} are numbered from 0."
    table = markdown_table(["test image", "true", "predicted", "probability"], rows)
    return _sheet(inspected, "mistakes", sheet, alt, text, table)


def nearest(inspected: Inspected) -> Part:
    """Show the labelled images whose features are nearest to the first of the mistakes."""
    queries = _mistakes(inspected, QUERIES)
    data = _data(inspected)
    from fewshot.model import nearest as network

    folder = inspected.run.trial(inspected.seed).parent
    assert inspected.seed is not None, "a vote has no folders of trials"
    result = network.nearest(folder, inspected.seed, [query.image for query in queries], NEAREST)
    near = []
    for line in zip(result.images, result.labels, result.distances, strict=True):
        near.append([Neighbour(*neighbour) for neighbour in zip(*line, strict=True)])
    names = inspected.run.record.classes
    neighbours = [_pictures(data.train, images) for images in result.images]
    shown = _pictures(data.test, [query.image for query in queries])
    pairs = list(zip(queries, near, strict=True))
    sheet = image_sheets.of_neighbours(pairs, shown, neighbours, names)
    rows = []
    for query, line_of in pairs:
        words = [f"{names[one.label]} {one.distance:.3f}" for one in line_of]
        rows.append([*_head(query, names), *words])
    compared = f"{result.labelled:,}"
    if result.compared < result.labelled:
        compared = f"{result.compared:,} of the {result.labelled:,}"
    text = (
        f"Trial {inspected.seed}. For each of the {len(queries)} most confident mistakes, the "
        f"nearest of the {compared} labelled images by the features of the backbone. The distance "
        "is 1 - cosine similarity after the mean of the labelled images is subtracted: 0 is the "
        "same direction, 1 a right angle. The table gives class and distance."
    )
    alt = "Wrongly classified test images, each beside the labelled images nearest to it."
    places = [f"nearest {place}" for place in range(1, len(near[0]) + 1)]
    table = markdown_table(["test image", "true", "predicted", *places], rows)
    return _sheet(inspected, "nearest", sheet, alt, text, table)


def _head(mistake: Mistake, names: Sequence[str]) -> list[Any]:
    return [mistake.image, names[mistake.true], names[mistake.predicted]]


def _sheet(
    inspected: Inspected, name: str, sheet: Image.Image, alt: str, text: str, numbers: str
) -> Part:
    buffer = BytesIO()
    sheet.save(buffer, "PNG")
    path = inspected.out / f"{name}.png"
    io.write_bytes(path, buffer.getvalue())
    return Part([path], f"{picture(path, alt)}\n\n{text}\n\n{numbers}")


def _mistakes(inspected: Inspected, most: int) -> list[Mistake]:
    wrong = image_sheets.mistakes(*run_files.predictions(inspected.run, inspected.seed), most)
    if not wrong:
        raise UserError(f"trial {inspected.seed} made no mistake")
    tested = run_files.tested_images(inspected.run, inspected.seed)
    if tested is None:
        return wrong
    return [mistake._replace(image=tested[mistake.image]) for mistake in wrong]


def _data(inspected: Inspected) -> TrainTest:
    """Load the images of the run.

    Raises:
        UserError: if the images at that place are not those of the run.
    """
    from fewshot.runs import images

    path = inspected.run.trial(inspected.seed).parent / "config.yaml"
    if not path.is_file():
        raise UserError("the folder has no config.yaml, which names the data set")
    values = config.read(path)
    values.pop("compute")
    settings = config.check(config.RunConfig, values, str(path))
    data = images.load(settings, progress=True)
    _, labels = run_files.predictions(inspected.run, inspected.seed)
    tested = run_files.tested_images(inspected.run, inspected.seed)
    now = data.test.labels if tested is None else data.test.labels[tested]
    same = data.train.identity == inspected.run.record.provenance.data_fingerprint
    if not same or not np.array_equal(now.numpy(), labels):
        raise UserError(f"the images that '{settings.data}' has now are not those of the run")
    return data


def _pictures(images: ImageSet, indices: Sequence[int]) -> np.ndarray:
    """Return images as uint8 [n, h, w, c]."""
    return images.images[list(indices)].permute(0, 2, 3, 1).numpy()
