"""What pays in pretraining: controlled comparisons at small scale, and the report made from their records.

python tools/development_split.py DEV                 # CIFAR-10's training images alone: 40,000 to learn, 10,000 to judge
python tools/pretraining.py run DEV [--only NAME]     # a pretraining and its probes for each variant, recorded
python tools/pretraining.py report [--check]          # reports/pretraining.md from reports/records/pretraining

Each variant changes one thing of the base. Its features are judged by a logistic probe on the development split,
ten draws, the same for all variants; the test set is not touched.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
RECORDS = ROOT / "reports" / "records" / "pretraining"
SHOTS = (1, 4, 16)
DRAWS = 10
BASE = (
    "backbone.options={width: 64, n_features: 256}", "train.epochs=3",
    "train.resolutions=[{side: 24, until: 0.75}]",
)  # fmt: skip
SGD = "train.optimizer={name: sgd, momentum: 0.9}"
COLOUR = "{name: jitter, brightness: 0.4, contrast: 0.4, saturation: 0.4}"
CROP = "{name: crop, scale: [0.4, 1.0]}"
# name: (what is changed, the settings)
VARIANTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "base": ("Muon, flip and crop, cross-entropy, three epochs, three quarters of them at 24 pixels", ()),
    "base-again": ("nothing but the seed", ()),
    "sgd": ("SGD with Nesterov momentum instead of Muon", (SGD, "train.lr=0.1", "train.weight_decay=0.0005")),
    "rotation": ("a second loss: which quarter turn", ("learner.rotation=0.5",)),
    "cosine": ("cosine classifier with a learned scale", ("learner.head=cosine",)),
    "smoothing": ("label smoothing 0.1", ("train.label_smoothing=0.1",)),
    "colour": ("colour jitter", (f"augment=[flip, {CROP}, {COLOUR}]",)),
    "crop-20": ("crops from a fifth of the area", ("augment=[flip, {name: crop, scale: [0.2, 1.0]}]",)),
    "crop-70": ("crops from 0.7 of the area", ("augment=[flip, {name: crop, scale: [0.7, 1.0]}]",)),
    "mixup": ("mixup", (f"augment=[flip, {CROP}, {{name: mixup, alpha: 0.2}}]",)),
    "cutmix": ("cutmix for half of the images", (f"augment=[flip, {CROP}, {{name: cutmix, p: 0.5}}]",)),
    "ema": ("moving average of the weights", ("train.ema_decay=0.998",)),
    "decay-low": ("a tenth of the weight decay", ("train.weight_decay=0.001",)),
    "decay-high": ("five times the weight decay", ("train.weight_decay=0.05",)),
    "sides": ("32 pixels throughout", ("train.resolutions=[]",)),
}


def settings(name: str) -> list[str]:
    return [word for each in (*BASE, *VARIANTS[name][1]) for word in ("--set", each)]


def fewshot(*words: str) -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-m", "fewshot", *words, "--json"], stdout=subprocess.PIPE, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def keep(name: str, part: str, record: dict[str, Any]) -> None:
    (RECORDS / name).mkdir(parents=True, exist_ok=True)
    (RECORDS / name / f"{part}.json").write_text(json.dumps(record, indent=1) + "\n")


def run(dev: str, only: list[str], out: Path) -> None:
    """Pretrain and probe each variant; what is recorded is skipped, and what was interrupted continues."""
    for name in only or VARIANTS:
        seed = "1" if name == "base-again" else "0"
        pretrained = fewshot("pretrain", "--data", "tinyimagenet32", "--seed", seed, "--out", str(out), *settings(name))
        weights = out / pretrained["run_id"] / "weights.safetensors"
        for shots in SHOTS:
            probe = fewshot(
                "run", "--method", "probe", "--preset", "few", "--data", dev, "--shots", str(shots),
                "--seeds", str(DRAWS), "--backbone", "mini-resnet", "--weights", str(weights), "--set",
                BASE[0], "--out", str(out),
            )  # fmt: skip
            probe["weights"] = probe["config"]["backbone"]["weights"] = name  # not where they lay
            keep(name, f"probe-{shots}", probe)
        keep(name, "pretrain", pretrained)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run")
    running.add_argument("dev")
    running.add_argument("--only", action="append", default=[], choices=VARIANTS)
    running.add_argument("--out", type=Path, default=Path("runs"))
    asked = parser.parse_args()
    run(asked.dev, asked.only, asked.out)
