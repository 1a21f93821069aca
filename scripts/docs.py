"""Fill in the parts of the documentation that are generated from the code.

MkDocs calls `on_page_markdown` for every page (see `hooks` in mkdocs.yml). A line such as
`<!-- generated: options probe -->` is replaced by the text that the function of that name returns.
`python -m scripts.docs NAME ...` prints one such text.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fewshot.config.reference import Setting

ROOT = Path(__file__).parent.parent
RECORDS = ROOT / "reports" / "records" / "learners"
OF_MUON = "equal to the rounding of bfloat16 (Muon)"
CAMPAIGN = ROOT / "reports" / "records" / "campaign"
STUDIES = ROOT / "configs" / "studies"
MARK = re.compile(r"^<!-- generated: ([\w-]+(?: [\w.-]+)*) -->$", re.MULTILINE)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace every mark of a page by its generated text; MkDocs calls this."""
    return MARK.sub(lambda match: generate(match[1]), markdown)


def generate(request: str) -> str:
    """Return the text for a mark, such as "options probe"."""
    name, *arguments = request.split()
    return GENERATORS[name](*arguments)


def options(method: str) -> str:
    """Return the table of a learner's settings."""
    from fewshot.config import reference
    from fewshot.learners import LEARNERS

    return _settings_table(list(reference.describe(LEARNERS[method].options_type, "learner.")))


def settings() -> str:
    """Return the tables of all settings that methods share, one section for each group."""
    from fewshot.config import reference
    from fewshot.config.schema import RunConfig

    groups: dict[str, list[Setting]] = {}
    for setting in reference.describe(RunConfig):
        group, _, _ = setting.key.rpartition(".")
        groups.setdefault(group, []).append(setting)
    sections = []
    for group, members in groups.items():
        title = f"`{group.removesuffix('[]')}`" if group else "The run"
        note = "\n\nEach item of this list has these keys." if group.endswith("[]") else ""
        sections.append(f"## {title}{note}\n\n{_settings_table(members)}")
    return "\n\n".join(sections)


def episodes() -> str:
    """Return the table of the settings that only the episodic regime has."""
    from fewshot.config import EpisodesConfig, MethodConfig, reference

    shared = tuple(MethodConfig.model_fields)
    return _settings_table(
        [
            setting
            for setting in reference.describe(EpisodesConfig)
            if setting.key.split(".")[0].removesuffix("[]") not in shared
        ]
    )


def commands() -> str:
    """Return a section for each command: what it does, its arguments and options."""
    import typer

    from fewshot.cli.main import app

    return "\n\n".join(_sections(typer.main.get_command(app), "fewshot"))


def presets(method: str) -> str:
    """Return the list of a method's presets with the first sentence of each file's comment."""
    from fewshot import config

    lines = []
    for name in config.presets(method):
        path = config.presets_folder() / "methods" / method / f"{name}.yaml"
        comment = " ".join(
            line.removeprefix("#").strip()
            for line in path.read_text(encoding="utf-8").split("\nbackbone:")[0].splitlines()
            if line.startswith("#")
        )
        sentence = re.split(r"(?<=\.)\s(?=[A-Z\"])", comment)[0].rstrip(". ")
        lines.append(f"- `{name}`: {sentence}.")
    return "\n".join(lines)


def numbers(method: str) -> str:
    """Return a method's accuracy by labels per class, from the published records."""
    from fewshot.runs import records

    shots = {}
    for _, record in records.load([RECORDS]):
        is_usual = record.preset in ("few", "full") and record.method == method
        if record.shots is not None and is_usual:
            shots[record.shots] = record
    rows = []
    for count in sorted(shots):
        score = shots[count].scores["accuracy"]
        rows.append([str(count), shots[count].name, score.text(".1f", 100), str(score.n)])
    table = _markdown_table(["labels per class", "what ran", "accuracy, %", "trials"], rows)
    return (
        f"{table}\n\nMean ± half of its 95% interval over trials, on the 10,000 test images, "
        "with the default presets (`few` up to 100 labels per class, `full` beyond). The records "
        "are in `reports/records/learners`."
    )


def backbones() -> str:
    """Return the table of our own backbones."""
    from fewshot.backbones import describe

    rows = [[f"`{name}`", text] for name, text in describe()]
    return _markdown_table(["name", "network"], rows)


def rows() -> str:
    """Return for each study a table of its rows: where the report has them, and what they cost."""
    from fewshot.studies import grids, schema

    sections: dict[str, list[list[str]]] = {}
    for row in schema.read([STUDIES]):
        if row.episodic or row.explains:
            continue
        cells, trials = grids.count(row, "full"), row.trials_at("full")
        hours = cells * trials * row.seconds_at("full") / 3600
        shown = "under 0.1" if hours < 0.1 else f"{hours:.1f}"
        numbers = [f"{cells}", f"{trials}", shown, ", ".join(row.needs_at("full"))]
        sections.setdefault(row.study, []).append([row.name, row.title, row.source, *numbers])
    columns = ["row", "system", "in the report", "settings", "trials", "hours", "needs"]
    return "\n\n".join(
        f"### {study}\n\n{_markdown_table(columns, lines)}" for study, lines in sections.items()
    )


def _settings_table(settings: list[Setting]) -> str:
    rows = []
    for setting in settings:
        unit = f" [{setting.unit}]" if setting.unit else ""
        default = setting.default if setting.default == "required" else f"`{setting.default}`"
        cells = [f"`{setting.key}`", setting.values, default, setting.description + unit]
        rows.append([cell.replace("|", "\\|") for cell in cells])
    return _markdown_table(["setting", "values", "default", "meaning"], rows)


def _markdown_table(columns: list[str], rows: list[list[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _sections(command: Any, name: str) -> Iterator[str]:
    """Yield the section of a command and those of the commands below it."""
    commands = getattr(command, "commands", None)
    if commands:
        for key in commands:
            yield from _sections(commands[key], f"{name} {key}")
        return
    arguments = [item for item in command.params if item.param_type_name == "argument"]
    usage = " ".join([name, *((item.name or "").upper() for item in arguments), "[OPTIONS]"])
    help_text = _help(command.help or "")
    rows = [_parameter(item) for item in command.params if item.name != "help"]
    table = _markdown_table(["argument or option", "default", "meaning"], rows)
    yield f"## `{name}`\n\n{help_text}\n\n```text\n{usage}\n```\n\n{table}"


def _help(text: str) -> str:
    """Return a command's help with its examples in a block of code."""
    lines = [line.strip() for line in text.split("\f")[0].splitlines()]
    examples = [line for line in lines if line.startswith("fewshot ")]
    prose = "\n".join(line for line in lines if line not in examples).strip()
    prose = re.sub(r"\n*Examples?:\s*$", "", prose)
    if not examples:
        return prose
    return "\n".join([prose, "", "```console", *(f"$ {line}" for line in examples), "```"])


def _parameter(parameter: Any) -> list[str]:
    """Return the cells of one argument or option of a command."""
    shown = getattr(parameter, "show_default", None)
    default = parameter.default
    if callable(default) or default is None or default is False or default == []:
        default = ""
    cell = shown if isinstance(shown, str) else ("required" if parameter.required else default)
    names = ", ".join(f"`{name}`" for name in [*parameter.opts, *parameter.secondary_opts])
    if parameter.param_type_name == "argument":
        names = f"`{(parameter.name or '').upper()}`"
    text = (getattr(parameter, "help", "") or "").replace("|", "\\|")
    return [names, f"{cell}", text]


def reliability(*parts: str) -> str:
    """Return a table of the records of `make campaign`: attempts, how they ended, seed, time.

    Args:
        parts: the beginnings of the records' names, such as "kills"; none: all records.
    """
    rows = [
        "| part | attempts | share | outcomes | seed | seconds | date |",
        "| --- | --: | --: | --- | --: | --: | --- |",
    ]
    for path in sorted(CAMPAIGN.glob("*.json")):
        if parts and not path.stem.startswith(parts):
            continue
        record = json.loads(path.read_text(encoding="utf-8"))
        counts = record["counts"]
        outcomes = "; ".join(f"{count:,} {outcome}" for outcome, count in counts.items())
        rows.append(
            f"| {record['part']} | {sum(counts.values()):,} | {_share(record)} | {outcomes} "
            f"| {record['seed']} | {record['seconds']:,.0f} | {record['date']} |"
        )
    return "\n".join(rows)


def _share(record: Mapping[str, Any]) -> str:
    return f"{record['share']:.0%}" if "share" in record else "less than all"


def equal_numbers() -> str:
    """Return a table of the campaign's pairs of runs that must have equal numbers."""
    pairs = {
        "environment": "another process: hash seed, time zone, locale, folder",
        "command-line": "the command line, not Python",
        "seeds": "seeds in another order, and in two calls",
        "resumed": "killed at a step and resumed",
        "workers": "`--workers 2`",
        "cache-full": "features read from the cache",
        "cache-none": "features never cached",
        "files": "folder, zip, Parquet and CSV file of the same PNG images",
        "models": "model fitted again, saved and loaded; exported to ONNX",
        "alone": "images classified one at a time, in another order, and from the run's folder",
        "threads": "two threads",
        "torchrun": "two processes of `torchrun`",
    }
    rows = [
        "| what differs | compared | equal, bit for bit | equal to rounding | Muon | others "
        "| tolerance | largest difference |",
        "| --- | --: | --: | --: | --: | --: | --: | --: |",
    ]
    for part, what in pairs.items():
        path = CAMPAIGN / f"numbers-{part}.json"
        if not path.exists():
            continue
        record = json.loads(path.read_text(encoding="utf-8"))
        counts, figures = record["counts"], record["figures"]
        ways = ("equal, bit for bit", "equal to rounding", OF_MUON, "failed")
        numbers = [str(sum(counts.values())), *(str(counts.get(way, 0)) for way in ways)]
        limits = [f"{figures[name]:.1g}" for name in ("tolerance", "largest difference")]
        rows.append(f"| {' | '.join([what, *numbers, *limits])} |")
    return "\n".join(rows)


def efficiency() -> str:
    """Return a table of how long a study takes on two nodes, with two workers and with shards."""
    path = CAMPAIGN / "two-nodes-efficiency.json"
    if not path.exists():
        return "Not measured yet."
    record = json.loads(path.read_text(encoding="utf-8"))
    figures = record["figures"]
    rows = ["| sweep | seconds | efficiency |", "| --- | --: | --: |"]
    for name, seconds in figures.items():
        if name.startswith("seconds of "):
            sweep = name.removeprefix("seconds of ")
            share = figures.get(f"efficiency of {sweep}")
            rows.append(f"| {sweep} | {seconds:.0f} | {'' if share is None else f'{share:.2f}'} |")
    return "\n".join([*rows, "", f"Measured once ({record['machine']}, {record['date']})."])


def beyond_memory() -> str:
    """Return a table of the memory and time of each command on rising numbers of images."""
    path = ROOT / "benchmarks" / "results" / "beyond_memory.json"
    measured = json.loads(path.read_text(encoding="utf-8"))
    rows = []
    for kind, sizes in measured["images"].items():
        numbers = sorted(map(int, sizes))
        rows.append(f"| command | {' | '.join(f'{n:,} {kind}' for n in numbers)} |")
        rows.append("| --- |" + " --: |" * len(numbers))
        for command in sizes[str(numbers[0])]:
            of_sizes = [sizes[str(n)].get(command) for n in numbers]
            cells = [
                f"{one['own_mb']:,.0f} MB, {one['processor_seconds']:,.0f} s" if one else ""
                for one in of_sizes
            ]
            rows.append(f"| `{command}` | {' | '.join(cells)} |")
        rows.append("")
    return "\n".join([*rows, f"Measured once ({measured['machine'].split(',')[0]})."])


GENERATORS: dict[str, Callable[..., str]] = {
    "backbones": backbones,
    "beyond-memory": beyond_memory,
    "commands": commands,
    "efficiency": efficiency,
    "episodes": episodes,
    "equal-numbers": equal_numbers,
    "numbers": numbers,
    "options": options,
    "presets": presets,
    "reliability": reliability,
    "rows": rows,
    "settings": settings,
}

if __name__ == "__main__":
    print(generate(" ".join(sys.argv[1:])))
