"""What pays in pretraining: controlled comparisons at small scale, and the report made from their records.

python -m scripts.development_split DEV            # of CIFAR-10's training images: 40,000 to learn, 10,000 to judge
python -m scripts.pretraining run DEV [--only NAME]     # a pretraining and its probes for each variant, recorded
python -m scripts.pretraining report [--check]          # reports/pretraining.md from reports/records/pretraining

Each variant changes one thing of the base. Its features are judged by a logistic probe on the development split,
ten draws, the same for all variants; the test set is not touched.
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
from scripts import pages

ROOT = Path(__file__).parent.parent
RECORDS = ROOT / "reports" / "records" / "pretraining"
REPORT = ROOT / "reports" / "pretraining.md"
CARD = own_weights.SHIPPED / "mini-resnet.md"
SHOTS = (1, 4, 16)
DRAWS = 10
CURVE = ("train_loss", "validation_loss", "validation_accuracy")
SMALL = "backbone.options={widths: [64, 128, 256]}"
FIRST_RECIPE = (  # of the preset before SGD took its place; the comparisons are to it
    "train.optimizer={name: muon, momentum: 0.95}", "train.lr=0.02", "train.weight_decay=0.01",
    "train.resolutions=[{side: 24, until: 0.75}]", "augment=[flip, {name: crop, scale: [0.4, 1.0]}]",
)  # fmt: skip
BASE = (*FIRST_RECIPE, "train.epochs=3", "train.batch_size=256")
LARGE = "backbone.options={widths: [96, 192, 512]}"
NARROW = "backbone.options={widths: [64, 128, 256, 512]}"
SGD = "train.optimizer={name: sgd, momentum: 0.9}"
COLOUR = "{name: jitter, brightness: 0.4, contrast: 0.4, saturation: 0.4}"
CROP = "{name: crop, scale: [0.4, 1.0]}"
DEGRADE = "{name: jpeg, quality: [30, 95], p: 0.5}, {name: blur, sigma: [0.1, 1.0], p: 0.5}"


class Variant(NamedTuple):
    """What is changed; the settings of the pretraining; its seed; those of the probe; whose pretraining it takes.

    options: the network's widths; continues: the variant whose weights it begins with;
    teachers: those whose class probabilities it learns.
    """

    changed: str
    settings: tuple[str, ...] = ()
    seed: int = 0
    probe: tuple[str, ...] = ()
    body_of: str | None = None
    options: str = SMALL
    continues: str | None = None
    teachers: tuple[str, ...] = ()


# body_of: the weights of that variant's pretraining; 'correlated' takes them before their decorrelation
VARIANTS = {
    "base": Variant(
        "Muon, flip and crop, cross-entropy; three epochs, three quarters of them at 24 pixels"
    ),
    "base-again": Variant("nothing but the seed", seed=1),
    "correlated": Variant(
        "features as the body gives them, without the map that decorrelates them", body_of="base"
    ),
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
# at full length; what is changed is said of the first
FULL_SIZE = {
    "long": Variant(
        "Muon, flip and crop from 0.4 of the area on, 22 epochs; widths 96, 192, 512",
        (*FIRST_RECIPE, "train.epochs=22", "train.batch_size=384"),
        options=LARGE,
    ),
    "continued": Variant(
        "8 epochs more under cutmix, colour jitter and smaller crops",
        (
            *FIRST_RECIPE, "train.epochs=8", "train.batch_size=384", "train.lr=0.01", "train.weight_decay=0.05",
            "train.schedule.warmup=0.1", "train.resolutions=[{side: 24, until: 0.65}]",
            f"augment=[flip, {{name: crop, scale: [0.25, 1.0]}}, {COLOUR[:-1]}, p: 0.8}}, {{name: cutmix, p: 0.5}}]",
        ),
        options=LARGE,
        continues="long",
    ),
    "four-stages": Variant(
        "the preset: SGD, colour jitter, crops from 0.25 on; 44 epochs; four stages, widths 64, 128, 256, 512",
        ("train.epochs=44",), options=NARROW,
    ),
}  # fmt: skip
# from the last of those, two epochs more: what helps where the images are known by heart, three epochs from random
# weights cannot show
MORE = ("train.epochs=2", "train.lr=0.02", "train.resolutions=[{side: 28, until: 0.5}]")
MORE_CROPS = "{name: crop, scale: [0.25, 1.0]}"
FURTHER = {
    "further": Variant("the preset at a fifth of its rate", MORE, options=NARROW, continues="four-stages"),
    "further-hidden": Variant(
        "a hidden layer of 512 between features and classes, left behind afterwards (Wang et al., arXiv 2112.00496)",
        (*MORE, "learner.hidden=[512]"), options=NARROW, continues="four-stages",
    ),
    "further-cutmix": Variant(
        "cutmix for half of the images",
        (*MORE, f"augment=[flip, {MORE_CROPS}, {COLOUR[:-1]}, p: 0.5}}, {{name: cutmix, p: 0.5}}]"),
        options=NARROW, continues="four-stages",
    ),
    "further-rotation": Variant(
        "a second loss, weight 0.5: which quarter turn, on a quarter of the batch",
        (*MORE, "learner.rotation=0.5"), options=NARROW, continues="four-stages",
    ),
}  # fmt: skip
# a classifier of features that stay as they are: its class probabilities are then features too, and can teach; what the
# last of these gives ships
CLASSES = ("train.epochs=1", "train.phases=[{trainable: head}]", "train.resolutions=[]")
TAUGHT = {
    "rotation-classes": Variant(
        "the body of *further-rotation*, and its class probabilities beside its features",
        CLASSES, options=NARROW, continues="further-rotation",
    ),
    "continued-classes": Variant(
        "the body of *continued*, and its class probabilities beside its features",
        CLASSES, options=LARGE, continues="continued",
    ),
    "taught": Variant(
        "14 epochs more of *further-rotation*, taught by the two above at half of the preset's rate",
        ("train.epochs=14", "train.lr=0.05", "train.resolutions=[{side: 24, until: 0.4}, {side: 28, until: 0.7}]"),
        options=NARROW, continues="further-rotation", teachers=("rotation-classes", "continued-classes"),
    ),
}  # fmt: skip
# three more networks, which share nothing with the shipped one but data and recipe: teachers for one more student
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
        "14 epochs more of *taught*, by itself and those three",
        TAUGHT["taught"].settings, options=NARROW, continues="taught", teachers=("taught", *OTHERS),
    ),
    "taught-enlarged": Variant(
        "6 epochs more of *taught*, by itself, on images enlarged to 40 pixels",
        (
            "train.epochs=6", "train.lr=0.05", "backbone.input_size=40",
            "train.resolutions=[{side: 30, until: 0.4}, {side: 35, until: 0.7}]",
        ),
        options=NARROW, continues="taught", teachers=("taught",), probe=("backbone.input_size=40",),
    ),
    "other-hidden": Variant(
        "as *other-1*, with a hidden layer of 1,024 between features and classes; no class probabilities then",
        (*SHORTER, "learner.hidden=[1024]"), seed=1, options=NARROW,
    ),
}  # fmt: skip
ROOTS = {
    "roots": Variant("roots of the features, and half of the scatter taken", seed=1, options=NARROW, body_of="other-1"),
    "halves": Variant(
        "the same of the upper and the lower half of the image, and of the stage before the last too",
        seed=1, options=NARROW, body_of="other-1",
    ),
}  # fmt: skip
# the last of these ships
WIDE = {
    "taught-halves": Variant("*taught*, with the maps of *halves*", options=NARROW, body_of="taught"),
    "wide": Variant("the preset, in 30 epochs, at widths 96, 192, 320, 448", options=WIDER),
    "wide-taught": Variant(
        "14 epochs more of *wide*, taught by itself and *taught*",
        TAUGHT["taught"].settings, options=WIDER, continues="wide", teachers=("wide", "taught"),
    ),
}  # fmt: skip
# what more arithmetic gives, in half of their epochs
HALF = ("train.epochs=8", "train.resolutions=[{side: 24, until: 0.6}, {side: 28, until: 0.8}]")
SHAPES = {
    "half": Variant("*other-1* in 8 epochs", HALF, seed=1, options=NARROW),
    "half-wider": Variant("widths 96, 192, 320, 448: 1.7 times the arithmetic", HALF, seed=1, options=WIDER),
    "half-three": Variant(
        "widths 96, 192, 512 in three stages: twice the arithmetic", HALF, seed=1, options=LARGE
    ),
    "half-enlarged": Variant(
        "images enlarged to 40 pixels: 1.6 times the arithmetic",
        (HALF[0], "train.resolutions=[{side: 30, until: 0.6}, {side: 35, until: 0.8}]", "backbone.input_size=40"),
        seed=1, options=NARROW, probe=("backbone.input_size=40",),
    ),
    "half-taught": Variant("taught by *taught*", HALF, seed=1, options=NARROW, teachers=("taught",)),
}  # fmt: skip
AFTER = {"four-stages": FULL_SIZE["four-stages"], **FURTHER}
ALL = {**VARIANTS, **FULL_SIZE, **FURTHER, **TAUGHT, **OTHERS, **MANY, **ROOTS, **WIDE, **SHAPES}
AGAIN = {name: ALL[name] for name in ("taught", "taught-again", *OTHERS, "other-hidden")}
WITH_CLASSES = {name: ALL[name] for name in ("further-rotation", "rotation-classes")}


def fewshot(*words: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "fewshot", *words, "--json"], stdout=subprocess.PIPE, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def sets(*settings: str) -> list[str]:
    return [word for each in settings for word in ("--set", each)]


def keep(name: str, part: str, record: Any) -> None:
    (RECORDS / name).mkdir(parents=True, exist_ok=True)
    (RECORDS / name / f"{part}.json").write_text(json.dumps(record, indent=1) + "\n")


def weights(name: str, out: Path, have: dict[str, Path]) -> Path:
    """The file of a variant's weights: the one that is at hand, or of its pretraining."""
    return have[name] if name in have else pretrain(name, out, have)[1] / "weights.safetensors"


def pretrain(name: str, out: Path, have: dict[str, Path]) -> tuple[dict[str, Any], Path]:
    """The record of a variant's pretraining and the folder of its weights; what is finished is taken."""
    variant = ALL[name]
    settings = (BASE if name in VARIANTS else ()) + (variant.options, *variant.settings)
    if variant.teachers:
        files = [str(weights(each, out, have)) for each in variant.teachers]
        settings += (f"learner.teachers=[{', '.join(files)}]",)
    if variant.continues:
        settings += (f"backbone.weights={weights(variant.continues, out, have)}",)
    out = out / f"seed-{variant.seed}"  # records of their own
    words = [
        "--data",
        "tinyimagenet32",
        "--backbone",
        "mini-resnet",
        "--seed",
        str(variant.seed),
        "--out",
        str(out),
    ]
    record = fewshot("pretrain", *words, *sets(*settings))
    return record, out / record["run_id"] / f"trial-{variant.seed}"


def run(dev: str, name: str, out: Path, have: dict[str, Path]) -> None:
    """Pretrain and probe a variant; what is finished is taken, and what was interrupted continues."""
    variant = ALL[name]
    pretrained, folder = pretrain(variant.body_of or name, out, have)
    file = folder / f"{'model' if name == 'correlated' else 'weights'}.safetensors"
    for shots in SHOTS:
        probe = fewshot(
            "run", "--method", "probe", "--data", dev, "--shots", str(shots), "--seeds", str(DRAWS), "--backbone",
            "mini-resnet", "--weights", str(file), *sets(variant.options, "backbone.views=none", *variant.probe),
            "--out", str(out),
        )  # fmt: skip
        probe["weights"] = probe["config"]["backbone"]["weights"] = name  # not where they lay
        keep(name, f"probe-{shots}", probe)
    if not variant.body_of:
        pretrained["config"]["backbone"]["weights"] = pretrained["weights"] = (
            variant.continues or "none"
        )
        if variant.teachers:
            pretrained["config"]["learner"]["teachers"] = list(variant.teachers)
        del (
            pretrained["confusion"],
            pretrained["per_class"],
        )  # of 200 classes: the run's own record has them
        keep(name, "pretrain", pretrained)
        keep(
            name,
            "curve",
            [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()],
        )


def read(name: str, part: str) -> Any:
    path = RECORDS / name / f"{part}.json"
    return json.loads(path.read_text()) if path.exists() else None


def row(name: str, first: str) -> list[str] | None:
    """One line of the table, with differences to the variant `first`; None where one of both was not run."""
    probes = [read(name, f"probe-{shots}") for shots in SHOTS]
    pretrained = read(ALL[name].body_of or name, "pretrain")
    if pretrained is None or None in probes or read(first, f"probe-{SHOTS[-1]}") is None:
        return None
    cells = [name, ALL[name].changed]
    cells.append(f"{pretrained['scores']['accuracy']['mean']:.3f}")
    for shots, probe in zip(SHOTS, probes, strict=True):
        accuracies = probe["scores"]["accuracy"]["values"]
        base = read(first, f"probe-{shots}")["scores"]["accuracy"]["values"]
        gain = summary([100 * (one - other) for one, other in zip(accuracies, base, strict=True)])
        cells.append(f"{sum(accuracies) / len(accuracies):.3f}")
        cells.append("" if name == first else f"{gain.mean:+.1f} ± {gain.ci95:.1f}")
    return cells


def table(variants: dict[str, Variant]) -> str:
    heads = ["variant", "what is changed", "validation"]
    heads += [word for shots in SHOTS for word in (f"{shots} shots", "points")]
    rows = [found for name in variants if (found := row(name, next(iter(variants))))]
    lines = [f"| {' | '.join(heads)} |", "|:--|:--|" + "--:|" * (len(heads) - 2)]
    return "\n".join([*lines, *(f"| {' | '.join(cells)} |" for cells in rows)])


def curve() -> str:
    """Training loss and held-out accuracy of the full-size runs, every other epoch."""
    lines = [
        "| run | epoch | training loss | held-out loss | held-out accuracy |",
        "|:--|--:|--:|--:|--:|",
    ]
    for name in FULL_SIZE:
        points = read(name, "curve") or []
        for number, point in enumerate(points, start=1):
            if number % 2 == 0:
                loss, held, accuracy = (point[key] for key in CURVE)
                lines.append(
                    f"| {name} | {point['epoch']:.0f} | {loss:.2f} | {held:.2f} | {accuracy:.3f} |"
                )
    return "\n".join(lines)


def shipped() -> str:
    """What the card of the shipped weights says."""
    path = own_weights.shipped("mini-resnet")
    if path is None:
        return "No weights are shipped."
    card = own_weights.card(path)
    train = card["recipe"]["train"]
    lines = [
        f"- made by `{card['command']}` (commit {card['commit'][:10]}, {card['date'][:10]}, {card['device']}), "
        f"{card['train_seconds'] / 60:.0f} minutes of training beside other work",
        f"- from {card['images']:,} images of {card['data']} in {card['classes']} classes, "
        f"{card['held_out_share']:.0%} of them held out to watch the training; {train['epochs']:g} epochs, "
        f"batches of {train['batch_size']}, {train['optimizer']['name']}, rate {train['lr']:g}, decay "
        f"{train['weight_decay']:g}, {train['schedule']['name']}",
        f"- validation accuracy {card['accuracy']:.4f}, on {card['accuracy_on']}",
        _again(),
        f"- the map after the body: found at commit {card['packed']['commit'][:10]}",
        f"- {path.stat().st_size / 1e6:.1f} MB on disk",
    ]
    lines += _made("begun with weights", card["started_from"])
    for teacher in card.get("taught_by", ()):
        lines += [each for each in _made("taught by a network", teacher) if each not in lines]
    return "\n".join(lines)


def _again() -> str:
    """A line on the second run of the command that made the shipped weights, which changed nothing else."""
    first, again = (read("wide-taught", part) for part in ("pretrain", "pretrain-again"))
    processes = [each["provenance"]["compute"]["processes"] for each in (first, again)]
    return (
        f"- the same command a second time, at commit {again['provenance']['commit'][:10]}: validation accuracy "
        f"{again['scores']['accuracy']['mean']:.4f} (by torchrun, {processes[0]} and {processes[1]} processes)"
    )


def _made(what: str, card: dict[str, Any] | None) -> list[str]:
    """A line on the weights that others began with or were taught by, then what those began with."""
    if not card:
        return []
    return [
        f"- {what} made by `{card['command']}` (commit {card['commit'][:10]}, {card['train_seconds'] / 60:.0f} "
        f"minutes), validation accuracy {card['accuracy']:.4f}",
        *_made("begun with weights", card["started_from"]),
    ]


def written(path: Path) -> str:
    """A text with its tables from the records; what is between the tables is written by hand."""
    tables = {"variants": table(VARIANTS), "full-size": table(FULL_SIZE), "further": table(AFTER)}
    tables |= {
        "classes": table(WITH_CLASSES),
        "taught": table(TAUGHT),
        "curve": curve(),
        "shipped": shipped(),
    }
    tables |= {"again": table(AGAIN), "shapes": table(SHAPES), "wide": table(WIDE)}
    tables["roots"] = table({"other-1": ALL["other-1"], **ROOTS})
    return pages.filled(path.read_text(), tables)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run", help="run variants and keep their records")
    running.add_argument("dev", help="the folder that scripts/development_split.py made")
    running.add_argument("--only", action="append", choices=ALL)
    running.add_argument(
        "--have", action="append", default=[], metavar="NAME=FILE", help="weights that are there"
    )
    running.add_argument("--out", type=Path, default=Path("runs"))
    telling = commands.add_parser("report", help="write the report's tables")
    telling.add_argument(
        "--check", action="store_true", help="only say whether they are up to date"
    )
    asked = parser.parse_args()
    if asked.command == "run":
        have = {name: Path(file) for name, _, file in (each.partition("=") for each in asked.have)}
        for each in asked.only or ALL:
            run(asked.dev, each, asked.out, have)
    else:
        for path in (REPORT, CARD):
            if not asked.check:
                path.write_text(written(path))
            elif path.read_text() != written(path):
                sys.exit(f"{path} is stale: run python -m scripts.pretraining report")
