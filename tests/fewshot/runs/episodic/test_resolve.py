"""Run ids and pools of requests: which changes matter, by hand."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from fewshot.backbones import own_weights
from fewshot.errors import UserError
from fewshot.runs.episodic import resolve as episodic_resolve
from fewshot.runs.episodic.pool import Pool
from fewshot.runs.episodic.resolve import ResolvedEpisodes, Sources, resolve
from tests.fewshot.runs.episodic.quick import N_CLASSES, SPLIT, TRAIN, quick


def resolved(out: Path, method: str, data: Path, **more: Any) -> ResolvedEpisodes:
    return resolve(quick(method, data, **more), out, "cpu", sources=Sources())


def test_the_id_is_of_what_decides_the_result(colours: Path, tmp_path: Path):
    def run_id(method: str = "lda", data: Path = colours, **more: Any) -> str:
        return resolved(tmp_path, method, data, **more).run_id

    moved = tmp_path / "elsewhere" / "colours"
    shutil.copytree(colours, moved)
    assert run_id() == run_id(data=moved) == run_id(precision="auto")
    assert run_id() == run_id(head={"features": "CL2N"})  # its default
    changes: list[dict[str, Any]] = [
        {"head": {"features": "UN"}},
        {"tasks": {"seed": 1}},
        {"tasks": {"count": 13}},
        {"tasks": {"balance": "dirichlet"}},
        {"backbone": {"options": {"width": 9}}},
        {"split": SPLIT},
        {"split": "seed:1:5/0/5"},
        {"split": SPLIT, "train": TRAIN},
        {"split": SPLIT, "train": TRAIN, "train_seed": 1},
        {"split": SPLIT, "train": {**TRAIN, "lr": 0.5}},
    ]
    ids = [run_id(), run_id("nearest-mean"), *(run_id(**change) for change in changes)]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(
    ("method", "tasks", "changes"),
    [
        ("logistic", {"ways": 2}, True),
        ("logistic", {"ways": 3}, False),
        ("lda", {"ways": 2}, False),
    ],
)
def test_logistic_tasks_of_two_classes_have_a_version(
    method: str,
    tasks: dict[str, Any],
    changes: bool,
    colours: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    before = resolved(tmp_path, method, colours, tasks=tasks).run_id
    monkeypatch.setattr(episodic_resolve, "TWO_WAY_VERSION", 99)
    assert (resolved(tmp_path, method, colours, tasks=tasks).run_id != before) == changes


def test_base_classes_are_part_of_the_id_where_they_centre(colours: Path, tmp_path: Path):
    def run_id(split: str, features: str) -> str:
        return resolved(tmp_path, "lda", colours, split=split, head={"features": features}).run_id

    more, fewer = "seed:0:5/0/5", "seed:0:4/1/5"  # with the same novel classes
    assert run_id(more, "CL2N") != run_id(fewer, "CL2N")
    assert run_id(more, "UN") == run_id(fewer, "UN")


@pytest.mark.parametrize("method", ["lda", "protonet"])
def test_weights_are_part_of_the_id_by_their_content(
    method: str, colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def run_id() -> str:
        values = {key: value for key, value in quick(method, colours).items() if key != "backbone"}
        return resolve(values, tmp_path, "cpu", sources=Sources()).run_id

    first = run_id()  # with our own body
    monkeypatch.setattr(own_weights, "content_hash", lambda path: "others")
    assert run_id() != first


def test_the_select_rule_matters_with_val_classes_alone(colours: Path, tmp_path: Path):
    def run_id(split: str, select: str) -> str:
        changes = {"split": split, "select": select, "train": TRAIN}
        return resolved(tmp_path, "protonet", colours, **changes).run_id

    assert run_id("seed:0:5/0/5", "last") == run_id("seed:0:5/0/5", "val")
    assert run_id("seed:0:3/3/4", "last") != run_id("seed:0:3/3/4", "val")


@pytest.mark.parametrize(
    ("method", "reading", "others"),
    [
        ("lda", {"tasks": {"sampler": "superclasses"}}, {}),
        (
            "protonet",
            {"split": SPLIT, "train": {**TRAIN, "within_superclass": 0.5}},
            {"split": SPLIT, "train": TRAIN},
        ),
    ],
    ids=["tasks", "training"],
)
def test_superclasses_from_a_file_are_part_of_the_id_where_they_are_read(
    method: str, reading: dict[str, Any], others: dict[str, Any], colours: Path, tmp_path: Path
):
    own = shutil.copytree(colours, tmp_path / "colours")
    ids: list[list[str]] = []
    for first in (4, 6):
        parts = zip("ab", (range(first), range(first, N_CLASSES)), strict=True)
        lines = [f"{name}: {[f'class-{number}' for number in some]}\n" for name, some in parts]
        (own / "groups.yaml").write_text("".join(lines))
        ids.append([resolved(tmp_path, method, own, **more).run_id for more in (reading, others)])
    (reads, does_not), (reads_others, does_not_either) = ids
    assert reads != reads_others
    assert does_not == does_not_either


def test_pools_are_the_parts_of_the_split(colours: Path, tmp_path: Path):
    more = {"split": "seed:0:4/3/3", "train": TRAIN}
    run = resolved(tmp_path, "protonet", colours, **more)
    (base,) = run.bases
    assert isinstance(run.pool, Pool)
    assert run.val is not None
    assert [len(one.classes) for one in (base, run.val, run.pool)] == [4, 3, 3]
    assert not set(base.classes) & set(run.pool.classes)
    training = run.training()
    assert training.task.n_base == 4
    assert len(training.bases[0]) == 4 * 18
    val = resolved(tmp_path, "lda", colours, split="seed:0:4/3/3", part="val")
    assert val.pool.classes == run.val.classes
    assert [one.classes for one in val.bases] == [base.classes]
    assert resolved(tmp_path, "protonet", colours, split="seed:0:4/3/3").bases == ()
    uncentred = resolved(tmp_path, "lda", colours, split="seed:0:4/3/3", head={"features": "L2N"})
    assert uncentred.bases == ()


def test_wrong_combinations_are_explained(colours: Path, tmp_path: Path):
    with pytest.raises(UserError, match="needs base classes"):
        resolved(tmp_path, "protonet", colours, train=TRAIN)
    with pytest.raises(UserError, match="has the images of the tasks"):
        resolved(tmp_path, "lda", colours, base=[str(colours)])
    with pytest.raises(UserError, match="has no val classes"):
        resolved(tmp_path, "lda", colours, split="seed:0:5/0/5", part="val")
    stopping = {**TRAIN, "early_stopping": {}}
    for more in ({"split": SPLIT}, {"split": "seed:0:4/3/3", "select": "last"}):
        with pytest.raises(UserError, match=r"train.early_stopping needs a validation set"):
            resolved(tmp_path, "protonet", colours, train=stopping, **more)
    with pytest.raises(UserError, match=r"the task file .*gone.npz cannot be read"):
        resolved(tmp_path, "lda", colours, tasks={"file": str(tmp_path / "gone.npz")})
    assert list(tmp_path.iterdir()) == []
