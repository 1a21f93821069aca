"""Write the tables of reports/meta.md from reports/records/meta and reports/records/memorising.

python -m scripts.meta           # write them
python -m scripts.meta --check   # exit with an error if one is stale

`python -m scripts.meta_runs` measures the records.
"""

from __future__ import annotations

from fewshot.evaluation.paired_tests import paired_difference
from fewshot.report import formatting
from fewshot.report.costs import seconds as seconds_per_trial
from fewshot.runs import records
from fewshot.runs.run_record import RunRecord
from scripts import names, pages
from scripts.meta_runs import FOLDER, LEARNERS, STARTS, untrained
from scripts.pages import RECORDS, ROOT
from scripts.systems import REPORTED_SHOTS, SHOTS, SYSTEMS

PAGE = ROOT / "reports" / "meta.md"
MEMORISING = "memorising"  # folder of the records of K11's learned head
WORDS = {
    "protonet": "prototypical network",
    "siamese": "siamese network",
    "maml": "MAML, second order",
    "maml-first": "MAML, first order",
    "anil": "ANIL",
}
BODIES = {"shipped": "mini-resnet, shipped weights", "random": "conv4, random weights"}
REPORTED = {system.method: system for system in SYSTEMS}


def accuracies() -> str:
    """Return each learner before and after its meta-training, beside the number of the report."""
    lines = []
    for start in STARTS:
        for name, (method, _) in LEARNERS.items():
            system = REPORTED[method]
            trained = pages.record(FOLDER, f"{name}-{start}-{REPORTED_SHOTS}")
            cells = [_change(name, start, shots) for shots in SHOTS]
            beside = [f"{system.row}: {100 * system.accuracy:.0f}", ""]
            if trained is not None:
                gap = trained.scores["accuracy"].mean - system.accuracy
                beside[1] = f"{100 * gap:+.1f}"
            lines.append([WORDS[name], BODIES[start], *cells, *beside])
    columns = ["learner", "body", *(f"{shots} per class" for shots in SHOTS)]
    table = formatting.markdown_table([*columns, "reported", "difference at 16"], lines)
    return f"{table}\n\n{names.sentence()}"


def _change(name: str, start: str, shots: int) -> str:
    """Return the accuracy before and after the meta-training, and the paired difference."""
    folder, untrained_name = untrained(name, start)
    after = pages.record(FOLDER, f"{name}-{start}-{shots}")
    before = pages.record(folder, f"{untrained_name}-{shots}")
    texts = [
        "-" if one is None else f"{100 * one.scores['accuracy'].mean:.1f}"
        for one in (before, after)
    ]
    text = " → ".join(texts)
    if before is None or after is None:
        return text
    change = paired_difference(after.by_seed(), before.by_seed())
    return f"{text} ({formatting.points(change)})"


def costs() -> str:
    """Return the steps and seconds of each meta-training, and the seconds of a trial after it."""
    lines = []
    for start in STARTS:
        for name in LEARNERS:
            record = pages.record(FOLDER, f"{name}-{start}-{REPORTED_SHOTS}")
            if record is None or record.cost.meta_train_seconds is None:
                continue
            lines.append(
                [
                    WORDS[name],
                    BODIES[start],
                    f"{record.config['train']['steps']:,}",
                    _images_of_a_step(record),
                    f"{record.cost.meta_train_seconds:.0f}",
                    seconds_per_trial(record, ".2f"),
                    len(record.seeds),
                    formatting.current_words(record.provenance.device),
                ]
            )
    columns = ["learner", "body", "steps", "images of a step", "seconds of meta-training"]
    return formatting.markdown_table([*columns, "seconds per trial", "n", "machine"], lines)


def _images_of_a_step(record: RunRecord) -> str:
    learner, train = record.config["learner"], record.config["train"]
    if record.method == "siamese":
        return f"{train['batch_size']} pairs"
    ways = learner["episode_ways"] or len(record.classes)
    return f"{ways} classes of {learner['episode_shots']} + {learner['episode_queries']}"


def memorising() -> str:
    """Return K11 with a learned head, with fixed and with shuffled numbers of the classes."""
    lines = []
    for path in sorted((RECORDS / MEMORISING).glob("*.json")):
        record = records.read(path)
        train = record.config["train"]
        learner, training = record.config["learner"], record.train_accuracy
        steps = learner["test_steps"]
        lines.append(
            [
                "shuffled in every episode" if learner["relabel"] else "always the same",
                f"{train['steps']}, {learner['order']} order",
                str(learner["inner_steps"] if steps is None else steps),
                formatting.interval(record.scores["accuracy"]),
                "-" if training is None else formatting.interval(training),
                len(record.seeds),
            ]
        )
    columns = ["numbers of the classes", "outer steps", "inner steps in the evaluation"]
    measured = ["test accuracy ± 95%", "accuracy on the labelled images", "n"]
    return formatting.markdown_table([*columns, *measured], lines)


def tables() -> dict[str, str]:
    return {"accuracies": accuracies(), "costs": costs(), "memorising": memorising()}


if __name__ == "__main__":
    pages.update([PAGE], tables, "scripts.meta")
