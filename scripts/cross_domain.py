"""Copy the records of the tasks from another domain out of the results of a sweep.

fewshot sweep configs/studies/episodes --only cross-domain-cifar10,cross-domain-imagenette160 \\
    --scale full --out FOLDER
python -m scripts.cross_domain FOLDER/studies
python -m scripts.reports

The records go to reports/records/episodes/cross-domain, from which reports/episodes.md is written.
"""

from __future__ import annotations

import sys
from pathlib import Path

from fewshot import io
from fewshot.runs.episodic import record as records
from fewshot.runs.episodic.record import EpisodesRecord
from fewshot.studies import schema
from fewshot.studies.results import Result, ResultStore
from scripts.pages import RECORDS, ROOT

STUDY = ROOT / "configs" / "studies" / "episodes"
FOLDER = RECORDS / "episodes" / "cross-domain"


def name_of(result: Result) -> str:
    """Return the file name of a cell's record: data, shots, balance and method."""
    values = result["values"]
    parts = [result["settings"]["data"], values["tasks.shots"], values["tasks.balance"]]
    parts += [values["method"], *([values["weights"]] if "weights" in values else [])]
    return "-".join(map(str, parts)) + ".json"


def copy(results: Path, folder: Path) -> list[str]:
    """Copy the records of all cells that are done; return the names of the files."""
    store = ResultStore("full", results, results)
    names = []
    io.make_folder(folder)
    for row in schema.read(sorted(STUDY.glob("cross-domain-*.yaml"))):
        for result in store.results_of(row):
            if result["status"] == "done" and result["record"] is not None:
                names.append(name_of(result))
                records.write(folder / names[-1], EpisodesRecord.from_json(dict(result["record"])))
    return names


if __name__ == "__main__":
    print(len(copy(Path(sys.argv[1]), FOLDER)), "records in", FOLDER)
