"""Oracle: rows and messages written out by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fewshot.config.reference import describe
from fewshot.errors import UserError
from fewshot.studies import schema
from tests.fewshot.studies.rows import COMMON, row_of, rows_of


def scaled(scale: str, **changes: Any) -> dict[str, Any]:
    """Return keys of a row with one scale."""
    return {"base": {"method": "probe"}, "scales": {scale: changes}}


def explaining(row: str) -> dict[str, Any]:
    """Return keys of a row that explains another."""
    return {"base": {"method": "probe"}, "explains": {"row": row, "cause": "Why.", "shown": "no"}}


def test_rows_are_sorted_by_their_numbers_and_read_once(tmp_path: Path) -> None:
    keys = {"base": {"method": "probe", "shots": 1}}
    rows_of(tmp_path, K10=keys, K9=keys, K1=keys)
    file = tmp_path / "configs" / "one" / "K9.yaml"
    assert [row.name for row in schema.read([tmp_path])] == ["K1", "K9", "K10"]
    assert [row.name for row in schema.read([tmp_path, file])] == ["K1", "K9", "K10"]
    assert [row.name for row in schema.read([file])] == ["K9"]


def test_a_scale_changes_what_it_states_and_nothing_else(tmp_path: Path) -> None:
    row = row_of(
        tmp_path,
        base={"method": "probe"},
        trials=10,
        needs=["imagenet weights"],
        scales={"small": {"trials": 2, "seconds": 4, "needs": []}},
    )
    assert [row.trials_at(scale) for scale in ("full", "small", "smoke")] == [10, 2, 10]
    assert [row.seconds_at(scale) for scale in ("full", "small")] == [60, 4]
    assert [row.needs_at(scale) for scale in ("full", "small")] == [("imagenet weights",), ()]


def test_former_names_of_keys_are_read() -> None:
    shared = {**COMMON, "study": "one", "name": "X1", "kind": "vote"}
    only = {"shots": [1]}
    old = {
        "repeats": 3,
        "of": ["X2"],
        "scales": {"small": {"repeats": 1, "keep": only, "of": {"X3": only}}},
    }
    new = {
        "trials": 3,
        "rows": ["X2"],
        "scales": {"small": {"trials": 1, "only": only, "rows": {"X3": only}}},
    }
    row = schema.Row.model_validate(shared | old)
    assert row == schema.Row.model_validate(shared | new)
    assert row.rows_at("full") == {"X2": {}}
    assert row.rows_at("small") == {"X3": {"shots": (1,)}}


def gridded(block: dict) -> dict:
    """Return the keys of a row with this block of its grid."""
    return {"base": {"method": "probe"}, "grid": [block]}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"base": {"method": "probe"}, "trial": 3}, "unknown key 'trial': did you mean 'trials'?"),
        ({"base": {}}, "'base.method' is missing"),
        ({"kind": "search", "base": {"method": "probe"}}, "a row of kind search needs 'steps'"),
        ({"kind": "vote"}, "a row of kind vote needs 'rows'"),
        ({"kind": "benchmark"}, "a row of kind benchmark needs 'benchmark'"),
        ({"base": {"method": "probe"}, "reported": [{"acuracy": 1}]}, "acuracy"),
        ({"base": {"method": "probe"}, "scales": {"tiny": {}}}, "tiny"),
        (gridded({"shots": None}), "'shots' should be a list of values, or a mapping of names"),
        (gridded({"shots": 3}), "'shots' should be a list"),
        (gridded({"net": {"small": [1]}}), "'small' of 'net' should be a mapping"),
        (gridded({"zip": [1]}), "'zip' should be a mapping of axes to lists"),
        (gridded({"zip": {"shots": 3}}), "'shots' of 'zip' should be a list"),
        ({"kind": "episodes"}, "a row of kind episodes has no 'trials'"),
        (scaled("full", set={"data": "digits"}), "scale full may change only 'trials', 'only'"),
        (scaled("full", title="Another", needs=["x"]), "not 'needs', 'title'"),
        (scaled("small", drop=[{}]), "'scales.small.drop.0' should not be empty"),
        (scaled("small", drop={"shots": [1]}), "'scales.small.drop' should be a list, not {"),
        (explaining("E6"), "'explains.row'"),
        (explaining("experts/E99"), "experts/E99.yaml"),
    ],
)
def test_the_message_about_a_wrong_file_names_its_key(
    tmp_path: Path, keys: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=r"X1[.]yaml") as caught:
        row_of(tmp_path, **keys)
    assert message in str(caught.value)


def test_an_explained_row_is_read_too_or_lies_in_a_folder_beside(tmp_path: Path) -> None:
    rows_of(tmp_path, X1={"base": {"method": "probe"}})
    beside = tmp_path / "configs" / "causes" / "C1.yaml"
    beside.parent.mkdir()
    beside.write_text(json.dumps(COMMON | explaining("one/X1")))
    assert [row.name for row in schema.read([beside])] == ["C1"]
    far = tmp_path / "elsewhere" / "causes" / "C1.yaml"
    far.parent.mkdir(parents=True)
    beside.rename(far)
    with pytest.raises(UserError, match="no row"):
        schema.read([far])
    assert len(schema.read([far, tmp_path / "configs"])) == 2


def test_a_cell_of_the_episodic_regime_is_one_run() -> None:
    keys = {**COMMON, "study": "episodes", "name": "X1", "kind": "episodes"}
    row = schema.Row.model_validate(keys)
    assert row.episodic
    assert [row.trials_at(scale) for scale in schema.SCALES] == [1, 1, 1]


@pytest.mark.parametrize("name", ["kshot", "configs/studies/kshot"])
def test_packaged_studies_have_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    names = [row.name for row in schema.read([Path(name)])]
    assert {"K1", "K9", "K10"} <= set(names)
    (row,) = schema.read([Path(name, "K9")])
    assert (row.study, row.name) == ("kshot", "K9")
    Path("kshot").mkdir()
    Path("kshot/X1.yaml").write_text("title: mine", encoding="utf-8")
    with pytest.raises(UserError, match=r"X1\.yaml"):  # a folder of one's own comes first
        schema.read([Path("kshot")])


def test_a_folder_without_rows_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no study"):
        schema.read([tmp_path])


def test_every_key_of_a_study_file_has_a_sentence() -> None:
    settings = list(describe(schema.Row))
    assert "reported[].accuracy" in {setting.key for setting in settings}
    assert [setting.key for setting in settings if not setting.description.endswith(".")] == []
