"""Write the tables and the figure of reports/gpu.md from the records in reports/records/gpu.

python -m scripts.gpu_report             # write them
python -m scripts.gpu_report --check     # exit with an error if a table is stale
python -m scripts.gpu_report --from DIR  # first publish the campaign in DIR (scripts.gpu_campaign)
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from fewshot import io
from fewshot.evaluation.paired_tests import paired_difference
from fewshot.report import formatting
from fewshot.report.plots import style
from fewshot.runs.run_record import RunRecord
from scripts import gpu_parts, gpu_tables, pages
from scripts.gpu_parts import Result
from scripts.gpu_tables import NOT_MEASURED
from scripts.pages import RECORDS, ROOT

PAGE = ROOT / "reports" / "gpu.md"
GPU = RECORDS / "gpu"
FIGURE = ROOT / "reports" / "figures" / "gpu" / "target"
# The runs of the campaign, and the published record of the CPU that each repeats.
CPU = {
    "probe": "learners/probe-16",
    "protonet": "learners/protonet-16",
    "finetune": "learners/finetune-16",
    "fast": "fulldata/fast-full",
    "accurate": "fulldata/accurate-full",
}
# Parts whose results are in the summary.
MEASUREMENTS = ("prepare", "tests", "meta", "wider", "grid", "target", "episodes")
GRID = Path("architectures") / "full" / "A4"  # of results, as `fewshot sweep` writes them
THRESHOLDS = (0.8, 0.85, 0.9, 0.92)


class Pair(NamedTuple):
    """The same run on a CPU and on a GPU."""

    cpu: RunRecord
    gpu: RunRecord

    @property
    def name(self) -> str:
        """The method as tables name it, with its labels."""
        return f"{formatting.method_name(self.gpu)}, {formatting.budget_of(self.gpu)}"


def publish(campaign: Path, records: Path) -> None:
    """Copy what a campaign measured; parts that it did not finish stay as they were published.

    A toy, and a campaign on a CPU, are refused.

    Args:
        campaign: what `scripts.gpu_campaign` wrote.
        records: the folder of published records, of the GPU and of studies.
    """
    settings = io.read_json(campaign / "settings.json")
    if settings["toy"]:
        sys.exit(f"{campaign} is a toy campaign (--toy), whose results are not published")
    if settings["device"] == "cpu":
        sys.exit(f"{campaign} ran with --device cpu, so its results are not those of a GPU")
    folder = records / GPU.name
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "summary.json"
    summary: dict[str, dict[str, Any]] = io.read_json(file) if file.exists() else {}
    for name, part in io.read_json(campaign / "summary.json").items():
        if part["state"] not in ("done", "unfinished"):
            continue
        for path in campaign.glob(f"records/{name}-*.json"):
            shutil.copyfile(path, folder / path.name)
        if name in CPU:
            shutil.copyfile(campaign / "records" / f"{name}.json", folder / f"{name}.json")
        if name not in MEASUREMENTS:
            part.pop("result", None)
        summary[name] = part
    io.write_json(file, summary)
    for path in sorted((campaign / "results" / GRID).glob("*.json")):
        if io.read_json(path)["status"] == "done":
            (records / GRID).mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, records / GRID / path.name)


def read() -> list[Pair]:
    """Return the runs of the campaign beside their published records."""
    pairs = []
    for name, published in CPU.items():
        paths = (RECORDS / f"{published}.json", GPU / f"{name}.json")
        pairs.append(Pair(*(RunRecord.from_json(io.read_json(path)) for path in paths)))
    return pairs


def accuracy() -> str:
    """Return the accuracy on both devices and the paired differences, over the seeds of both."""
    rows = []
    for pair in read():
        cpu, gpu = pair.cpu.by_seed(), pair.gpu.by_seed()
        largest = max(abs(gpu[seed] - cpu[seed]) for seed in gpu if seed in cpu)
        scores = [formatting.interval(one.scores["accuracy"]) for one in pair]
        difference = paired_difference(gpu, cpu)
        rows.append([pair.name, *scores, difference, f"{largest:.4f}", difference.n])
    columns = ["run", "CPU", "GPU", "GPU minus CPU ± 95%", "largest, one trial", "n"]
    return formatting.markdown_table(columns, rows)


def cost() -> str:
    """Return seconds per trial on both devices, the training speed and the memory of the GPU."""
    rows = []
    for pair in read():
        cpu, gpu = pair.cpu.cost, pair.gpu.cost
        speeds = [f"{one.images_per_second or 0:,.0f}" if one.images_per_second else ""
                  for one in (cpu, gpu)]  # fmt: skip
        machine = formatting.current_words(pair.cpu.provenance.device)
        seconds = [_seconds(cpu.seconds), machine, _seconds(gpu.seconds)]
        both = cpu.seconds is not None and gpu.seconds is not None
        ratio = f"{(cpu.seconds or 0.0) / (gpu.seconds or 1.0):.0f}" if both else ""
        rows.append([pair.name, *seconds, ratio, *speeds, f"{gpu.peak_memory_mb:,.0f}"])
    columns = ["run", "CPU, s per trial", "CPU", f"{device()}, s per trial", "ratio"]
    columns += ["CPU, images/s", "GPU, images/s", "GPU, MB at most"]
    return formatting.markdown_table(columns, rows)


def _seconds(seconds: float | None) -> str:
    """Return seconds with two digits; nothing for an older record, which has features in them."""
    if seconds is None:
        return ""
    return f"{seconds:,.0f}" if seconds >= 100 else f"{seconds:.2g}"


def summary() -> dict[str, dict[str, Any]]:
    """Return the summary of the campaign: for each part its state, seconds and result."""
    return dict(io.read_json(GPU / "summary.json"))


def device() -> str:
    """Return the name of the GPU."""
    return str(summary()["prepare"]["result"]["device"])


def parts() -> str:
    """Return every part of the campaign with its state, its seconds and what it measured."""
    published = summary()
    counts = {
        name: formatting.counted(len(pair.gpu.seeds), "trial")
        for name, pair in zip(CPU, read(), strict=True)
    }
    options = gpu_parts.Options(Path(), "cuda", False, 0.0)
    rows = []
    for name in (part.name for part in gpu_parts.parts(options)):
        if name not in published:
            rows.append([name, NOT_MEASURED, "", "", ""])
            continue
        part = published[name]
        words = counts[name] if name in counts else WORDS[name](part["result"])
        rows.append([name, part["state"], part["date"], f"{part['seconds']:.0f}", words])
    return formatting.markdown_table(["part", "state", "date", "seconds", "result"], rows)


def _prepare_words(result: Result) -> str:
    layout = "channels_last" if result["channels_last"] else "contiguous"
    return (
        f"{result['images']:,} images decoded in {result['decode_seconds']:.0f} s; precision "
        f"chosen in {result['measure_seconds']:.1f} s: {result['precision']}, {layout}"
    )


def _episodes_words(result: Result) -> str:
    rates = result["tasks_per_second"].items()
    return "; ".join(f"{name}: {rate:,.0f} tasks/s" for name, rate in rates)


# What the table of parts says of the result of a measurement.
WORDS: dict[str, Callable[[Result], str]] = {
    "prepare": _prepare_words,
    "tests": lambda result: (
        f"{result['passed']} passed, {result['failed']} failed, {result['skipped']} skipped"
    ),
    "meta": lambda result: "; ".join(
        f"{method}: {one['steps']:,} steps" for method, one in result.items()
    ),
    "wider": lambda result: (
        f"{result['epochs']:g} epochs, {result['images_per_second']:,.0f} images/s"
    ),
    "grid": lambda result: f"{result['done']} of {result['settings']} settings",
    "target": lambda result: (
        f"best accuracy {result['best_accuracy']:.4f}, {result['images_per_second']:,.0f} images/s"
    ),
    "episodes": _episodes_words,
}


def target() -> str:
    """Return the seconds of training until the test accuracy first reached each threshold."""
    result = summary()["target"]["result"]
    rows = []
    for threshold in (*THRESHOLDS, result["target"]):
        reached = [
            (epoch, point)
            for epoch, point in enumerate(result["curve"], start=1)
            if point["accuracy"] >= threshold
        ]
        if reached:
            epoch, point = reached[0]
            rows.append([f"{threshold:.2f}", epoch, f"{point['seconds']:.1f}"])
        else:
            rows.append([f"{threshold:.2f}", "-", "not reached"])
    table = formatting.markdown_table(["accuracy", "epochs", "seconds of training"], rows)
    curve = result["curve"]
    return (
        f"{table}\n\nThe accuracy at the end, after {len(curve)} epochs and "
        f"{curve[-1]['seconds']:.1f} s, is {curve[-1]['accuracy']:.4f}; "
        f"n = 1 on one {device()}, evaluation not counted."
    )


@style.styled
def figure() -> Any:
    """Draw the test accuracy of the part `target` against its seconds of training."""
    result = summary()["target"]["result"]
    drawing, axes = style.new(2.6)
    seconds = [point["seconds"] for point in result["curve"]]
    axes.plot(seconds, [100 * point["accuracy"] for point in result["curve"]], "o-")
    axes.axhline(100 * result["target"], color=style.GREY, linestyle="--")
    words = f"target: {100 * result['target']:.0f}%"
    axes.annotate(words, (0.1, 100 * result["target"] + 0.5), va="bottom", fontsize=style.TICK)
    axes.set_xlim(0)
    axes.set_ylim(50, 100)
    axes.set_xlabel(f"seconds of training on one {device()}, evaluation not counted")
    axes.set_ylabel("test accuracy, %")
    axes.set_title("All 50,000 images of CIFAR-10, one network, a point for each epoch")
    return drawing


def tables() -> dict[str, str]:
    return {
        "accuracy": accuracy(),
        "cost": cost(),
        "parts": parts(),
        "target": target(),
        "meta": gpu_tables.meta(GPU),
        "wider": gpu_tables.wider(GPU),
        "grid": gpu_tables.grid(GPU),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--from", dest="campaign", type=Path, help="folder of a campaign")
    options = parser.parse_args()
    if options.campaign:
        publish(options.campaign, RECORDS)
    pages.update([PAGE], tables, "scripts.gpu_report")
    if not options.check:
        FIGURE.parent.mkdir(parents=True, exist_ok=True)
        style.save(figure(), FIGURE)
