"""All figures about one run or record, on a page with the numbers in them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fewshot import io
from fewshot.errors import NotWritten, UserError
from fewshot.evaluation.statistics import Score
from fewshot.report import formatting, uncertainty
from fewshot.report.formatting import counted, markdown_table, picture
from fewshot.report.inspection import images, run_files
from fewshot.report.inspection.images import Inspected, Part
from fewshot.report.inspection.run_files import Run
from fewshot.report.plots import calibration, classes, style, training_curves
from fewshot.runs.trial_record import CLEAN, METRICS, NO_SHARES

PAGE = "inspect.md"
SCORE = ("mean ± 95%", "std")


def inspect(
    place: Path, seed: int | None = None, out: Path | None = None
) -> tuple[list[Path], list[str]]:
    """Write the figures of a run and the page inspect.md.

    Args:
        place: the folder of a run, a record, or the result of a study's cell.
        seed: of the trial whose images are shown; the first one by default.
        out: the folder to write to; `<run_id>-inspect` by default.

    Returns:
        The files, and a sentence for each part that cannot be shown.

    Raises:
        UserError: if there is no record or no such trial.
    """
    run = run_files.read(place)
    seeds = run.record.seeds
    if seed is not None and seed not in seeds:
        raise UserError(f"--trial {seed}: {place} has the trials {', '.join(map(str, seeds))}.")
    folder = out or Path(f"{run.record.run_id}-inspect")
    io.make_folder(folder)
    inspected = Inspected(run, seeds[0] if seed is None else seed, folder)
    files: list[Path] = []
    texts, missing = [_head(run)], []
    for title, show in PARTS.items():
        try:
            part = show(inspected)
        except NotWritten:
            raise
        except UserError as error:
            missing.append(f"{title}: {str(error).rstrip('.')}.")
            continue
        files += part.files
        texts.append(f"## {title}\n\n{part.text}")
    if missing:
        texts.append("## Not shown\n\n" + "\n".join(f"- {sentence}" for sentence in missing))
    io.write_text(folder / PAGE, "\n\n".join(texts) + "\n")
    return [folder / PAGE, *files], missing


def _head(run: Run) -> str:
    record = run.record
    rows = []
    for name in (*METRICS, CLEAN):
        if name in record.scores:  # older records have no brier, other data no clean accuracy
            rows.append([name, *_score(record.scores[name], share=name not in NO_SHARES)])
    for name, score in (record.calibrated or {}).items():
        rows.append([f"{name} at the temperature", *_score(score, share=name not in NO_SHARES)])
    table = markdown_table(["score on the test images", *SCORE], rows)
    parts = [
        f"# {record.name} on {record.data}, {formatting.budget_of(record)}",
        table,
        f"Run {record.run_id}: backbone {record.backbone}, weights "
        f"{formatting.weights_name(record)}, {counted(record.labels, 'label')}, "
        f"{formatting.evaluated_on(record)}, {counted(len(record.seeds), 'trial')}. 95% interval "
        "of the accuracy that also counts the test images as a sample: "
        f"{uncertainty.with_test_images(record)}.",
    ]
    notes = [*record.data_notes, *formatting.warnings_of(record)]
    if notes:
        parts.append("\n".join(f"- {note}" for note in notes))
    return "\n\n".join(parts)


def _score(score: Score, share: bool = True) -> list[str]:
    std = "" if score.std is None else f"{score.std:.4f}"
    return [formatting.interval(score, share=share), std]


def _figure(inspected: Inspected, name: str, figure: Any, alt: str, text: str) -> Part:
    paths = style.save(figure, inspected.out / name)
    return Part(paths, f"{picture(paths[0], alt)}\n\n{text}")


def _confusion(inspected: Inspected) -> Part:
    record = inspected.run.record
    pairs = classes.confused(record)
    rows = [
        [pair.true, pair.predicted, f"{round(pair.images, 1):,g}", f"{100 * pair.share:.1f}%"]
        for pair in pairs
    ]
    columns = ["true class", "predicted as", classes.images_heading(record), "of the true class"]
    text = markdown_table(columns, rows) if rows else "No mistakes."
    figure = classes.confusion(record)
    return _figure(inspected, "confusion", figure, classes.in_words(pairs), text)


def _classes(inspected: Inspected) -> Part:
    record = inspected.run.record
    trials, note = None, ""
    try:
        trials = [trial.per_class for trial in run_files.trials(inspected.run)]
    except UserError as error:
        note = f"\n\nWithout the single trials and the interval: {str(error).rstrip('.')}."
    shown = classes.shown_classes(classes.accuracies(record, trials))
    rows = []
    for one in shown:
        interval = "" if one.interval is None else one.interval.text()
        rows.append([one.name, f"{one.mean:.4f}", interval, one.n])
    best, worst = (f"{one.name} with {100 * one.mean:.1f}%" for one in (shown[0], shown[-1]))
    alt = f"Bars of the accuracy of each class, from {best} to {worst}."
    columns = ["class", "accuracy", "95% interval", "test images"]
    text = markdown_table(columns, rows) + note
    return _figure(inspected, "classes", classes.per_class(record, trials), alt, text)


def _train_and_test(inspected: Inspected) -> Part:
    record = inspected.run.record
    scores = training_curves.scores(record)
    if len(scores) < 2:
        raise UserError("the record has an accuracy on test images only")
    rows = [[training_curves.PARTS[part].label, *_score(score)] for part, score in scores.items()]
    alt = "Bars of accuracy: " + ", ".join(f"{row[0]} {row[1]}" for row in rows) + "."
    figure = training_curves.train_and_test({formatting.short_name(record): record})
    table = markdown_table(["accuracy on images of", *SCORE], rows)
    return _figure(inspected, "train-and-test", figure, alt, table)


def _curves(inspected: Inspected) -> Part:
    curves = run_files.curves(inspected.run)
    names = [name for name in curves if name != "epoch"]
    means = [training_curves.average(curves[name]) for name in names]
    last = len(curves["epoch"]) - 1
    rows = []
    for index in sorted({round(last * share / 5) for share in range(6)}):
        epoch = f"{curves['epoch'][index]:g}"
        trials = max(mean.trials[index] for mean in means)
        rows.append([epoch, *(_mean(mean, index) for mean in means), trials])
    words = [name.replace("_", " ") for name in names]
    ends = ", ".join(f"{word} {_mean(mean, last)}" for word, mean in zip(words, means, strict=True))
    alt = f"Curves over {curves['epoch'][-1]:g} epochs, mean over trials; at the end: {ends}."
    text = markdown_table(["epoch", *words, "trials"], rows)
    figure = training_curves.over_epochs(curves, inspected.run.record)
    return _figure(inspected, "curves", figure, alt, text)


def _mean(values: training_curves.Mean, index: int) -> str:
    if not values.trials[index]:
        return ""
    std = f" (std {values.std[index]:.4f})" if values.trials[index] > 1 else ""
    return f"{values.mean[index]:.4f}{std}"


def _reliability(inspected: Inspected) -> Part:
    """Show how right the probabilities are, before and after the temperature if there is one."""
    record = inspected.run.record
    if record.temperature is None:
        return _reliability_of(inspected, "reliability", "without a temperature", False)
    before = _reliability_of(inspected, "reliability", "before the temperature", False)
    after = _reliability_of(inspected, "reliability-after", "at the temperature", True)
    text = (
        f"The temperature ({formatting.joined(record.calibration)}) is "
        f"{record.temperature.mean:.3f}, as a mean over the trials."
    )
    return Part(before.files + after.files, f"{text}\n\n{before.text}\n\n{after.text}")


def _reliability_of(inspected: Inspected, name: str, state: str, calibrated: bool) -> Part:
    record = inspected.run.record
    trials = [
        calibration.bins(*run_files.predictions(inspected.run, seed, calibrated=calibrated))
        for seed in record.seeds
    ]
    edges = np.arange(calibration.BINS + 1) / calibration.BINS
    counts, confidence, correct = calibration.together(trials)
    rows = []
    for low, high, n, sure, right in zip(
        edges, edges[1:], counts, confidence, correct, strict=False
    ):
        if n:
            shares = [f"{sure / n:.3f}", f"{right / n:.3f}"]
            rows.append([f"{low:.3f} to {high:.3f}", f"{int(n):,}", *shares])
    error = np.mean([trial.error for trial in trials])
    alt = (
        f"Reliability diagram {state}, with {calibration.BINS} bins of confidence; the expected "
        f"calibration error is {error:.3f}."
    )
    columns = ["confidence", "images, all trials", "mean confidence", "accuracy"]
    title = f"{formatting.short_name(record)}, {state}"
    figure = calibration.reliability(trials, title, record.test_to_train)
    return _figure(inspected, name, figure, alt, markdown_table(columns, rows))


PARTS: dict[str, Callable[[Inspected], Part]] = {
    "Confusion matrix": _confusion,
    "Accuracy of each class": _classes,
    "Training and test accuracy": _train_and_test,
    "Over the epochs": _curves,
    "Confidence and accuracy": _reliability,
    "The most confident mistakes": images.mistakes,
    "The labelled images nearest to them": images.nearest,
}
