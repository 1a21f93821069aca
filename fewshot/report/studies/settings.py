"""The settings of a row in words, and which of its cells may stand in one panel of a figure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from fewshot.config import BUDGETS
from fewshot.report import formatting
from fewshot.report.studies import results
from fewshot.report.studies.results import CellResult, Group, RowResult

AXES = {
    "lr": "learning rate",
    "batch_size": "batch size",
    "best": "best voters in percent",
}


class Alike(NamedTuple):
    """What cells share that one panel may compare: images, labels, scale, and network."""

    group: Group
    network: str


def alike(cells: Iterable[CellResult]) -> dict[Alike, list[CellResult]]:
    """Return scored cells by their images, their number of labels and their network."""
    together: dict[Alike, list[CellResult]] = {}
    for group, some in results.groups(cells).items():
        for cell in some:
            record = cell.measured
            network = f"{record.backbone}, {formatting.weights_name(record)}"
            together.setdefault(Alike(group, network), []).append(cell)
    return together


def titles(row: RowResult, panels: Mapping[Alike, Sequence[CellResult]]) -> dict[Alike, str]:
    """Return the words in which each panel differs from the others, and what ran there."""
    every = alike(row.scored)
    groups = in_words([one.group for one in every])
    networks = {one.network for one in every}
    words = {}
    for panel, cells in panels.items():
        parts = [groups[panel.group]]
        stand_ins = {cell.stand_in for cell in cells}
        place = stand_ins.pop() if len(stand_ins) == 1 else ""
        if len(networks) > 1:
            parts.append(_network(row, cells) or ("" if place else panel.network))
        words[panel] = "\n".join(filter(None, [", ".join(filter(None, parts)), place]))
    return words


def in_words(groups: Sequence[Group]) -> dict[Group, str]:
    """Return in what groups differ: the number of labels and the scale; empty where all agree."""
    words: dict[Group, str] = {}
    for group in groups:
        parts = [group.budget] if len({one.budget for one in groups}) > 1 else []
        if len({one.scale for one in groups}) > 1:
            parts.append(f"scale {group.scale}")
        words[group] = ", ".join(parts)
    return words


def _network(row: RowResult, cells: Sequence[CellResult]) -> str:
    """Return the value of the axis that changes the network, such as "ResNet18"."""
    values = [cell.values.get(network_axis(row.scored)) for cell in cells]
    same = len({str(value) for value in values}) == 1
    return str(values[0]) if same and values[0] is not None else ""


def network_axis(cells: Sequence[CellResult]) -> str:
    """Return the axis each of whose values has a network of its own; empty if there is none."""
    networks = {cell.name: (cell.measured.backbone, cell.measured.weights) for cell in cells}
    if len(set(networks.values())) < 2:
        return ""
    for key in varied(cells):
        by_value: dict[str, set[Any]] = {}
        for cell in cells:
            by_value.setdefault(str(cell.values.get(key)), set()).add(networks[cell.name])
        if all(len(some) == 1 for some in by_value.values()):
            return key
    return ""


def varied(cells: Sequence[CellResult]) -> list[str]:
    """Return the axes with several values in these cells, besides the label budgets."""
    keys = dict.fromkeys(key for cell in cells for key in cell.values if key not in BUDGETS)
    return [key for key in keys if len({str(cell.values.get(key)) for cell in cells}) > 1]


def name(row: RowResult, key: str) -> str:
    """Return an axis in words: "train.lr" is "learning rate"."""
    last = key.removesuffix(".name").rpartition(".")[2]
    return AXES.get(last) or row.row.labels.get(key) or last.replace("_", " ")


def value(content: Any) -> str:
    """Return the value of a setting in short: of a list of augmentations, their names."""
    if isinstance(content, list):
        items = [next(iter(one.values())) if isinstance(one, Mapping) else one for one in content]
        return " ".join(map(value, items)) or "none"
    if content is None or isinstance(content, bool):
        return {True: "yes", False: "no", None: "none"}[content]
    return f"{content:g}" if isinstance(content, float) else str(content)


def with_name(row: RowResult, key: str, content: Any) -> str:
    """Return a setting as "dropout 0.5"; a value that is a name of its own stands alone."""
    text = value(content)
    if text in ("none", "no"):
        return f"no {name(row, key)}"
    is_named = any(isinstance(block.get(key), dict) for block in row.row.grid)
    return text if is_named and text != "yes" else f"{name(row, key)} {text}"


def slug(*words: str) -> str:
    """Return words as a part of a file name: "L2, rate" is "l2-rate"."""
    return "-".join(re.sub(r"[^A-Za-z0-9.]+", "-", word).strip("-") for word in words if word)
