"""Write the tables of reports/learners.md from the records in reports/records/learners.

python -m scripts.learners           # write them
python -m scripts.learners --check   # exit with an error if one is stale
"""

from __future__ import annotations

from fewshot.evaluation.paired_tests import paired_difference
from fewshot.report import costs, formatting, known_faults
from fewshot.runs import records
from fewshot.runs.run_record import RunRecord
from scripts import names, pages, systems
from scripts.pages import RECORDS, ROOT

PAGE = ROOT / "reports" / "learners.md"
# Study kshot: test accuracy of the best setting of a row. It does not state its number of labels
# per class; 16, which its row K13 names, is assumed. The few-shot learners are in scripts/systems.
REPORTED = {"finetune": ("K8: mini-resnet in ConvNeXt-Tiny's place", 0.63)}
# Study experts: E11 is its few-shot architecture, E12 its regular CNN.
FRACTIONS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1)
E11 = (0.2095, 0.2503, 0.2890, 0.3283, 0.3388, 0.3407, 0.3505)
E12 = (0.1123, 0.1610, 0.1833, 0.2020, 0.3191, 0.3960, 0.4894)


def read() -> list[RunRecord]:
    """Return the records of all learners, the most accurate first."""
    rows = [record for _, record in records.load([RECORDS / "learners"])]
    return sorted(rows, key=lambda record: -record.scores["accuracy"].mean)


def _accuracy(record: RunRecord) -> str:
    return formatting.interval(record.scores["accuracy"])


def _name(record: RunRecord) -> str:
    weights = "" if record.weights == "pretrained" else ", random weights"
    return formatting.method_name(record) + weights


def at_16() -> str:
    """Return every learner at 16 labels per class, beside the numbers of study kshot."""
    rows = []
    for record in read():
        if record.shots != 16:
            continue
        seconds = costs.seconds(record), costs.feature_seconds(record)
        row = [_name(record), _accuracy(record), len(record.seeds), *seconds]
        system, reported = REPORTED.get(record.method, ("", None))
        if reported is not None:
            difference = record.scores["accuracy"].mean - reported
            row += [system, f"{reported:.2f}", f"{difference:+.2f}"]
        else:
            row += ["", "", ""]
        rows.append(row)
    alone = names.no_labels()
    rows.append([alone.name, _accuracy(alone), len(alone.seeds), "", "", "", "", ""])
    columns = ["learner", "accuracy ± 95%", "n", "seconds per trial", "features (s)"]
    return formatting.markdown_table([*columns, "reported system", "reported", "difference"], rows)


def at_128() -> str:
    """Return every learner at 128 labels per class, and its paired difference to the probe."""
    selected = [record for record in read() if record.shots == 128]
    probe = next(record for record in selected if record.method == "probe")
    rows = []
    for record in selected:
        difference = (
            "" if record is probe else str(paired_difference(record.by_seed(), probe.by_seed()))
        )
        seconds, machine = (
            costs.seconds(record, ".0f"),
            formatting.current_words(record.provenance.device),
        )
        n, features = len(record.seeds), costs.feature_seconds(record)
        rows.append([_name(record), _accuracy(record), n, difference, seconds, features, machine])
    alone = names.no_labels()
    rows.append([alone.name, _accuracy(alone), len(alone.seeds), "", "", "", ""])
    columns = ["learner", "accuracy ± 95%", "n", "difference to the probe", "seconds per trial"]
    return formatting.markdown_table([*columns, "features (s)", "machine"], rows)


def accurate() -> str:
    """Return the preset `accurate` beside `few`, with paired differences."""
    rows = []
    for method in ("probe", "protonet"):
        for shots in (1, 4, 16):
            record = pages.record("accurate", f"{method}-{shots}")
            few = pages.record("learners", f"{method}-{shots}")
            if record is None or few is None:
                rows.append([method, shots, "not run", *[""] * 5])
                continue
            difference = str(paired_difference(record.by_seed(), few.by_seed()))
            seconds = [costs.feature_seconds(one) for one in (few, record)]
            n = len(record.seeds)
            row = [method, shots, _accuracy(few), _accuracy(record), difference, n, *seconds]
            rows.append(row)
    columns = ["learner", "labels per class", "`few`", "`accurate`", "difference", "n"]
    columns += ["features of `few` (s)", "features of `accurate` (s)"]
    return formatting.markdown_table(columns, rows)


def by_fraction() -> str:
    """Return finetune and scratch on fractions of the training images, beside study experts."""
    measured = {(record.method, record.fraction): record for record in read() if record.fraction}
    rows = []
    for fraction, few_shot, regular in zip(FRACTIONS, E11, E12, strict=True):
        row = [f"{fraction:g}", f"{5000 * fraction:g}"]
        for method, reported in (("finetune", few_shot), ("scratch", regular)):
            record = measured.get((method, fraction))
            if record is None:
                row += ["-", "", f"{reported:.4f}"]
            else:
                row += [_accuracy(record), str(len(record.seeds)), f"{reported:.4f}"]
        rows.append(row)
    columns = ["fraction", "labels per class", "finetune", "n", "E11, reported"]
    return formatting.markdown_table([*columns, "scratch", "n", "E12, reported"], rows)


def tables() -> dict[str, str]:
    return {
        "16": at_16(),
        "systems": systems.table(),
        "faults": known_faults.sentence(read()),
        "128": at_128(),
        "accurate": accurate(),
        "fractions": by_fraction(),
    }


if __name__ == "__main__":
    pages.update([PAGE], tables, "scripts.learners")
