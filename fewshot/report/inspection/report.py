"""All figures that tell about one run or record, and a page that shows them with the numbers behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fewshot import io
from fewshot.errors import UserError
from fewshot.report.inspection import images as inspected_images, run_files
from fewshot.report.plots import (
    calibration,
    classes,
    style as drawing,
    training_curves as overfitting,
)
from fewshot.report.inspection.images import Asked, Part
from fewshot.report.formatting import counted, picture, table
from fewshot.report.inspection.run_files import Run
from fewshot.runs import records

PAGE = "inspect.md"
SCORE = ("mean", "std", "95% interval")


def inspect(
    place: Path, seed: int | None = None, out: Path | None = None
) -> tuple[list[Path], list[str]]:
    """Write the figures and inspect.md; return the files, and a sentence for each thing that cannot be shown.

    place: a run's folder, a record, or a study's result; seed: the draw whose images are shown, the first by default;
    out: by default the folder `<run_id>-inspect`. Raises UserError where there is no record or no such draw.
    """
    run = run_files.read(place)
    seeds = run.record["seeds"]
    if seed is not None and seed not in seeds:
        raise UserError(f"--trial {seed}: {place} has trials {', '.join(map(str, seeds))}.")
    folder = out or Path(f"{run.record['run_id']}-inspect")
    io.make_folder(folder)
    asked = Asked(run, seeds[0] if seed is None else seed, folder)
    files: list[Path] = []
    texts, missing = [_head(run)], []
    for title, show in PARTS.items():
        try:
            part = show(asked)
        except UserError as error:
            missing.append(f"{title}: {str(error).rstrip('.')}.")
            continue
        files += part.files
        texts.append(f"## {title}\n\n{part.text}")
    if missing:
        texts.append("## Not shown\n\n" + "\n".join(f"- {each}" for each in missing))
    io.write_bytes(folder / PAGE, ("\n\n".join(texts) + "\n").encode())
    return [folder / PAGE, *files], missing


def _head(run: Run) -> str:
    record = run.record
    budget = "all training images"
    if record["shots"] is not None:
        budget = counted(record["shots"], "shot")
    elif record["fraction"] is not None:
        budget = f"fraction {record['fraction']:g}"
    rows = [[name, *_score(record["scores"][name])] for name in records.METRICS]
    notes = [*record["data_notes"], *record["warnings"]]
    return (
        f"# {record['method']} on {record['data']}, {budget}\n\n"
        f"Run {record['run_id']}: backbone {record['backbone']}, weights {Path(record['weights']).name}, "
        f"{counted(record['labels'], 'label')}, {record['n_test']:,} test images, "
        f"{counted(len(record['seeds']), 'draw')}.\n\n{table(['on the test images', *SCORE], rows)}"
    ) + ("\n\n" + "\n".join(f"- {note}" for note in notes) if notes else "")


def _score(score: dict[str, Any]) -> list[str]:
    std, half = score["std"], score["ci95"]
    return [
        f"{score['mean']:.4f}",
        "" if std is None else f"{std:.4f}",
        "" if half is None else f"± {half:.4f}",
    ]


def _figure(asked: Asked, name: str, figure: Any, alt: str, text: str) -> Part:
    places = drawing.save(figure, asked.out / name)
    return Part(places, f"{picture(places[0], alt)}\n\n{text}")


def _confusion(asked: Asked) -> Part:
    record = asked.run.record
    pairs = classes.confused(record)
    rows = [[pair.true, pair.predicted, pair.images, f"{100 * pair.share:.1f}%"] for pair in pairs]
    text = (
        table(["true class", "taken for", "images, all draws", "of the true class"], rows)
        if rows
        else "No mistakes."
    )
    return _figure(asked, "confusion", classes.confusion(record), classes.in_words(pairs), text)


def _classes(asked: Asked) -> Part:
    record = asked.run.record
    draws, note = None, ""
    try:
        draws = [each["per_class"] for each in run_files.drawn(asked.run)]
    except UserError as error:
        note = f"\n\nWithout the draws and their interval: {str(error).rstrip('.')}."
    shown = classes.some(classes.accuracies(record, draws))
    rows = [
        [each.name, f"{each.mean:.4f}", "" if each.half is None else f"± {each.half:.4f}", each.n]
        for each in shown
    ]
    best, worst = (f"{each.name} with {100 * each.mean:.1f}%" for each in (shown[0], shown[-1]))
    alt = f"Bars of each class's accuracy, from {best} to {worst}."
    text = table(["class", "accuracy", "95% interval", "test images, all draws"], rows) + note
    return _figure(asked, "classes", classes.per_class(record, draws), alt, text)


def _train_and_test(asked: Asked) -> Part:
    record = asked.run.record
    found = overfitting.scores(record)
    if len(found) < 2:
        raise UserError("the record has no accuracy but that on the test images")
    rows = [[overfitting.PARTS[part][0], *_score(score)] for part, score in found.items()]
    alt = "Bars of accuracy: " + ", ".join(f"{row[0]} {row[1]}" for row in rows) + "."
    figure = overfitting.train_and_test({record["method"]: record})
    return _figure(
        asked, "train-and-test", figure, alt, table(["accuracy on images of", *SCORE], rows)
    )


def _curves(asked: Asked) -> Part:
    curves = run_files.curves(asked.run)
    names = [name for name in curves if name != "epoch"]
    means = [overfitting.average(curves[name]) for name in names]
    last = len(curves["epoch"]) - 1
    rows = [
        [
            f"{curves['epoch'][at]:g}",
            *(_mean(each, at) for each in means),
            max(each.draws[at] for each in means),
        ]
        for at in sorted({round(last * share / 5) for share in range(6)})
    ]
    words = [name.replace("_", " ") for name in names]
    ends = ", ".join(f"{word} {_mean(each, last)}" for word, each in zip(words, means, strict=True))
    alt = f"Curves over {curves['epoch'][-1]:g} epochs, mean over draws; at the end: {ends}."
    text = table(["epoch", *words, "draws"], rows)
    return _figure(asked, "curves", overfitting.over_epochs(curves, asked.run.record), alt, text)


def _mean(found: overfitting.Mean, at: int) -> str:
    if not found.draws[at]:
        return ""
    return f"{found.mean[at]:.4f}" + (f" ± {found.std[at]:.4f}" if found.draws[at] > 1 else "")


def _reliability(asked: Asked) -> Part:
    seeds = asked.run.record["seeds"]
    draws = [calibration.bins(*run_files.predictions(asked.run, seed)) for seed in seeds]
    together = calibration.together(draws)
    edges = np.arange(calibration.BINS + 1) / calibration.BINS
    rows = [
        [f"{low:.3f} to {high:.3f}", f"{int(n):,}", f"{said / n:.3f}", f"{right / n:.3f}"]
        for low, high, n, said, right in zip(edges, edges[1:], *together, strict=False)
        if n
    ]
    ece = np.mean([each.error for each in draws])
    alt = f"Reliability diagram of {calibration.BINS} bins of confidence; the expected calibration error is {ece:.3f}."
    text = table(["confidence", "images, all draws", "mean confidence", "accuracy"], rows)
    return _figure(
        asked, "reliability", calibration.reliability(draws, asked.run.record["method"]), alt, text
    )


PARTS: dict[str, Callable[[Asked], Part]] = {
    "What is taken for what": _confusion,
    "Accuracy of each class": _classes,
    "Training beside test images": _train_and_test,
    "Over the training": _curves,
    "Confidence beside accuracy": _reliability,
    "The most confident mistakes": inspected_images.mistakes,
    "The labelled images nearest to them": inspected_images.nearest,
}
