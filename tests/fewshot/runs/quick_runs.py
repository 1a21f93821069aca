"""Settings of runs that take a second, and records without times."""

from __future__ import annotations

import json

from fewshot.runs.run_record import RunRecord

QUICK = {
    "data": "digits",
    "shots": 4,
    "precision": "float32",
    "backbone": {"name": "conv4", "options": {"width": 8}},
    "train": {"steps": 12, "batch_size": 16},
}


def quick(method: str, **more) -> dict:
    values = {key: value for key, value in QUICK.items() if method != "probe" or key != "train"}
    return {**values, "method": method, **more}


def without_times(record: RunRecord) -> dict:
    """Return a record as JSON without what differs from run to run: cost, dates, the checkout."""
    content = json.loads(json.dumps(record.to_json()))
    content["cost"] = {"parameters": content["cost"]["parameters"]}
    for key in ("started", "finished", "commit", "dirty"):
        content["provenance"].pop(key)
    return content
