"""Write the tables of reports/fulldata.md from the records in reports/records/fulldata.

python -m scripts.fulldata           # write them
python -m scripts.fulldata --check   # exit with an error if one is stale
"""

from __future__ import annotations

import json
from datetime import datetime

from fewshot.learners import scratch
from fewshot.report import formatting
from fewshot.report.formatting import interval
from fewshot.runs import records
from fewshot.runs.run_record import RunRecord
from scripts import pages
from scripts.pages import RECORDS, ROOT

PAGE = ROOT / "reports" / "fulldata.md"
E12 = {0.02: 0.3191, 0.1: 0.4894}  # study experts, regular CNN
BEST = 0.9129  # study hyperparameters, section 4.3: the best single network
# Networks of the reports by backbone, with their rows
NETWORKS = {"baseline-cnn": "K1", "vgg": "H1", "custom-cnn": "E4", "mlp": "A1"}


def read() -> list[RunRecord]:
    return [record for _, record in records.load([RECORDS / "fulldata"])]


def _minutes(record: RunRecord) -> float:
    """Return the minutes of a trial with its evaluation, without the start of the process."""
    start = datetime.fromisoformat(record.provenance.started)
    end = datetime.fromisoformat(record.provenance.finished)
    return (end - start).total_seconds() / 60 / len(record.seeds)


def _name(record: RunRecord) -> str:
    """Return the preset, and how the record differs from the preset as it is now."""
    options = scratch.Options.model_validate(record.config["learner"])
    name = str(record.preset)
    if name == "accurate" and options.ensemble_size == 1:
        name += ", one network without self-distillation"
    return name + (", whole batches at the end" if options.selected_until < 1 else "")


def presets(all_images: bool = False) -> str:
    """Return the presets `fast` and `accurate`, without test-time views and with six.

    Args:
        all_images: leave out the records on a fraction of the images.
    """
    rows = []
    selected = [record for record in read() if record.preset in ("fast", "accurate")]
    selected = [record for record in selected if not (all_images and record.fraction)]
    selected.sort(key=lambda record: (-record.labels, record.preset == "accurate"))
    for record in selected:
        score = interval(record.scores["accuracy"])
        plain = record.measures.get("accuracy_without_views")
        if record.config["backbone"]["views"] == "none":
            without, with_views = score, ""
        else:
            without, with_views = interval(plain) if plain else "not recorded", score
        reported = f"H6, best single network: {BEST:.4f}"
        if record.fraction:
            reported = f"E12, regular CNN: {E12[record.fraction]:.4f}"
        rows.append(
            [
                _name(record),
                f"{record.labels:,}",
                without,
                with_views,
                len(record.seeds),
                f"{record.cost.train_seconds / 60:.1f}",
                f"{_minutes(record):.1f}",
                formatting.current_words(record.provenance.device),
                reported,
            ]
        )
    columns = ["preset", "images", "without views", "with six views", "n", "training, min"]
    return formatting.markdown_table([*columns, "in all, min", "machine", "reported"], rows)


def _images_seen(record: RunRecord) -> float:
    """Return the number of training images of one trial, counted once per epoch."""
    return record.cost.train_seconds * (record.cost.images_per_second or 0.0)


def recipes() -> str:
    """Return the networks of the reports, trained as reported and by preset `modern`."""
    by_network: dict[str, dict[bool, RunRecord]] = {}
    for record in read():
        if record.backbone in NETWORKS:
            by_network.setdefault(record.backbone, {})[record.preset == "modern"] = record
    rows = []
    for backbone, row in NETWORKS.items():
        pair = [by_network[backbone][False], by_network[backbone][True]]
        means = [record.scores["accuracy"].mean for record in pair]
        seen = [f"{_images_seen(record):,.0f}" for record in pair]
        accuracies = [f"{mean:.4f}" for mean in means]
        difference = f"{means[1] - means[0]:+.4f}"
        labels = f"{pair[1].labels:,}"
        rows.append([row, backbone, labels, *accuracies, difference, " and ".join(seen)])
    columns = ["row", "network", "images", "reported training", "preset `modern`"]
    return formatting.markdown_table([*columns, "difference", "images seen"], rows)


def beside_a_plain_loop() -> str:
    """Return the latest measurements of benchmarks/time_to_accuracy.py."""
    result = json.loads(
        (ROOT / "benchmarks" / "results" / "time_to_accuracy.json").read_text(encoding="utf-8")
    )
    plain, ours, step = result["medians"]["plain"], result["medians"]["ours"], result["step"]
    rows = []
    for name, key in (("seconds of training", "seconds"), ("images seen", "images")):
        ratio = f"{plain[key] / ours[key]:.1f}"
        rows.append([name, f"{plain[key]:,.0f}", f"{ours[key]:,.0f}", ratio])
    rows.append(["accuracy", f"{plain['accuracy']:.4f}", f"{ours['accuracy']:.4f}", ""])
    head = f"{result['machine']}, n = {result['n']}"
    table = formatting.markdown_table([head, "plain loop", "`fast`, shortened", "ratio"], rows)
    peak, other = 100 * step["share_of_peak"], 100 * step["share_that_is_no_product"]
    rate, speed = step["flops_a_second"] / 1e9, step["images_per_second"]
    return (
        f"{table}\n\nA step of `fast` on {step['batch']:,} images runs at {rate:,.0f} GFLOP/s, "
        f"which is {peak:.0f}% of a large bf16 matrix product on that machine, or {speed:,.0f} "
        "images/s. Operations other than convolutions and matrix products take "
        f"{other:.0f}% of its time."
    )


def tables() -> dict[str, str]:
    return {"presets": presets(), "recipes": recipes(), "plain loop": beside_a_plain_loop()}


if __name__ == "__main__":
    pages.update([PAGE], tables, "scripts.fulldata")
