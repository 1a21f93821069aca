"""Write the tables and the figure of README.md and of the documentation from published records.

    python -m scripts.readme           # write them
    python -m scripts.readme --check   # exit with an error if a table is stale

A page gets a table where it has the mark `<!-- table: NAME -->`; the names are those in `tables`.
"""

from __future__ import annotations

import json
import sys
from typing import Any, NamedTuple

from fewshot.evaluation.paired_tests import paired_difference
from fewshot.report import comparison, formatting
from fewshot.report.plots import accuracy_curves, style
from fewshot.runs import naming, records
from fewshot.runs.run_record import RunRecord
from scripts import (
    episode_speed,
    epoch_speed,
    fulldata,
    gpu_report,
    learners,
    names,
    pages,
    systems,
)
from scripts.pages import RECORDS, ROOT

FIGURE = ROOT / "docs" / "assets" / "accuracy"
BENCHMARKS = ROOT / "benchmarks" / "results"
SHOTS = (1, 16, 128)
LAST_OF_PROBE, FINETUNED = 64, 128  # labels per class at which methods are recommended
ALIKE = 0.0005  # accuracies that differ less are those of one classifier, up to rounding


class Method(NamedTuple):
    """A row of the table of methods; key: the method in the command line."""

    key: str
    name: str
    paper: str
    trains_on: str


METHODS = (
    Method(
        "probe",
        "Linear probe",
        "[Alain & Bengio 2016](https://arxiv.org/abs/1610.01644)",
        "nothing: a classifier on frozen features",
    ),
    Method(
        "protonet",
        "Prototypical network",
        "[Snell et al. 2017](https://arxiv.org/abs/1703.05175)",
        "tasks",
    ),
    Method(
        "siamese",
        "Siamese network",
        "[Koch et al. 2015](https://www.cs.cmu.edu/~rsalakhu/papers/oneshot1.pdf)",
        "pairs",
    ),
    Method(
        "maml",
        "ANIL, a MAML whose inner steps change the head alone",
        "[Raghu et al. 2020](https://arxiv.org/abs/1909.09157)",
        "tasks",
    ),
    Method(
        "finetune",
        "Fine-tuning",
        "[Yosinski et al. 2014](https://arxiv.org/abs/1411.1792)",
        "batches",
    ),
    Method(
        "experts",
        "Mixture of experts",
        "[Jacobs et al. 1991](https://doi.org/10.1162/neco.1991.3.1.79)",
        "batches",
    ),
    Method("scratch", "Supervised, random weights", "", "batches"),
)


def read(name: str) -> list[RunRecord]:
    """Return the records under reports/records/NAME."""
    return [record for _, record in records.load([RECORDS / name])]


def of_learners(method: str) -> dict[str, dict[int, RunRecord]]:
    """Return what ran -> labels per class -> record, of a method with its usual presets only.

    A method that is trained only from some number of labels on is two systems, the untrained first.
    """
    systems: dict[str, dict[int, RunRecord]] = {}
    for record in sorted(read("learners"), key=lambda record: record.shots or 0):
        usual = record.shots is not None and record.preset in naming.DEFAULT_PRESETS
        if usual and record.method == method:
            systems.setdefault(record.name, {})[record.shots or 0] = record
    return systems


def methods() -> str:
    """Return the methods with their accuracy on CIFAR-10 at 1, 16 and 128 labels per class."""
    rows = []
    for method in METHODS:
        for by_shots in of_learners(method.key).values():
            cells = [formatting.percent(by_shots.get(shots)) for shots in SHOTS]
            rows.append([*_described(method, next(iter(by_shots.values()))), *cells])
    alone = formatting.percent(names.no_labels())
    words = [names.no_labels().name.capitalize(), "-", "nothing"]
    rows.append([*words, *(alone for _ in SHOTS)])
    heads = [f"{formatting.counted(SHOTS[0], 'label')} per class", *map(str, SHOTS[1:])]
    table = formatting.markdown_table(["method", "paper", "trains on", *heads], rows)
    return (
        f"{table}\n\nAccuracy in percent on the 10,000 test images of CIFAR-10: mean ± half of its "
        "95% interval over trials, on these test images (number of trials). For other test "
        "images of the same kind there is a further ± 1.0 at most; the two combine as the root of "
        "the sum of their squares. All methods but `scratch` start from the pretrained "
        "`mini-resnet` that ships with the package. By default, `protonet`, `siamese` and `maml` "
        "train from 101 labels per class on; with fewer labels, they classify by the pretrained "
        "features."
    )


def _described(method: Method, record: RunRecord) -> list[str]:
    """Return the first cells of a row: what ran, its paper, and on what it was trained."""
    config = record.config_as_run
    if naming.lacks_training(method.key, config):
        classifier = naming.untrained_classifier(method.key, config)
        return [f"{classifier.capitalize()} (`{method.key}`, not trained)", "-", "nothing"]
    return [f"{method.name} (`{method.key}`)", method.paper or "-", method.trains_on]


def choices() -> str:
    """Return which method to use when, with the differences that speak for it."""
    probe, others = of_learners("probe")["probe"], read("learners")
    accurate = next(one for one in read("accurate") if one.shots == 16)
    gaps = []
    for shots in (shots for shots in probe if shots <= LAST_OF_PROBE):
        alone = probe[shots].by_seed()
        leads = [paired_difference(one.by_seed(), alone) for one in others if one.shots == shots]
        gaps += [100 * lead.mean for lead in leads if lead.n]
    finetuned = of_learners("finetune")["finetune"]
    finetune = finetuned[FINETUNED]
    pairs = [finetuned[16].by_seed(), probe[16].by_seed()]
    n_alike = sum(abs(pairs[0][seed] - value) < ALIKE for seed, value in pairs[1].items())
    lead = paired_difference(finetune.by_seed(), probe[FINETUNED].by_seed())
    half = None if lead.half is None else 100 * lead.half
    return (
        f"- **Start with `probe`.** It takes seconds. Up to {LAST_OF_PROBE} labels per class, it "
        f"is at most {max(gaps):.1f} points below any other method here that learns from the "
        "labels alone with its default preset (paired differences). `--preset accurate` adds an "
        f"ImageNet network: {formatting.percent(accurate)} instead of "
        f"{formatting.percent(probe[16])} at 16 labels per class, in more time.\n"
        "- **One to four labels per class:** `probe`, or `protonet`, which is then the nearest "
        "mean of the same features. A backbone that was trained on similar images matters more "
        "than the choice between the two. Where the "
        "names of your classes are those of its pretraining, `learner.prior_from_names=true` "
        f"helps: on CIFAR-10 by {names.gain(1)} points at one label and {names.gain(4)} at four "
        "(number of trials in brackets).\n"
        f"- **More than {LAST_OF_PROBE} labels per class:** `finetune`, which is "
        f"{100 * lead.mean:.1f}{formatting.plus_minus(half, '.1f')} points ahead of the probe at "
        f"{FINETUNED} (n = {lead.n}) and takes minutes per trial. With fewer, it often stays the "
        f"probe that it starts from (at 16, in {n_alike} of {len(pairs[1])} trials), because "
        "training did not help on folds of the labelled images.\n"
        "- **Known superclasses** (vehicles, animals): `experts`, which also reports how often its "
        "gate is right.\n"
        "- **A large data set, or images unlike photographs:** `scratch`. With few labels of "
        "photographs it is far behind everything else; on the digits of "
        "`make example` it is as good as the others."
    )


def figure() -> Any:
    """Draw accuracy against labels per class for all methods.

    Fine-tuning is not trained with one label, where it is the probe, so this point is left out.
    """
    lines = []
    for method in METHODS:
        for by_shots in of_learners(method.key).values():
            config = next(iter(by_shots.values())).config_as_run
            if len(by_shots) == 1 and naming.lacks_training(method.key, config):
                continue
            measured = {float(shots): record for shots, record in by_shots.items()}
            label = formatting.short_name(next(iter(measured.values())))
            lines.append(accuracy_curves.line_of(label, measured))
    title = "CIFAR-10: accuracy on 10,000 test images, mean and 95% interval over trials"
    unlabelled = names.no_labels()
    level = accuracy_curves.level_of(unlabelled, formatting.short_name(unlabelled))
    return accuracy_curves.overview(lines, title, [level])


def speed() -> str:
    """Return what benchmarks/training_loop_vs_torchvision.py measured."""
    result = json.loads(
        (BENCHMARKS / "training_loop_vs_torchvision.json").read_text(encoding="utf-8")
    )
    step, start = result["images_per_second"], result["first_batch_seconds"]
    ratios, load = result["ratios"], start["import torch"]
    beyond = f"the same without `import torch` ({load:.2f} s), s"
    rows = [
        (
            "training step, images/s",
            step["plain"],
            step["ours"],
            ratios["training step, to the plain loop"],
        ),
        (
            "process start to first batch, s",
            start["plain"],
            start["ours"],
            ratios["first batch, to the plain loop"],
        ),
        (
            beyond,
            start["plain"] - load,
            start["ours"] - load,
            ratios["first batch beyond import torch"],
        ),
    ]
    cells = [[name, *(f"{value:.3g}" for value in values)] for name, *values in rows]
    head = f"enhanced-cnn, batches of 128, medians of {result['n']}"
    table = formatting.markdown_table([head, "plain loop", "fewshot", "ratio"], cells)
    return f"{table}\n\n({result['machine']})"


def features() -> str:
    """Return what benchmarks/probe_feature_cache.py measured."""
    result = json.loads((BENCHMARKS / "probe_feature_cache.json").read_text(encoding="utf-8"))
    shots = ", ".join(map(str, result["shots"]))
    head = f"{result['what']} ({shots}), {result['backbone']['name']}"
    without = f"no cache ({result['without_a_cache']})"
    rows = [[without, _seconds(result["seconds"]["without a cache"]), ""]]
    for name, ratio in result["ratios"].items():
        rows.append([name, _seconds(result["seconds"][name]), f"{ratio:.3g}"])
    table = formatting.markdown_table([head, "seconds", "ratio"], rows)
    rate, n = result["images_per_second"], result["n_speed"]
    return (
        f"{table}\n\nExtraction of features: {rate:,.0f} images/s with one view, median of {n} "
        f"({result['machine']})."
    )


def decoding() -> str:
    """Return what benchmarks/decoding_vs_checkout.py measured."""
    result = json.loads((BENCHMARKS / "decoding_vs_checkout.json").read_text(encoding="utf-8"))
    rows = []
    for name, measured in result["sets"].items():
        rates = measured["images_per_second"]["processor"]
        ratios = [measured["ratio"][kind] for kind in ("processor", "clock")]
        rows.append(
            [
                f"{name} ({measured['images']:,})",
                f"{rates['before']:,.0f}",
                f"{rates['this']:,.0f}",
                *(f"{ratio:.2f}" for ratio in ratios),
                f"{measured['search_seconds']:.2f}",
            ]
        )
    head = f"images per second of processor time, medians of {result['n']}"
    columns = [head, f"commit {result['before']}", "now", "ratio", "ratio by the clock"]
    columns.append("search for copies (s)")
    table = formatting.markdown_table(columns, rows)
    load = result["load_average"][0]
    return f"{table}\n\n({result['machine']}, load average {load:.1f})"


def _seconds(seconds: float) -> str:
    return f"{seconds:,.0f}" if seconds >= 100 else f"{seconds:.3g}"


def tables() -> dict[str, str]:
    """Return every table that README.md or a page of the documentation can show, by its mark."""
    return {
        "methods": methods(),
        "example": comparison.markdown(read("example"), brief=True),
        "pretrained": comparison.markdown([names.no_labels(), *read("pretrained")]),
        **names.tables(),
        "learners": learners.at_16(),
        "systems": systems.table(in_full=False),
        "choices": choices(),
        "full": fulldata.presets(all_images=True),
        "main": comparison.markdown(read("main")),
        "speed": speed(),
        "gpu": gpu_report.cost(),
        "features": features(),
        "decoding": decoding(),
        "episodes": episode_speed.table(),
        "training": epoch_speed.table(),
    }


if __name__ == "__main__":
    documentation = sorted((ROOT / "docs").rglob("*.md"))
    pages.update([ROOT / "README.md", *documentation], tables, "scripts.readme")
    if "--check" not in sys.argv:
        FIGURE.parent.mkdir(parents=True, exist_ok=True)
        style.save(figure(), FIGURE, dpi=200)
