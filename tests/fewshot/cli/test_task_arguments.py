"""Requests of the words of `fewshot episodes`, written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fewshot.cli import task_arguments
from fewshot.errors import UserError

NONE: dict[str, Any] = {"ways": None, "shots": None, "balance": None, "tasks": {}, "train": False}


def requests(file: Path | None = None, sets: tuple[str, ...] = (), **words: Any) -> list[dict]:
    return task_arguments.requests(file, sets, **{"method": None, **NONE, **words})


def test_words_become_one_request_for_each_combination():
    made = requests(
        sets=("head.features=UN",),
        method="lda, ridge",
        shots="1,5",
        tasks={"count": 600, "seed": None},
        data="digits",
        weights="none",
        split=None,
    )
    shared = {"data": "digits", "backbone": {"weights": "none"}, "head": {"features": "UN"}}
    assert made == [
        {**shared, "method": method, "tasks": {"count": 600, "shots": shots}}
        for method in ("lda", "ridge")
        for shots in (1, 5)
    ]


def test_train_is_the_presets_unless_the_file_has_its_own(tmp_path: Path):
    assert requests(method="protonet", train=True)[0]["train"] is True
    assert requests(sets=("train.steps=5",), method="protonet", train=True)[0]["train"] == {
        "steps": 5
    }
    file = tmp_path / "config.yaml"
    file.write_text("method: protonet\ntrain: {steps: 7}\ncompute: {device: cpu}\n")
    (made,) = requests(file, train=True)
    assert made == {"method": "protonet", "train": {"steps": 7}}
    assert requests(file, method="lda", data="digits") == [{"method": "lda", "data": "digits"}]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({}, "no method was named"),
        ({"method": "lda,,ridge"}, "--method lda,,ridge: expected names"),
        ({"method": "lda", "ways": "5,x"}, "--ways 5,x: expected whole numbers"),
        ({"method": "lda", "shots": "0"}, "--shots 0: expected whole numbers of at least 1"),
    ],
)
def test_wrong_words_are_explained(words: dict[str, Any], sentence: str):
    with pytest.raises(UserError, match=sentence):
        requests(**words)


def test_features_of_base_classes_need_features():
    with pytest.raises(UserError, match="belongs to --features"):
        task_arguments.check_features(None, Path("base.npz"))
    task_arguments.check_features(Path("x.npz"), Path("base.npz"))
