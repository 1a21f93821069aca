"""The tables of reports/gpu.md on meta-training, the wider network and the grid.

Each takes the folder of the published records of the GPU. What was not measured says so.
"""

from __future__ import annotations

from pathlib import Path

from fewshot import io
from fewshot.evaluation.paired_tests import paired_difference
from fewshot.report import formatting
from fewshot.runs.episodic.record import EpisodesRecord
from fewshot.runs.run_record import RunRecord
from fewshot.studies import grids, schema
from scripts import gpu_grid, gpu_meta, gpu_wider
from scripts.gpu_parts import Result
from scripts.pages import RECORDS

NOT_MEASURED = "not measured yet"


def result_of(part: str, folder: Path) -> Result | None:
    """Return the result of a measurement in a folder of records; None if there is none."""
    published = io.read_json(folder / "summary.json").get(part)
    return None if published is None else dict(published["result"])


def meta(folder: Path) -> str:
    """Return the accuracy on novel classes after meta-training on both devices."""
    result = result_of("meta", folder)
    rows = []
    for method in gpu_meta.METHODS:
        for shots in gpu_meta.SHOTS:
            path = gpu_meta.PUBLISHED / f"conv4-{method}-{shots}.json"
            cpu = EpisodesRecord.from_json(io.read_json(path))
            assert cpu.training is not None
            row = [method, shots, f"{cpu.training.steps:,}", cpu.accuracy.text()]
            if result is None:
                rows.append([*row, NOT_MEASURED, "", ""])
                continue
            gpu = EpisodesRecord.from_json(io.read_json(folder / f"meta-{method}-{shots}.json"))
            change = result[method][f"{shots}-shot"]
            words = "other tasks"
            if "difference" in change:
                words = f"{100 * change['difference']:+.1f} ± {100 * change['difference_ci95']:.1f}"
            rows.append([*row, f"{result[method]['steps']:,}", gpu.accuracy.text(), words])
    columns = ["method", "shots", "CPU, steps", "CPU, % ± 95%"]
    columns += ["GPU, steps", "GPU, % ± 95%", "difference in points ± 95%"]
    return formatting.markdown_table(columns, rows)


def wider(folder: Path) -> str:
    """Return the probe on the features of the wider network beside the shipped one."""
    result = result_of("wider", folder)
    shipped = RunRecord.from_json(io.read_json(RECORDS / "learners" / "probe-16.json"))
    name = "wider, widths " + ", ".join(map(str, gpu_wider.WIDTHS))
    rows = [["shipped", "", formatting.interval(shipped.scores["accuracy"])]]
    note = ""
    if result is None:
        rows.append([name, "", NOT_MEASURED])
    else:
        wide, beside = (
            RunRecord.from_json(io.read_json(folder / f"wider-probe-{which}.json"))
            for which in ("wider", "shipped")
        )
        difference = paired_difference(wide.by_seed(), beside.by_seed())
        how = (
            f"{result['epochs']:g} epochs in {result['pretrain_seconds']:.0f} s, taught by "
            f"{result['taught_by']}"
        )
        name = f"wider, widths {result['widths']}"
        rows.append([name, how, formatting.interval(wide.scores["accuracy"])])
        note = f"\n\nWider minus shipped on the same GPU: {difference}, n = {difference.n} trials."
    columns = ["network", "pretraining", "probe, 16 labels per class of CIFAR-10"]
    return formatting.markdown_table(columns, rows) + note


def grid(folder: Path) -> str:
    """Return how far the grid of many trainings at once is, and how fast it ran."""
    result = result_of("grid", folder)
    if result is None:
        return f"The {grid_size()} settings of row A4 at scale full: {NOT_MEASURED}."
    service = "with" if result["mps"] else "without"
    rate = 60 * result["trials_now"] / result["seconds"]
    best = ""
    if result["best"] is not None:
        accuracy = 100 * result["best_accuracy"]
        best = (
            f" The best setting so far is {result['best']}, at a test accuracy of {accuracy:.1f}%."
        )
    return (
        f"{result['done']} of {result['settings']} settings of row A4 at scale full have all "
        f"{result['trials_each']} trials. In the last call {result['processes']} processes shared "
        f"the GPU, {service} MPS, and finished {rate:.1f} trainings a minute.{best}"
    )


def grid_size() -> int:
    """Return the number of settings of the grid."""
    (row,) = schema.read([gpu_grid.ROW])
    return len(grids.cells(row, "full"))
