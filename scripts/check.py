"""Measure the checks of a data set against planted faults and other tools, and write their page.

python -m scripts.check run        # measure how images look, beside cleanvision, without a record
python -m scripts.check            # write the tables of reports/check.md
python -m scripts.check --check    # exit with an error if one is stale

The test images of imagenette160 are copied into a folder as they are, and some again with a fault:
as many for each fault and strength. The records are in reports/records/check;
those of copies and labels are measured by scripts.check_copies and scripts.check_labels.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypedDict

from PIL import Image, ImageFilter

from episodes import datasets
from fewshot import io
from fewshot.checks import appearance, reading
from fewshot.report.formatting import markdown_table
from scripts import check_copies_tables, check_labels, pages
from scripts.pages import RECORDS, ROOT

FOLDER = RECORDS / "check"
PAGE = ROOT / "reports" / "check.md"
PLANTED = 50  # images of each fault and strength
# Ours -> that of cleanvision.
KINDS = {
    "dark": "dark",
    "light": "light",
    "blurry": "blurry",
    "grey": "grayscale",
    "odd aspect": "odd_aspect_ratio",
    "low information": "low_information",
}
Fault = Callable[[Image.Image], Image.Image]
FAULTS: dict[str, tuple[str, Fault]] = {
    "as they are": ("", lambda image: image),
    "brightness x 0.25": ("dark", lambda image: image.point(lambda value: value // 4)),
    "brightness x 0.1": ("dark", lambda image: image.point(lambda value: value // 10)),
    "towards white, 0.5": (
        "light",
        lambda image: image.point(lambda value: 255 - (255 - value) // 2),
    ),
    "towards white, 0.95": (
        "light",
        lambda image: image.point(lambda value: 255 - (255 - value) // 20),
    ),
    "blur, radius 2": ("blurry", lambda image: image.filter(ImageFilter.GaussianBlur(2))),
    "blur, radius 4": ("blurry", lambda image: image.filter(ImageFilter.GaussianBlur(4))),
    "blur, radius 8": ("blurry", lambda image: image.filter(ImageFilter.GaussianBlur(8))),
    "grey": ("grey", lambda image: image.convert("L")),
    "strip of 1:4": ("odd aspect", lambda image: image.crop((0, 0, image.width, image.width // 4))),
    "4 grey levels": ("low information", lambda image: image.convert("L").quantize(4).convert("L")),
}


class Count(TypedDict):
    """What was flagged as one kind among the images with one fault."""

    fault: str
    kind: str
    images: int
    ours: int
    cleanvision: int
    both: int


class Looks(TypedDict):
    """What was measured of how images look."""

    data: str
    cleanvision: str
    counts: list[Count]


def plant(folder: Path) -> None:
    """Write the images into a folder, with a folder for each fault."""
    part = datasets.contents("imagenette160").test
    assert part is not None
    chosen = [path for chunk in part.chunks() for path in chunk if isinstance(path, Path)]
    step = len(chosen) // PLANTED
    for number, (name, (_, change)) in enumerate(FAULTS.items()):
        place = folder / f"{number}"
        place.mkdir(parents=True)
        some = chosen if name == "as they are" else chosen[number % step :: step][:PLANTED]
        for position, file in enumerate(some):
            target = place / f"{position:04d}.png"
            if name == "as they are":
                shutil.copy(file, target.with_suffix(file.suffix))
                continue
            with Image.open(file) as image:
                change(image.convert("RGB")).save(target)


def measure() -> None:
    """Measure how images look, unless there is a record."""
    path = FOLDER / "appearance.json"
    if path.exists():
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "images"
        plant(folder)
        io.make_folder(FOLDER)
        io.write_json(path, _looks(folder))
    print(path, flush=True)


def _looks(folder: Path) -> Looks:
    import cleanvision
    from cleanvision import Imagelab

    lab = Imagelab(data_path=str(folder))
    lab.find_issues({name: {} for name in KINDS.values()}, n_jobs=1, verbose=False)
    theirs = lab.issues.rename(index=lambda path: str(Path(path).relative_to(folder)))
    (data,) = reading.read(str(folder), with_features=False)
    odd = appearance.flags(data)
    counts: list[Count] = []
    for number, name in enumerate(FAULTS):
        positions = [i for i, own in enumerate(data.names) if own.startswith(f"{number}/")]
        names = [data.names[position] for position in positions]
        for kind, other in KINDS.items():
            ours = odd[kind][positions].numpy()
            flagged = theirs.loc[names, f"is_{other}_issue"].to_numpy(dtype=bool)
            counts.append(
                Count(
                    fault=name,
                    kind=kind,
                    images=len(positions),
                    ours=int(ours.sum()),
                    cleanvision=int(flagged.sum()),
                    both=int((ours & flagged).sum()),
                )
            )
    return Looks(data="imagenette160", cleanvision=cleanvision.__version__, counts=counts)


def table_of_looks() -> str:
    """Return how many images are flagged, as they are and with the fault of the kind."""
    path = FOLDER / "appearance.json"
    lines = []
    record: Looks = io.read_json(path)
    for count in record["counts"]:
        planted = FAULTS[count["fault"]][0]
        if planted not in ("", count["kind"]):
            continue
        lines.append(
            [
                count["kind"],
                count["fault"],
                count["images"],
                count["ours"],
                count["cleanvision"],
                count["both"],
            ]
        )
    lines.sort(key=lambda line: list(KINDS).index(line[0]))
    return markdown_table(["kind", "images", "n", "fewshot", "cleanvision", "both"], lines)


def tables() -> dict[str, str]:
    """Return the tables of the page."""
    return {
        "looks": table_of_looks(),
        "listed": check_copies_tables.table_of_listed(),
        "precision": check_copies_tables.table_of_precision(),
        "planted": check_copies_tables.table_of_planted(),
        "seconds": check_copies_tables.table_of_seconds(),
        "drawings": check_copies_tables.table_of_drawings(),
        "labels": check_labels.table_of_wrong_labels(),
        "confirmed": check_labels.table_of_confirmed_errors(),
        "foreign": check_labels.table_of_foreign_images(),
        "properties": check_labels.table_of_properties(),
    }


if __name__ == "__main__":
    if sys.argv[1:] == ["run"]:
        measure()
    else:
        pages.update([PAGE], tables, "scripts.check")
