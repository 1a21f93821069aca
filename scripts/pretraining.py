"""Compare recipes of pretraining at small scale, and write reports/pretraining.md.

    python -m scripts.development_split DEV              # the images for the probes
    python -m scripts.pretraining run DEV [--only NAME]  # pretrain and probe variants
    python -m scripts.pretraining report [--check]       # write reports/pretraining.md

The development split divides the training images of CIFAR-10: 40,000 to learn from, 10,000 to
evaluate on.

Each variant changes one thing of the base. Its features are evaluated by a logistic probe on the
development split, with ten trials that are the same for all variants; the test set is not used.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from fewshot.backbones import own_weights
from fewshot.evaluation.statistics import summary
from fewshot.report.formatting import counted, current_words, markdown_table, plus_minus
from scripts import names, pages
from scripts.pages import RECORDS as PUBLISHED
from scripts.pages import ROOT

RECORDS = PUBLISHED / "pretraining"
REPORT = ROOT / "reports" / "pretraining.md"
CARD = own_weights.SHIPPED / "mini-resnet.md"
SHOTS = (1, 4, 16)
TRIALS = 10
CURVE = ("train_loss", "validation_loss", "validation_accuracy")
SMALL = "backbone.options={widths: [64, 128, 256]}"
FIRST_RECIPE = (  # the preset before it used SGD; the comparisons are with it
    "train.optimizer={name: muon, momentum: 0.95}",
    "train.lr=0.02",
    "train.weight_decay=0.01",
    "train.resolutions=[{side: 24, until: 0.75}]",
    "augment=[flip, {name: crop, scale: [0.4, 1.0]}]",
)
BASE = (*FIRST_RECIPE, "train.epochs=3", "train.batch_size=256")
LARGE = "backbone.options={widths: [96, 192, 512]}"
NARROW = "backbone.options={widths: [64, 128, 256, 512]}"
SGD = "train.optimizer={name: sgd, momentum: 0.9}"
COLOUR = "{name: jitter, brightness: 0.4, contrast: 0.4, saturation: 0.4}"
CROP = "{name: crop, scale: [0.4, 1.0]}"
DEGRADE = "{name: jpeg, quality: [30, 95], p: 0.5}, {name: blur, sigma: [0.1, 1.0], p: 0.5}"


class Variant(NamedTuple):
    """One pretraining and the probes of its features.

    changed: what it changes, in words. settings: of the pretraining; probe: of the probe. body_of:
    the variant whose pretraining it uses. options: the widths of the network. continues: the
    variant whose weights it starts with. teachers: those whose class probabilities it learns.
    """

    changed: str
    settings: tuple[str, ...] = ()
    seed: int = 0
    probe: tuple[str, ...] = ()
    body_of: str | None = None
    options: str = SMALL
    continues: str | None = None
    teachers: tuple[str, ...] = ()


# The variant "correlated" uses the weights of the base before its features are decorrelated.
VARIANTS = {
    "base": Variant(
        "Muon, flip and crop, cross-entropy; three epochs, three quarters of them at 24 pixels"
    ),
    "base-again": Variant("nothing but the seed", seed=1),
    "correlated": Variant("features without the map that decorrelates them", body_of="base"),
    "two-views": Variant(
        "features of the image and its mirror image", probe=("backbone.views=flip",), body_of="base"
    ),
    "sgd": Variant(
        "SGD, Nesterov 0.9, rate 0.1, decay 0.0005, instead of Muon",
        (SGD, "train.lr=0.1", "train.weight_decay=0.0005"),
    ),
    "rotation": Variant(
        "a second loss, weight 0.5: which quarter turn, on a quarter of the batch",
        ("learner.rotation=0.5",),
    ),
    "cosine": Variant("a cosine classifier with a learned scale", ("learner.head=cosine",)),
    "degraded": Variant(
        "JPEG artefacts and blur, each for half of the images",
        (f"augment=[flip, {CROP}, {DEGRADE}]",),
    ),
    "colour": Variant("colour jitter 0.4", (f"augment=[flip, {CROP}, {COLOUR}]",)),
    "smoothing": Variant("label smoothing 0.1", ("train.label_smoothing=0.1",)),
    "whole-size": Variant("32 pixels throughout", ("train.resolutions=[]",)),
    "crop-20": Variant(
        "crops from a fifth of the area on", ("augment=[flip, {name: crop, scale: [0.2, 1.0]}]",)
    ),
    "mixup": Variant("mixup, alpha 0.2", (f"augment=[flip, {CROP}, {{name: mixup, alpha: 0.2}}]",)),
    "cutmix": Variant(
        "cutmix for half of the images", (f"augment=[flip, {CROP}, {{name: cutmix, p: 0.5}}]",)
    ),
    "decay": Variant("ten times the weight decay", ("train.weight_decay=0.1",)),
    "average": Variant("moving average of the weights, 0.998", ("train.ema_decay=0.998",)),
}
# at full length; the changes are relative to the first
FULL_SIZE = {
    "long": Variant(
        "Muon, flip and crop from 0.4 of the area on, 22 epochs; widths 96, 192, 512",
        (*FIRST_RECIPE, "train.epochs=22", "train.batch_size=384"),
        options=LARGE,
    ),
    "continued": Variant(
        "8 more epochs with cutmix, colour jitter and smaller crops",
        (
            *FIRST_RECIPE,
            "train.epochs=8",
            "train.batch_size=384",
            "train.lr=0.01",
            "train.weight_decay=0.05",
            "train.schedule.warmup=0.1",
            "train.resolutions=[{side: 24, until: 0.65}]",
            f"augment=[flip, {{name: crop, scale: [0.25, 1.0]}}, {COLOUR[:-1]}, p: 0.8}}, "
            "{name: cutmix, p: 0.5}]",
        ),
        options=LARGE,
        continues="long",
    ),
    "four-stages": Variant(
        "the preset: SGD, colour jitter, crops from 0.25 on; 44 epochs; four stages, widths 64, "
        "128, 256, 512",
        ("train.epochs=44",),
        options=NARROW,
    ),
}
# Two more epochs from the last of those: three epochs from random weights cannot show what helps
# once the network overfits.
MORE = ("train.epochs=2", "train.lr=0.02", "train.resolutions=[{side: 28, until: 0.5}]")
MORE_CROPS = "{name: crop, scale: [0.25, 1.0]}"
FURTHER = {
    "further": Variant(
        "the preset at a fifth of its rate", MORE, options=NARROW, continues="four-stages"
    ),
    "further-hidden": Variant(
        "a hidden layer of 512 before the classes, removed afterwards "
        "(Wang et al., arXiv 2112.00496)",
        (*MORE, "learner.hidden=[512]"),
        options=NARROW,
        continues="four-stages",
    ),
    "further-cutmix": Variant(
        "cutmix for half of the images",
        (*MORE, f"augment=[flip, {MORE_CROPS}, {COLOUR[:-1]}, p: 0.5}}, {{name: cutmix, p: 0.5}}]"),
        options=NARROW,
        continues="four-stages",
    ),
    "further-rotation": Variant(
        "a second loss, weight 0.5: which quarter turn, on a quarter of the batch",
        (*MORE, "learner.rotation=0.5"),
        options=NARROW,
        continues="four-stages",
    ),
}
# A classifier on frozen features: its class probabilities are then additional features, and can
# teach another network.
CLASSES = ("train.epochs=1", "train.phases=[{trainable: head}]", "train.resolutions=[]")
TAUGHT = {
    "rotation-classes": Variant(
        "the body of *further-rotation*, and its class probabilities beside its features",
        CLASSES,
        options=NARROW,
        continues="further-rotation",
    ),
    "continued-classes": Variant(
        "the body of *continued*, and its class probabilities beside its features",
        CLASSES,
        options=LARGE,
        continues="continued",
    ),
    "taught": Variant(
        "14 more epochs of *further-rotation*, taught by the two above, at half the rate",
        (
            "train.epochs=14",
            "train.lr=0.05",
            "train.resolutions=[{side: 24, until: 0.4}, {side: 28, until: 0.7}]",
        ),
        options=NARROW,
        continues="further-rotation",
        teachers=("rotation-classes", "continued-classes"),
    ),
}
# Three more networks, which share only data and recipe with the shipped one, teach one more.
SHORTER = ("train.epochs=16", "train.resolutions=[{side: 24, until: 0.6}, {side: 28, until: 0.8}]")
OTHERS = {
    f"other-{seed}": Variant(
        "the preset in 16 epochs, from other random weights", SHORTER, seed=seed, options=NARROW
    )
    for seed in (1, 2, 3)
}
WIDER = "backbone.options={widths: [96, 192, 320, 448]}"  # those of the preset
MANY = {
    "taught-again": Variant(
        "14 more epochs of *taught*, taught by itself and those three",
        TAUGHT["taught"].settings,
        options=NARROW,
        continues="taught",
        teachers=("taught", *OTHERS),
    ),
    "taught-enlarged": Variant(
        "6 more epochs of *taught*, taught by itself, on images enlarged to 40 pixels",
        (
            "train.epochs=6",
            "train.lr=0.05",
            "backbone.input_size=40",
            "train.resolutions=[{side: 30, until: 0.4}, {side: 35, until: 0.7}]",
        ),
        options=NARROW,
        continues="taught",
        teachers=("taught",),
        probe=("backbone.input_size=40",),
    ),
    "other-hidden": Variant(
        "*other-1* with a hidden layer of 1,024 before the classes, without class probabilities",
        (*SHORTER, "learner.hidden=[1024]"),
        seed=1,
        options=NARROW,
    ),
}
ROOTS = {
    "roots": Variant(
        "square roots of the features, half of the scatter removed",
        seed=1,
        options=NARROW,
        body_of="other-1",
    ),
    "halves": Variant(
        "the same for each half of the image, and for the stage before the last too",
        seed=1,
        options=NARROW,
        body_of="other-1",
    ),
}
# The last of these ships.
WIDE = {
    "taught-halves": Variant(
        "*taught*, with the maps of *halves*", options=NARROW, body_of="taught"
    ),
    "wide": Variant("the preset, in 30 epochs, at widths 96, 192, 320, 448", options=WIDER),
    "wide-taught": Variant(
        "14 more epochs of *wide*, taught by itself and *taught*",
        TAUGHT["taught"].settings,
        options=WIDER,
        continues="wide",
        teachers=("wide", "taught"),
    ),
}
# what more arithmetic gives, in half of the epochs of OTHERS
HALF = ("train.epochs=8", "train.resolutions=[{side: 24, until: 0.6}, {side: 28, until: 0.8}]")
SHAPES = {
    "half": Variant("*other-1* in 8 epochs", HALF, seed=1, options=NARROW),
    "half-wider": Variant(
        "widths 96, 192, 320, 448: 1.7 times the arithmetic", HALF, seed=1, options=WIDER
    ),
    "half-three": Variant(
        "widths 96, 192, 512 in three stages: twice the arithmetic", HALF, seed=1, options=LARGE
    ),
    "half-enlarged": Variant(
        "images enlarged to 40 pixels: 1.6 times the arithmetic",
        (
            HALF[0],
            "train.resolutions=[{side: 30, until: 0.6}, {side: 35, until: 0.8}]",
            "backbone.input_size=40",
        ),
        seed=1,
        options=NARROW,
        probe=("backbone.input_size=40",),
    ),
    "half-taught": Variant(
        "taught by *taught*", HALF, seed=1, options=NARROW, teachers=("taught",)
    ),
}
AFTER = {"four-stages": FULL_SIZE["four-stages"], **FURTHER}
ALL = {**VARIANTS, **FULL_SIZE, **FURTHER, **TAUGHT, **OTHERS, **MANY, **ROOTS, **WIDE, **SHAPES}
AGAIN = {name: ALL[name] for name in ("taught", "taught-again", *OTHERS, "other-hidden")}
WITH_CLASSES = {name: ALL[name] for name in ("further-rotation", "rotation-classes")}


def fewshot(*words: str) -> dict[str, Any]:
    """Run a command of the package and return what it prints with --json."""
    done = subprocess.run(
        [sys.executable, "-m", "fewshot", *words, "--json"], stdout=subprocess.PIPE, check=True
    )
    content: dict[str, Any] = json.loads(done.stdout)
    return content


def sets(*settings: str) -> list[str]:
    words = []
    for setting in settings:
        words += ["--set", setting]
    return words


def save(name: str, part: str, content: Any) -> None:
    (RECORDS / name).mkdir(parents=True, exist_ok=True)
    (RECORDS / name / f"{part}.json").write_text(
        json.dumps(content, indent=1) + "\n", encoding="utf-8"
    )


def weights(name: str, out: Path, existing: dict[str, Path]) -> Path:
    """Return the weights file of a variant: an existing one, or that of its pretraining."""
    if name in existing:
        return existing[name]
    return pretrain(name, out, existing)[1] / "weights.safetensors"


def pretrain(name: str, out: Path, existing: dict[str, Path]) -> tuple[dict[str, Any], Path]:
    """Pretrain a variant, unless that is done, and return its record and its folder."""
    variant = ALL[name]
    settings = (BASE if name in VARIANTS else ()) + (variant.options, *variant.settings)
    if variant.teachers:
        files = [str(weights(teacher, out, existing)) for teacher in variant.teachers]
        settings += (f"learner.teachers=[{', '.join(files)}]",)
    if variant.continues:
        settings += (f"backbone.weights={weights(variant.continues, out, existing)}",)
    seed = str(variant.seed)
    out = out / f"seed-{seed}"  # each seed has records of its own
    record = fewshot(
        "pretrain",
        "--data",
        "tinyimagenet32",
        "--backbone",
        "mini-resnet",
        "--seed",
        seed,
        "--out",
        str(out),
        *sets(*settings),
    )
    return record, out / record["run_id"] / f"trial-{seed}"


def run(development_split: str, name: str, out: Path, existing: dict[str, Path]) -> None:
    """Pretrain and probe a variant; what is done is not repeated, and the rest is resumed."""
    variant = ALL[name]
    pretrained, folder = pretrain(variant.body_of or name, out, existing)
    file = folder / f"{'model' if name == 'correlated' else 'weights'}.safetensors"
    for shots in SHOTS:
        probe = fewshot(
            "run",
            "--method",
            "probe",
            "--data",
            development_split,
            "--shots",
            str(shots),
            "--seeds",
            str(TRIALS),
            "--backbone",
            "mini-resnet",
            "--weights",
            str(file),
            *sets(variant.options, "backbone.views=none", *variant.probe),
            "--out",
            str(out),
        )
        # The record names the variant, not the place of its file.
        probe["weights"] = probe["config"]["backbone"]["weights"] = name
        save(name, f"probe-{shots}", probe)
    if not variant.body_of:
        start = variant.continues or "none"
        pretrained["config"]["backbone"]["weights"] = pretrained["weights"] = start
        if variant.teachers:
            pretrained["config"]["learner"]["teachers"] = list(variant.teachers)
        # The matrices of 200 classes stay in the record of the run.
        del pretrained["confusion"], pretrained["per_class"]
        save(name, "pretrain", pretrained)
        rows = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        save(name, "curve", [json.loads(row) for row in rows])


def read(name: str, part: str) -> Any:
    path = RECORDS / name / f"{part}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def row(name: str, first: str) -> list[str] | None:
    """Return a table row with differences to the variant `first`, or None if one was not run."""
    probes = [read(name, f"probe-{shots}") for shots in SHOTS]
    pretrained = read(ALL[name].body_of or name, "pretrain")
    if pretrained is None or None in probes or read(first, f"probe-{SHOTS[-1]}") is None:
        return None
    cells = [name, ALL[name].changed, f"{pretrained['scores']['accuracy']['mean']:.3f}"]
    for shots, probe in zip(SHOTS, probes, strict=True):
        accuracies = probe["scores"]["accuracy"]["values"]
        base = read(first, f"probe-{shots}")["scores"]["accuracy"]["values"]
        gain = summary([100 * (one - other) for one, other in zip(accuracies, base, strict=True)])
        cells.append(f"{sum(accuracies) / len(accuracies):.3f}")
        cells.append("" if name == first else f"{gain.mean:+.1f}{plus_minus(gain.ci95, '.1f')}")
    return cells


def table(variants: dict[str, Variant]) -> str:
    """Return the variants that were run; differences are to the first."""
    heads = ["variant", "what is changed", "validation"]
    for shots in SHOTS:
        heads += [counted(shots, "label"), "points"]
    first = next(iter(variants))
    return markdown_table(heads, [cells for name in variants if (cells := row(name, first))])


def curve() -> str:
    """Return training loss and held-out accuracy of the full-size runs, every other epoch."""
    rows = []
    for name in FULL_SIZE:
        for number, point in enumerate(read(name, "curve") or [], start=1):
            if number % 2 == 0:
                loss, held_out, accuracy = (point[key] for key in CURVE)
                numbers = [f"{point['epoch']:.0f}", f"{loss:.2f}", f"{held_out:.2f}"]
                rows.append([name, *numbers, f"{accuracy:.3f}"])
    heads = ["run", "epoch", "training loss", "held-out loss", "held-out accuracy"]
    return markdown_table(heads, rows)


def shipped() -> str:
    """Return the card of the shipped weights as a list."""
    path = own_weights.shipped("mini-resnet")
    if path is None:
        return "No weights are shipped."
    card = own_weights.card(path)
    train = card["recipe"]["train"]
    lines = [
        f"- Made by `{card['command']}` (commit {card['commit'][:10]}, {card['date'][:10]}, "
        f"{current_words(card['device'])}), in {card['train_seconds'] / 60:.0f} minutes of "
        "training beside other work.",
        f"- Data: {card['images']:,} images of {card['data']} in {card['classes']} classes, "
        f"{card['held_out_share']:.0%} of them held out to monitor the training.",
        f"- Training: {train['epochs']:g} epochs, batches of {train['batch_size']}, "
        f"{train['optimizer']['name']}, rate {train['lr']:g}, decay {train['weight_decay']:g}, "
        f"{train['schedule']['name']}.",
        f"- Validation accuracy: {card['accuracy']:.4f}, on {card['accuracy_on']}.",
        _again(),
        f"- The linear map of the features was fitted at commit {card['packed']['commit'][:10]}.",
        f"- Size: {path.stat().st_size / 1e6:.1f} MB on disk.",
    ]
    lines += _made("Started from weights", card["started_from"])
    for teacher in card.get("taught_by", ()):
        lines += [line for line in _made("Taught by a network", teacher) if line not in lines]
    return "\n".join(lines)


def _again() -> str:
    """Return a line on the second run of the command that made the shipped weights."""
    first, again = (read("wide-taught", part) for part in ("pretrain", "pretrain-again"))
    processes = [record["provenance"]["compute"]["processes"] for record in (first, again)]
    first_processes, again_processes = processes
    how = f"torchrun with {again_processes} processes"
    how += ", as before" if first_processes == again_processes else f" instead of {first_processes}"
    return (
        f"- The same command a second time, at commit {again['provenance']['commit'][:10]}: "
        f"validation accuracy {again['scores']['accuracy']['mean']:.4f} ({how})."
    )


def _made(what: str, card: dict[str, Any] | None) -> list[str]:
    """Return a line on weights that others started from or learned from, and on their own start."""
    if not card:
        return []
    line = (
        f"- {what} made by `{card['command']}` (commit {card['commit'][:10]}, "
        f"{card['train_seconds'] / 60:.0f} minutes), validation accuracy {card['accuracy']:.4f}."
    )
    return [line, *_made("Started from weights", card["started_from"])]


def tables() -> dict[str, str]:
    return {
        "variants": table(VARIANTS),
        "full-size": table(FULL_SIZE),
        "further": table(AFTER),
        "classes": table(WITH_CLASSES),
        "taught": table(TAUGHT),
        "curve": curve(),
        "shipped": shipped(),
        "again": table(AGAIN),
        "shapes": table(SHAPES),
        "wide": table(WIDE),
        "roots": table({"other-1": ALL["other-1"], **ROOTS}),
        **names.tables(),
    }


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run", help="run variants and save their records")
    running.add_argument("dev", help="the folder that scripts/development_split.py made")
    running.add_argument("--only", action="append", choices=ALL, help="a variant; default: all")
    running.add_argument(
        "--have", action="append", default=[], metavar="NAME=FILE", help="existing weights"
    )
    running.add_argument("--out", type=Path, default=Path("runs"))
    report = commands.add_parser("report", help="write the tables of the report and of the card")
    report.add_argument("--check", action="store_true", help="only check that they are current")
    return parser.parse_args()


if __name__ == "__main__":
    request = arguments()
    if request.command == "run":
        existing = {}
        for pair in request.have:
            name, _, file = pair.partition("=")
            existing[name] = Path(file)
        for name in request.only or ALL:
            run(request.dev, name, request.out, existing)
    else:
        pages.update([REPORT, CARD], tables, "scripts.pretraining report")
