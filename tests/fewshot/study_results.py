"""Studies to report on: rows as study files give them, and result files made from the published records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

RECORDS = Path(__file__).parent.parent.parent / "reports" / "records" / "learners"
FRACTIONS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1)
E11 = (0.2095, 0.2503, 0.2890, 0.3283, 0.3388, 0.3407, 0.3505)
E12 = (0.1123, 0.1610, 0.1833, 0.2020, 0.3191, 0.3960, 0.4894)


class Row(NamedTuple):
    study: str
    name: str
    title: str
    question: str = "Which value is best?"
    kind: str = "grid"
    reported: tuple = ()
    assumed: tuple[str, ...] = ()
    source: str = ""
    cuts: dict[str, list[str]] = {}  # noqa: RUF012
    needs: tuple[str, ...] = ()
    cost: str = ""
    note: str = ""


class Cell(NamedTuple):
    name: str
    label: str
    settings: dict[str, Any] = {}  # noqa: RUF012
    reported: dict[str, float] = {}  # noqa: RUF012


def record(name: str) -> dict[str, Any]:
    return json.loads((RECORDS / f"{name}.json").read_text())


def save(
    results: Path, row: Row, cell: Cell, content: dict[str, Any] | None, *, values: dict[str, Any] | None = None,
    status: str = "done", reason: str | None = None, curves: dict[str, Any] | None = None, position: int = 0,
    scale: str = "small",
) -> None:  # fmt: skip
    """One result file, as `fewshot sweep` writes it."""
    folder = results / row.study / scale / row.name
    folder.mkdir(parents=True, exist_ok=True)
    result = {
        "study": row.study, "row": row.name, "scale": scale, "cell": cell.name, "label": cell.label,
        "position": position, "values": values or {}, "status": status, "reason": reason, "record": content,
        "curves": curves, "run": content.get("run_id", "") if content else "",
    }  # fmt: skip
    (folder / f"{cell.name}.json").write_text(json.dumps(result))


Planned = list[tuple[Row, list[Cell]]]


def kshot(results: Path) -> Planned:
    """Learners at 16 and 5 shots, a benchmark, and rows that failed, cannot run, or have not run."""
    planned: Planned = []
    k8 = Row(
        "kshot", "K8", "ConvNeXt-Tiny, fine-tuned", "How far does a fine-tuned large network come?",
        assumed=("16 images a class", "the test images judge"), source="slide 15",
        cuts={"small": ["10 draws", "mini-resnet instead of ConvNeXt-Tiny"]}, cost="20 minutes a draw on two cores",
        note="The backbone that ships is smaller.",
    )  # fmt: skip
    cells = []
    methods = (("finetune", 0.63, 1.0), ("experts", 0.60, 0.98), ("probe", 0.71, 1.0), ("scratch", 0.50, None))
    for place, (method, accuracy, train) in enumerate(methods):
        told = {"accuracy": accuracy} | ({} if train is None else {"train_accuracy": train})
        cells.append(cell := Cell(f"method={method}", f"method {method}", reported=told))
        curves = learning(place) if method in ("finetune", "scratch") else None
        save(results, k8, cell, record(f"{method}-16"), values={"method": method}, curves=curves, position=place)
    cells.append(lost := Cell("method=sgd_b", "method sgd_b", reported={"accuracy": 0.59}))
    save(results, k8, lost, None, status="failed", reason="the loss became infinite at step 12.")
    planned.append((k8, cells))
    for name, method, accuracy, title in (
        ("K9", "protonet", 0.46, "Prototypical network"), ("K10", "siamese", 0.51, "Siamese network"),
        ("K11", "maml", 0.14, "MAML"),
    ):  # fmt: skip
        row = Row("kshot", name, title, f"What does {method} reach?", assumed=("16 images a class",))
        cells = [Cell(f"shots={k}", f"shots {k}", reported={"accuracy": accuracy} if k == 16 else {}) for k in (16, 5)]
        for place, (cell, k) in enumerate(zip(cells, (16, 5), strict=True)):
            save(results, row, cell, record(f"{method}-{k}"), values={"shots": k}, position=place)
        planned.append((row, cells))
    k3 = Row("kshot", "K3", "Data-loader settings", "What does an epoch cost?", kind="benchmark")
    times = {
        "kind": "benchmark", "what": "One epoch over 5,000 images", "machine": "two cores",
        "columns": ["loader", "workers", "pinned", "seconds an epoch", "images a second"],
        "rows": [["DataLoader", 0, False, 12.31, 406.2], ["DataLoader", 2, True, 7.05, 709.2],
                 ["in memory", 0, False, 0.81, 6172.8]],
    }  # fmt: skip
    save(results, k3, only := Cell("loaders", "loaders"), times)
    planned.append((k3, [only]))
    k7 = Row("kshot", "K7", "ResNet18, ImageNet weights", "Which settings?", needs=("imagenet",))
    lacking = [Cell(f"lr={lr}", f"lr {lr}", reported={"accuracy": 0.41, "train_accuracy": 0.94}) for lr in (1, 2)]
    for cell in lacking:
        save(results, k7, cell, None, status="not run", reason="ImageNet weights of resnet18 are not on this machine.")
    planned.append((k7, lacking))
    planned.append((Row("kshot", "K15", "Confusion matrix"), [Cell("best", "best of K8")]))
    return planned


def experts(results: Path) -> Planned:
    """Fractions of the training images: two rows, seven budgets, other metrics reported."""
    planned: Planned = []
    for name, method, told in (("E11", "finetune", E11), ("E12", "scratch", E12)):
        row = Row("experts", name, f"{method} on fractions", "What does a fraction give?", source="slide 20")
        cells = []
        for place, (fraction, accuracy) in enumerate(zip(FRACTIONS, told, strict=True)):
            numbers = {"accuracy": accuracy, "f1": accuracy - 0.01, "std": 0.0015, "loss": 2.0}
            cells.append(cell := Cell(f"fraction={fraction}", f"fraction {fraction}", reported=numbers))
            content = record(f"{method}-p{fraction}")
            save(results, row, cell, content, values={"fraction": fraction}, position=place)
        planned.append((row, cells))
    return planned


def searched(results: Path) -> Planned:
    """A search over two networks; its cells are known from the results alone."""
    row = Row("hyperparameters", "H5", "One-at-a-time search", "Which value is best?", kind="search")
    draw = np.random.default_rng(0)
    place = 0
    for network in ("H1", "H2"):
        for rate in (0.01, 0.05, 0.5):
            content = record("probe-16")
            score = content["scores"]["accuracy"]
            score["values"] = [value - rate / 3 + draw.normal(0, 0.01) for value in score["values"]]
            score["mean"] = float(np.mean(score["values"]))
            cell = Cell(f"{network}-lr={rate}", f"{network}, rate {rate}")
            save(results, row, cell, content, values={"network": network, "train.lr": rate}, position=place)
            place += 1
    return [(row, [])]


def learning(seed: int, draws: int = 5, epochs: int = 30) -> dict[str, Any]:
    """Curves as a result has them; every other draw ended early."""
    draw = np.random.default_rng(seed)
    steps = np.arange(1, epochs + 1)
    curves: dict[str, Any] = {"epoch": steps.tolist()}
    for name, start, end in (("train_loss", 2.3, 0.1), ("train_accuracy", 0.1, 1.0), ("validation_accuracy", 0.1, 0.6)):
        rows = end + (start - end) * np.exp(-steps / (6 + seed)) + draw.normal(0, 0.02, (draws, epochs))
        curves[name] = [row[: epochs - 8 * (place % 2)].tolist() for place, row in enumerate(rows)]
    return curves
