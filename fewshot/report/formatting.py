"""Write numbers, intervals, label budgets and tables in one way for every page of the report."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fewshot.evaluation.paired_tests import Difference
from fewshot.evaluation.statistics import Score
from fewshot.runs import naming
from fewshot.runs.run_record import RunRecord

USUAL_PRESETS = (*naming.DEFAULT_PRESETS, "random")  # those that a figure's label leaves out
RUN_ID = re.compile("[0-9a-f]{12}")

ROWS_OF_TABLES = re.compile(r" \([^()]*\brow \d+ = [^()]*\)")  # examples of copies
OF_TRAINING = "had a single task to learn from"  # of a warning about training
# Published records keep the sentences of the version that wrote them: pattern, current words.
EARLIER_WORDS = (
    (r"\ba member: ", "a voter: "),
    (r" members on validation", " voters on validation"),
    (r"\ba \w+'s accuracy is near chance", "the accuracy of a trial is near chance"),
    (r"(?<=hours of training and )\w+ing\b", "evaluation"),
    (r"\b1 (thread|worker)s\b", r"1 \1"),
    (r"\bseconds an epoch\b", "seconds per epoch"),
    (r"(?<=\d s) a vote\b", " per vote"),
)


class Cell(NamedTuple):
    """A table cell: its text, and the number by which its column is sorted, if it holds one."""

    text: str = ""
    sort: float | None = None
    bold: bool = False


class Table(NamedTuple):
    """A table with a caption that states what its rows share, and notes as (subject, sentence)."""

    caption: str
    columns: list[str]
    rows: list[list[Cell]]
    notes: list[tuple[str, str]]


class Finding(NamedTuple):
    """A sentence, and the details that are listed below it."""

    sentence: str
    details: list[str]


def current_words(sentence: str) -> str:
    """Return a sentence of a record in the words of today's version."""
    for earlier, current in EARLIER_WORDS:
        sentence = re.sub(earlier, current, sentence)
    return sentence


def data_notes_of(record: RunRecord) -> list[str]:
    """Return the notes about the images of a record, without rows of tables, which nobody sees."""
    return [re.sub(ROWS_OF_TABLES, "", note) for note in record.data_notes]


def warnings_of(record: RunRecord) -> list[str]:
    """Return the warnings of a record in the words of today's version.

    Earlier versions also warned of how a learner was trained where it was not.
    """
    untrained = naming.lacks_training(record.method, record.config_as_run)
    return [
        current_words(text) for text in record.warnings if not (untrained and OF_TRAINING in text)
    ]


def counted(n: float, noun: str) -> str:
    """Return a count and its noun, for example "1 trial" or "3 trials"."""
    return f"{n:,g} {noun}{'' if n == 1 else 's'}" if n < 1e6 else f"{n:,.0f} {noun}s"


def joined(words: Sequence[str]) -> str:
    """Return an enumeration, for example "A1, A3 and A5"."""
    return ", ".join(words[:-1]) + " and " + words[-1] if len(words) > 1 else "".join(words)


def sentence_case(text: str) -> str:
    """Return the text with a capital first letter."""
    return text[:1].upper() + text[1:]


def interval(score: Score, form: str = ".4f", *, share: bool = True) -> str:
    """Return the mean and the 95% interval over trials as `Score.text` does: "0.6970 ± 0.0073".

    This is the only meaning of "±" on a page, besides paired differences, which have the same
    interval. A standard deviation is named.
    """
    return score.text(form, share=share)


def percent(record: RunRecord | None) -> str:
    """Return an accuracy in percent, for example "69.7 ± 0.7 (10)": mean, interval, trials."""
    if record is None:
        return "-"
    score = record.scores["accuracy"]
    half = None if score.half is None else 100 * score.half
    return f"{100 * score.mean:.1f}{plus_minus(half, '.1f')} ({len(record.seeds)})"


def plus_minus(half_width: float | None, form: str = ".4f") -> str:
    """Return half of an interval behind its sign, with a space before; nothing for None."""
    return "" if half_width is None else f" ± {half_width:{form}}"


def points(difference: Difference) -> str:
    """Return a difference of accuracies in percentage points, for example "+3.3 ± 0.9"."""
    half = None if difference.half is None else 100 * difference.half
    return f"{100 * difference.mean:+.1f}{plus_minus(half, '.1f')}"


def p_value(p: float) -> str:
    """Return a p-value with two digits, or as smaller than 0.0001."""
    return "p < 0.0001" if p < 1e-4 else f"p = {p:.2g}"


def as_stated(value: float, decimals: int = 2) -> str:
    """Return a reported number with its own decimals, but at least this many: 0.4 becomes 0.40."""
    text = f"{value:.4f}".rstrip("0")
    return text + "0" * max(0, decimals - len(text.partition(".")[2]))


def number(value: float, form: str) -> Cell:
    """Return a cell that shows a number in a format, and is sorted by it."""
    return Cell(f"{value:{form}}", value)


def budget_kind(record: RunRecord) -> str:
    """Return how a record states its labelled images: "shots", "fraction" or "full"."""
    if record.shots is not None:
        return "shots"
    return "full" if record.fraction is None else "fraction"


def budget_amount(record: RunRecord) -> float:
    """Return the labels per class of a record, or the fraction, or 1 for all training images."""
    amount = record.fraction if record.shots is None else record.shots
    return 1.0 if amount is None else float(amount)


def budget(kind: str, amount: float) -> str:
    """Return a label budget in words.

    Args:
        kind: "shots", "fraction" or "full".
        amount: labels per class, or the fraction of the training images; not used for "full".
    """
    if kind == "full":
        return "all training images"
    if kind == "fraction":
        return f"{100 * amount:g}% of the training images"
    return f"{counted(amount, 'label')} per class"


def regime_in_words(regime: str, kind: str) -> str:
    """Return "low-data regime, " for a heading; nothing for all training images."""
    return "" if kind == "full" else f"{regime} regime, "


def budget_of(record: RunRecord) -> str:
    """Return the label budget of a record in words."""
    text = budget(budget_kind(record), budget_amount(record))
    others = [f"{number} of {name}" for name, number in record.class_shots.items()]
    return f"{text}, but {joined(others)}" if others else text


def folds_of(record: RunRecord) -> str:
    """Return how a record was cross-validated, for example "5 x 2 folds"; empty without folds."""
    if record.folds is None:
        return ""
    repeats, rest = divmod(len(record.seeds), record.folds)
    if rest or not repeats:
        return f"{counted(len(record.seeds), 'trial')} over {record.folds} folds"
    return f"{record.folds} folds" if repeats == 1 else f"{record.folds} x {repeats} folds"


def evaluated_on(record: RunRecord) -> str:
    """Return what tested a record: "evaluated on 500 test images", or its cross-validation."""
    images = f"{record.n_test:,} test image{'' if record.n_test == 1 else 's'}"
    if record.folds is None:
        return f"evaluated on {images}"
    return f"cross-validated, {folds_of(record)} of {counted(record.n_test, 'image')}"


def method_name(record: RunRecord) -> str:
    """Return what ran, for example "protonet (not trained: nearest mean of frozen features)"."""
    return record.name


def short_name(record: RunRecord) -> str:
    """Return what ran, short enough for the title of a figure; see `naming.in_short`."""
    return naming.in_short(record.method, record.preset, record.config_as_run)


def method_label(record: RunRecord) -> str:
    """Return the label of a line in a figure: what ran, backbone and weights.

    Usual presets are left out: the weights distinguish them.
    """
    weights = "from random weights" if record.weights == "none" else weights_name(record)
    preset = naming.DEFAULT_PRESETS[0] if record.preset in USUAL_PRESETS else record.preset
    name = naming.system(record.method, preset, record.config_as_run)
    return f"{name} {record.backbone} {weights}"


def weights_name(record: RunRecord) -> str:
    """Return the initial weights of a record; of a file, its name without folders."""
    return Path(record.weights).name


def initial_weights(record: RunRecord) -> str:
    """Return the initial weights of a record in words, for example "random weights"."""
    words = {"none": "random weights", "pretrained": "pretrained weights"}
    return words.get(record.weights) or f"weights {weights_name(record)}"


def network(record: RunRecord) -> str:
    """Return what ran, its network and initial weights, and what trained a few-shot learner."""
    weights = initial_weights(record)
    usual = naming.DEFAULT_PRESETS[0]  # presets may have the name of another network
    trained_on = naming.training_images(record.method, record.config_as_run)
    if trained_on:
        name = naming.in_short(record.method, usual, record.config_as_run)
        return f"{name} on {record.backbone}, {weights}, trained on {trained_on}"
    name = naming.system(record.method, usual, record.config_as_run)
    return f"{name} on {record.backbone}, {weights}"


def is_untrained(record: RunRecord) -> bool:
    """Return whether the learner of a record only adapted its features to the support set."""
    return naming.is_untrained(record.config_as_run)


def escaped(text: str) -> str:
    """Return text whose characters have no special meaning in Markdown."""
    return re.sub(r"([<*_\[\]])", r"\\\1", text)


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a Markdown table.

    A column is aligned to the right if every cell is empty or starts with a digit or a sign, and
    no cell is the id of a run.

    Args:
        columns: the headings.
        rows: the cells of each row; they are converted with `str`.
    """
    cells = [[str(cell).replace("|", "\\|") for cell in row] for row in rows]
    rulers = []
    for column in range(len(columns)):
        texts = [row[column].lstrip("*\\") for row in cells]
        numeric = all(
            not text or (text[0] in "0123456789+-±<" and not RUN_ID.fullmatch(text))
            for text in texts
        )
        rulers.append("--:" if numeric else ":--")
    lines = [list(columns), rulers, *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def markdown_cell(cell: Cell) -> str:
    """Return a cell's text in Markdown."""
    text = escaped(cell.text)
    return f"**{text}**" if cell.bold else text


def picture(path: Path, alt: str) -> str:
    """Return a Markdown image from the folder of its page; `alt` describes it in words."""
    return f"![{alt.replace('[', '(').replace(']', ')')}]({path.name})"


def shortened(text: str, longest: int = 22) -> str:
    """Return the text, cut with an ellipsis if it has more than `longest` characters."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
