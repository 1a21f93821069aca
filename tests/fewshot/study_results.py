"""Studies to report on: rows as in study files, and results made from published records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from fewshot.evaluation.statistics import summary
from fewshot.studies import grids
from fewshot.studies.grids import Cell
from fewshot.studies.schema import Row

Planned = list[tuple[Row, list[Cell]]]

RECORDS = Path(__file__).parent.parent.parent / "reports" / "records" / "learners"
FRACTIONS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1)
E11 = (0.2095, 0.2503, 0.2890, 0.3283, 0.3388, 0.3407, 0.3505)
E12 = (0.1123, 0.1610, 0.1833, 0.2020, 0.3191, 0.3960, 0.4894)


def row(
    study: str, name: str, title: str, question: str = "Which value is best?", **more: Any
) -> Row:
    """Return a row with the given values, as its file would have."""
    base = {"method": "probe"} if more.get("kind", "grid") in ("grid", "search") else {}
    given = {
        "study": study,
        "name": name,
        "title": title,
        "question": question,
        "source": "slide 7",
        "base": base,
    }
    return Row.model_validate({**given, **more})


def cell(name: str, label: str, position: int = 0, /, **reported: float) -> Cell:
    return Cell(name, label, position, {}, {}, reported)


def record(name: str) -> dict[str, Any]:
    return json.loads((RECORDS / f"{name}.json").read_text())


def save(
    results: Path,
    of: Row,
    asked: Cell,
    content: dict[str, Any] | None,
    *,
    values: dict[str, Any] | None = None,
    status: str = "done",
    reason: str | None = None,
    curves: dict[str, Any] | None = None,
    scale: str = "small",
) -> None:
    """Write a result file as `fewshot sweep` does."""
    folder = results / of.study / scale / of.name
    folder.mkdir(parents=True, exist_ok=True)
    result = {
        "study": of.study,
        "row": of.name,
        "scale": scale,
        "cell": asked.name,
        "label": asked.label,
        "position": asked.position,
        "values": values or {},
        "settings": asked.settings,
        "status": status,
        "reason": reason,
        "record": content,
        "curves": curves,
        "run": content.get("run_id", "") if content else "",
    }
    (folder / f"{asked.name}.json").write_text(json.dumps(result))


def kshot(results: Path) -> Planned:
    """Learners at 16 and 5 shots, a benchmark, and rows that failed, cannot run or did not run."""
    k8 = row(
        "kshot",
        "K8",
        "ConvNeXt-Tiny, fine-tuned",
        "How far does a fine-tuned large network come?",
        seconds=1200,
        assumed=("16 images per class", "evaluation on the test images"),
        note="The backbone that ships is smaller.",
        scales={"small": {"cuts": ("10 trials", "mini-resnet instead of ConvNeXt-Tiny")}},
    )
    cells = []
    methods = (
        ("finetune", 0.63, 1.0),
        ("experts", 0.60, 0.98),
        ("probe", 0.71, 1.0),
        ("scratch", 0.50, None),
    )
    for place, (method, accuracy, train) in enumerate(methods):
        reported = {"accuracy": accuracy} | ({} if train is None else {"train_accuracy": train})
        cells.append(asked := cell(f"method={method}", f"method {method}", place, **reported))
        curves = learning(place) if method in ("finetune", "scratch") else None
        save(results, k8, asked, record(f"{method}-16"), values={"method": method}, curves=curves)
    cells.append(lost := cell("method=sgd_b", "method sgd_b", 4, accuracy=0.59))
    save(results, k8, lost, None, status="failed", reason="the loss became infinite at step 12.")
    planned: Planned = [(k8, cells)]
    others = (("K9", "protonet", 0.46), ("K10", "siamese", 0.51), ("K11", "maml", 0.14))
    for name, method, accuracy in others:
        one = row(
            "kshot",
            name,
            method.capitalize(),
            f"What does {method} reach?",
            assumed=("16 images a class",),
        )
        cells = [
            cell(f"shots={k}", f"shots {k}", place, **reported)
            for place, (k, reported) in enumerate(((16, {"accuracy": accuracy}), (5, {})))
        ]
        for asked, k in zip(cells, (16, 5), strict=True):
            save(results, one, asked, record(f"{method}-{k}"), values={"shots": k})
        planned.append((one, cells))
    k3 = row(
        "kshot",
        "K3",
        "Data-loader settings",
        "What does an epoch cost?",
        kind="benchmark",
        benchmark="loader",
    )
    times = {
        "kind": "benchmark", "what": "One epoch over 5,000 images", "machine": "two cores",
        "columns": ["loader", "workers", "pinned", "seconds an epoch", "images a second"],
        "rows": [["DataLoader", 0, False, 12.31, 406.2], ["DataLoader", 2, True, 7.05, 709.2],
                 ["in memory", 0, False, 0.81, 6172.8]],
    }  # fmt: skip
    save(results, k3, only := cell("all", "Data-loader settings"), times)
    planned.append((k3, [only]))
    k7 = row("kshot", "K7", "ResNet18, ImageNet weights", "Which settings?", needs=("imagenet",))
    lacking = [
        cell(f"lr={lr}", f"lr {lr}", place, accuracy=0.41, train_accuracy=0.94)
        for place, lr in enumerate((1, 2))
    ]
    for asked in lacking:
        save(
            results,
            k7,
            asked,
            None,
            status="not run",
            reason="ImageNet weights of resnet18 are not on this machine.",
        )
    planned.append((k7, lacking))
    planned.append((row("kshot", "K15", "Confusion matrix"), [cell("best", "best of K8")]))
    return planned


def experts(results: Path) -> Planned:
    """Fractions of the training images: two rows, seven budgets, other metrics reported."""
    planned: Planned = []
    for name, method, reported in (("E11", "finetune", E11), ("E12", "scratch", E12)):
        one = row("experts", name, f"{method} on fractions", "What does a fraction give?")
        cells = []
        for place, (fraction, accuracy) in enumerate(zip(FRACTIONS, reported, strict=True)):
            numbers = {"accuracy": accuracy, "f1": accuracy - 0.01, "std": 0.0015, "loss": 2.0}
            cells.append(
                asked := cell(f"fraction={fraction}", f"fraction {fraction}", place, **numbers)
            )
            save(
                results, one, asked, record(f"{method}-p{fraction}"), values={"fraction": fraction}
            )
        planned.append((one, cells))
    return planned


def searched(results: Path) -> Planned:
    """A search over two networks; the cells of its second step follow from its results."""
    one = row(
        "hyperparameters",
        "H5",
        "One-at-a-time search",
        kind="search",
        grid=({"network": {"H1": {}, "H2": {}}},),
        steps=({"train.lr": (0.01, 0.05, 0.5)}, {"train.batch_size": (64, 128)}),
    )
    random = np.random.default_rng(0)
    for place, (network, rate) in enumerate(
        (network, rate) for network in ("H1", "H2") for rate in (0.01, 0.05, 0.5)
    ):
        values = {"network": network, "train.lr": rate}
        asked = cell(
            f"1-{network}-lr={rate}",
            f"{network}, lr {rate:g} (step 1)",
            5 * (place // 3) + place % 3,
        )
        save(results, one, asked, lower("probe-16", rate / 3, random), values=values)
    for place, size in enumerate((64, 128)):
        values = {"network": "H1", "train.lr": 0.01, "train.batch_size": size}
        asked = cell(
            f"2-H1-lr=0.01-batch_size={size}", f"H1, lr 0.01, batch_size {size} (step 2)", 3 + place
        )
        save(results, one, asked, lower("probe-16", 0, random), values=values)
    return [(one, grids.cells(one, "small"))]


def lower(name: str, by: float, random: np.random.Generator) -> dict[str, Any]:
    """Return a record whose accuracies are lower by so much, plus some noise."""
    content = record(name)
    values = [
        value - by + random.normal(0, 0.01) for value in content["scores"]["accuracy"]["values"]
    ]
    content["scores"]["accuracy"] = summary(values).to_json()
    return content


def learning(seed: int, trials: int = 5, epochs: int = 30) -> dict[str, Any]:
    """Return curves as in a result; every second trial ended early."""
    random = np.random.default_rng(seed)
    steps = np.arange(1, epochs + 1)
    curves: dict[str, Any] = {"epoch": steps.tolist()}
    for name, start, end in (
        ("train_loss", 2.3, 0.1),
        ("train_accuracy", 0.1, 1.0),
        ("validation_accuracy", 0.1, 0.6),
    ):
        rows = (
            end
            + (start - end) * np.exp(-steps / (6 + seed))
            + random.normal(0, 0.02, (trials, epochs))
        )
        curves[name] = [row[: epochs - 8 * (place % 2)].tolist() for place, row in enumerate(rows)]
    return curves
