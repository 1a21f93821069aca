"""Results of the episodic regime beside those that others reported: Omniglot, A Closer Look."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import NamedTuple

from fewshot.evaluation import statistics
from fewshot.report import formatting
from fewshot.report.episodic.groups import Group
from fewshot.runs.episodic.record import EpisodesRecord

NOT_MEASURED = "Not measured yet."
# Lake, Salakhutdinov and Tenenbaum, The Omniglot challenge: a 3-year progress report, 2019: error
# in percent after learning from a minimal background set; the last one is of their demonstration.
ANCHORS = {
    "Bayesian program learning": 4.0,
    "people": 4.5,
    "simple convolutional network": 23.0,
    "prototypical network": 30.0,
    "modified Hausdorff distance": 39.0,
}
TO_BEAT = "simple convolutional network"
NO_BACKGROUND = "none"  # of a network that was not trained
# Chen et al., A Closer Look at Few-shot Classification, ICLR 2019, on mini-ImageNet: accuracy and
# half of the 95% interval over 600 tasks, from record/few_shot_exp_figures.xlsx of their
# repository (wyharveychen/CloserLookFewShot): network -> shots -> method.
Reported = dict[str, tuple[float, float]]
CLOSER_LOOK: dict[str, dict[int, Reported]] = {
    "Conv4": {
        1: {
            "baseline": (42.11, 0.71),
            "baseline++": (48.24, 0.75),
            "matching": (48.14, 0.78),
            "protonet": (44.42, 0.84),
            "maml": (46.47, 0.82),
            "relation": (49.31, 0.85),
        },
        5: {
            "baseline": (62.53, 0.69),
            "baseline++": (66.43, 0.63),
            "matching": (63.48, 0.66),
            "protonet": (64.24, 0.72),
            "maml": (62.71, 0.71),
            "relation": (66.60, 0.69),
        },
    },
    "ResNet10": {
        1: {
            "baseline": (52.37, 0.79),
            "baseline++": (53.97, 0.79),
            "matching": (54.49, 0.81),
            "protonet": (51.98, 0.84),
            "maml": (54.69, 0.89),
            "relation": (52.19, 0.83),
        },
        5: {
            "baseline": (74.69, 0.64),
            "baseline++": (75.90, 0.61),
            "matching": (68.82, 0.65),
            "protonet": (72.64, 0.64),
            "maml": (66.62, 0.83),
            "relation": (70.20, 0.66),
        },
    },
}
THEIR_NETWORK = {"conv4": "Conv4", "resnet12": "ResNet10"}  # the nearest of theirs to ours


class Challenge(NamedTuple):
    """The errors of one system on the Omniglot challenge, in percent, one for each training."""

    method: str
    additions: str  # to the method: augmentation, turned classes, and what the network does
    background: str
    errors: list[float]

    @property
    def name(self) -> str:
        """The method, with what was added to it."""
        return ", ".join(filter(None, [self.method, self.additions]))

    @property
    def half(self) -> float | None:
        """Half of the 95% interval of the mean over trainings."""
        return statistics.summary(self.errors).half


def challenge(records: Iterable[EpisodesRecord]) -> list[Challenge]:
    """Return the errors of each system after each background set, the smallest mean first."""
    errors: dict[tuple[str, str, str], dict[int, float]] = {}
    for one in records:
        background = formatting.joined(one.training.base) if one.training else NO_BACKGROUND
        seed = one.training.seed if one.training else 0
        key = one.method if one.training else one.name, _additions(one), background
        errors.setdefault(key, {})[seed] = 100 * (1 - one.accuracy.mean)
    rows = [Challenge(*key, list(by_seed.values())) for key, by_seed in errors.items()]
    return sorted(rows, key=lambda row: statistics.summary(row.errors).mean)


def _additions(one: EpisodesRecord) -> str:
    """Return what is added to a method, such as augmentation, turned classes and views."""
    words = [str(step["name"]).replace("_", " ") for step in one.config.get("augment") or ()]
    train, backbone = (one.config.get(section) or {} for section in ("train", "backbone"))
    words += ["turned classes"] if train.get("turned_classes") else []
    words += ["centred drawings"] if backbone.get("centre") else []
    views = backbone.get("views", "none")
    words += [f"views {views}"] if views != "none" else []
    return ", ".join(words)


def _names(rows: Sequence[Challenge]) -> list[str]:
    """Return what each row is called: the method alone if all trainings have the same additions."""
    shared = len(_additions_of_trainings(rows)) == 1
    return [row.method if shared and row.background != NO_BACKGROUND else row.name for row in rows]


def _additions_of_trainings(rows: Sequence[Challenge]) -> set[str]:
    return {row.additions for row in rows if row.background != NO_BACKGROUND}


def omniglot(records: Iterable[EpisodesRecord]) -> str:
    """Return the table of the challenge, with the errors that were reported elsewhere."""
    rows = challenge(records)
    if not rows:
        return NOT_MEASURED
    cells: list[tuple[float, list[str]]] = []
    for row, name in zip(rows, _names(rows), strict=True):
        mean = statistics.summary(row.errors).mean
        spread = f"{min(row.errors):.1f} - {max(row.errors):.1f}" if len(row.errors) > 1 else ""
        error = f"{mean:.1f}{formatting.plus_minus(row.half, '.1f')}"
        cells.append((mean, [name, row.background, error, spread, str(len(row.errors))]))
    for name, error in ANCHORS.items():
        words = [f"*{name}*", "*reported elsewhere*", f"about {error:g}", "", ""]
        cells.append((error, words))
    columns = ["system", "background set", "error, % ± 95%", "min - max", "trainings"]
    ordered = [words for _, words in sorted(cells, key=lambda cell: cell[0])]
    table = formatting.markdown_table(columns, ordered)
    shared = _additions_of_trainings(rows)
    if len(shared) != 1 or shared == {""}:
        return table
    return f"{table}\n\nAll trainings have: {shared.pop()}."


def below_the_anchor(records: Iterable[EpisodesRecord]) -> str:
    """Return which systems are below the error of the simple convolutional network."""
    rows, anchor = challenge(records), ANCHORS[TO_BEAT]
    if not rows:
        return NOT_MEASURED
    below = [  # a single training has no interval
        row
        for row in rows
        if row.half is not None and statistics.summary(row.errors).mean + row.half < anchor
    ]
    if not below:
        return f"No system is below {anchor:g}%, the error of the {TO_BEAT}, by its interval."
    backgrounds = {row.background for row in rows} - {NO_BACKGROUND}
    by_name: dict[str, set[str]] = {}
    for row, name in zip(rows, _names(rows), strict=True):
        if row in below:
            by_name.setdefault(name, set()).add(row.background)
    everywhere = [name for name, some in by_name.items() if some == backgrounds]
    others = [
        f"{name} after {formatting.joined(sorted(some))}"
        for name, some in by_name.items()
        if some != backgrounds
    ]
    parts = [f"{name} after every background set" for name in everywhere] + others
    return (
        f"Below {anchor:g}%, the error of the {TO_BEAT}, by the whole interval: {'; '.join(parts)}."
    )


def order(records: Sequence[EpisodesRecord]) -> str:
    """Return where the order of methods is that of A Closer Look, and where it is not."""
    sentences = []
    for network, theirs in THEIR_NETWORK.items():
        some = [one for one in records if one.backbone == network]
        for shots, reported in CLOSER_LOOK[theirs].items():
            by_tasks: dict[str, list[EpisodesRecord]] = {}
            for one in some:
                balanced = one.tasks.shots == shots and one.tasks.balance == "balanced"
                if balanced and one.method in reported:
                    by_tasks.setdefault(one.tasks_hash, []).append(one)
            # A method on other tasks, or on fewer, is in no paired comparison.
            for alike in by_tasks.values():
                if len(alike) == 1:
                    continue
                group = Group(alike)
                sentences.append(
                    f"- {network}, {shots}-shot: {_agreement(group, reported)} "
                    f"{_span(group, reported)}"
                )
    return "\n".join(sentences) or NOT_MEASURED


def _span(group: Group, reported: Reported) -> str:
    """Return how far apart the best and the worst method are, here and in the paper."""
    ours = [100 * one.accuracy.mean for one in group.records]
    theirs = [reported[one.method][0] for one in group.records]
    return (
        f"From the worst to the best are {max(ours) - min(ours):.1f} points here and "
        f"{max(theirs) - min(theirs):.1f} in the paper."
    )


def _agreement(group: Group, reported: Reported) -> str:
    """Compare the order of each pair of methods with that of reported numbers."""
    same, other, open_pairs = [], [], []
    for first, second in combinations(range(len(group.records)), 2):
        names = [group.records[place].method for place in (first, second)]
        (one, half), (two, other_half) = (reported[name] for name in names)
        if abs(one - two) <= half + other_half:
            continue  # the paper leaves the order open
        difference = group.difference(first, second)
        if not difference.significant:
            open_pairs.append(" and ".join(names))
        elif (difference.mean > 0) == (one > two):
            same.append(f"{names[0]} above {names[1]}")
        else:
            other.append(f"{names[0]} above {names[1]}")
    total = len(same) + len(other) + len(open_pairs)
    if not total:
        return "the paper's intervals leave every order open."
    parts = [f"{len(same)} of {formatting.counted(total, 'pair')} as in the paper"]
    if same:
        parts[0] += f" ({', '.join(same)})"
    if other:
        parts.append(f"{len(other)} the other way round ({', '.join(other)})")
    if open_pairs:
        words = f"{len(open_pairs)} without a significant difference here"
        parts.append(f"{words} ({', '.join(open_pairs)})")
    return f"{'; '.join(parts)}."
