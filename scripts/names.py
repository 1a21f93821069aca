"""Tables of the accuracy that the names of mini-resnet's pretraining classes give.

The records in reports/records/names are of `fewshot run --method probe`:

    no-labels       --shots 0 --seeds 1 --set learner.prior_from_names=true
    prior-K         --shots K --set learner.prior_from_names=true
    imagenette160-K --shots K --data imagenette160 --backbone mini-resnet --weights pretrained \\
                    --set backbone.views=flip-crop
    without-X-K     --shots K --weights FILE, the weights of the pretraining `without-X`

`without-X` is `fewshot pretrain --data tinyimagenet32 --epochs 10 --config
configs/splits/tinyimagenet-without-X.yaml`. All are compared with `probe-K` in
reports/records/learners. The scripts `pretraining`, `readme` and `learners` write the tables into
the card, the docs and the reports.
"""

from __future__ import annotations

from fewshot.evaluation.paired_tests import paired_difference
from fewshot.report import formatting
from fewshot.runs import records
from fewshot.runs.run_record import RunRecord
from scripts import pages
from scripts.pages import RECORDS

NO_LABELS = RECORDS / "names" / "no-labels.json"
PRIOR_SHOTS = (1, 2, 4, 8, 16)
SHOTS = (1, 4, 16)


def no_labels() -> RunRecord:
    """Return the record of the classifier by names, without any label."""
    return records.read(NO_LABELS)


def read(name: str, shots: int) -> RunRecord | None:
    """Return a record in reports/records/names, or that of the probe; None if there is none."""
    return pages.record("learners" if name == "probe" else "names", f"{name}-{shots}")


def sentence() -> str:
    """Return a sentence on the accuracy of mini-resnet on CIFAR-10 without any label."""
    record = no_labels()
    return (
        f"Without any label, the {formatting.short_name(record)} give {record.backbone} an "
        f"accuracy of {100 * record.scores['accuracy'].mean:.1f}%."
    )


def gain(shots: int) -> str:
    """Return how many points the prior from names gains at a number of labels per class."""
    return _gain("prior", "probe", shots)


def prior() -> str:
    """Return the probe with and without the prior from names, and the difference between them."""
    alone = formatting.percent(no_labels())
    rows = [[no_labels().name, alone, *("" for _ in PRIOR_SHOTS)]]
    for name in ("probe", "prior"):
        measured = [read(name, shots) for shots in PRIOR_SHOTS]
        first = next(record for record in measured if record is not None)
        rows.append([first.name, "", *map(formatting.percent, measured)])
    rows.append(["gain from names", "", *map(gain, PRIOR_SHOTS)])
    heads = ["CIFAR-10, labels per class", "0", *map(str, PRIOR_SHOTS)]
    return formatting.markdown_table(heads, rows)


def overlap() -> str:
    """Return the probe on data and bodies with and without classes of the pretraining."""
    rows = [
        [words, *(formatting.percent(read(name, shots)) for shots in SHOTS)]
        for name, words in (
            ("probe", "mini-resnet, CIFAR-10"),
            ("imagenette160", "mini-resnet, imagenette160: no class in common"),
            ("without-random", "short pretraining without 23 other classes, CIFAR-10"),
            ("without-cifar10", "short pretraining without the 23 classes in common, CIFAR-10"),
        )
    ]
    gains = [_gain("without-cifar10", "without-random", shots) for shots in SHOTS]
    rows.append(["difference between the last two", *gains])
    return formatting.markdown_table(["backbone, data; labels per class", *map(str, SHOTS)], rows)


def _gain(ours: str, theirs: str, shots: int) -> str:
    """Return the paired difference in points, for example "+3.3 ± 0.9 (10)"."""
    one, other = read(ours, shots), read(theirs, shots)
    if one is None or other is None:
        return "-"
    gain = paired_difference(one.by_seed(), other.by_seed())
    return f"{formatting.points(gain)} ({gain.n})"


def tables() -> dict[str, str]:
    """Return the tables by their marks."""
    return {"names": prior(), "overlap": overlap()}
