"""Names of systems: for every published record against a table and rules written here by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fewshot.runs import naming
from fewshot.runs.run_record import RunRecord

RECORDS = Path(__file__).parents[3] / "reports" / "records"
UNTRAINED = {
    "protonet": "protonet (not trained: nearest mean of frozen features)",
    "siamese": "siamese (not trained: mean cosine to the frozen features of each class)",
    "maml": "maml (not trained: softmax regression on frozen features by 50 gradient steps)",
}

BY_MEAN = "siamese (not trained: cosine to the class mean of frozen features)"


def published() -> list[dict[str, Any]]:
    contents = []
    for path in sorted(RECORDS.rglob("*.json")):
        content = json.loads(path.read_text())
        content = content.get("record") or content if isinstance(content, dict) else {}
        if "scores" in content and "run_id" in content:
            contents.append(content)
    return contents


def test_a_published_record_is_named_after_a_method_only_if_it_trained_as_one() -> None:
    seen = set()
    for content in published():
        if content["method"] not in UNTRAINED:
            continue
        name, trained = RunRecord.from_json(content).name, bool(content["config"]["train"])
        seen.add((content["method"], trained))
        assert ("not trained" in name) != trained
        if not trained and content["preset"] == "few":
            by_mean = content["config"]["learner"].get("compare") == "mean"
            assert name == (BY_MEAN if by_mean else UNTRAINED[content["method"]])
    assert seen == {(method, trained) for method in UNTRAINED for trained in (True, False)}


@pytest.mark.parametrize(
    ("method", "content", "name"),
    [
        ("probe", {"train": None}, "probe"),
        ("probe", {"learner": {"prior_from_names": True}}, "probe (prior from names)"),
        (
            "probe",
            {"shots": 0, "learner": {"prior_from_names": True}},
            "names of the pretraining's classes (no label)",
        ),
        ("voting", {}, "voting"),
        ("finetune", {"train": None}, "finetune (not trained)"),
        ("finetune", {"train": {"steps": 3}}, "finetune"),
        ("maml", {"train": {}, "learner": {"adapts": "all", "order": "second"}}, "maml"),
        (
            "maml",
            {"train": {}, "learner": {"adapts": "all", "order": "first"}},
            "maml (first order)",
        ),
        ("maml", {"train": {}, "learner": {"inner_trainable": "head"}}, "maml (ANIL)"),
        ("siamese", {"train": {"base": "digits"}}, "siamese (trained on digits)"),
        (
            "siamese",
            {"train": None, "learner": {"compare": "mean"}},
            "siamese (not trained: cosine to the class mean of frozen features)",
        ),
    ],
)
def test_names_of_configurations(method: str, content: dict[str, Any], name: str) -> None:
    assert naming.system(method, "few", content) == name


def test_only_few_shot_learners_name_what_trained_them() -> None:
    on_subset: dict[str, Any] = {"train": {"base": None}}
    assert naming.training_images("siamese", on_subset) == "pairs of the labelled subset"
    assert naming.training_images("maml", {"train": {"base": "digits"}}) == "tasks of digits"
    assert naming.training_images("maml", {"train": None}) == ""
    assert naming.training_images("finetune", on_subset) == ""
