"""Oracle: the fields of the settings, and names written out by hand."""

from __future__ import annotations

import pytest

from fewshot.cli import listing
from fewshot.config import RunConfig
from fewshot.heads.transductive.soft_kmeans import SoftKMeans
from fewshot.learners import LEARNERS
from fewshot.runs.episodic import methods
from tests.fewshot.cli.command import fewshot


def test_list_has_one_line_for_each_thing(monkeypatch, capsys) -> None:
    assert fewshot("list", monkeypatch) == 0
    first_words = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    names = ["protonet", "probe", "finetune", "scratch", "baseline-cnn", "conv4", "resnet"]
    names += ["digits", "cifar10", "nearest-mean", "pt-map", "fomaml", "baseline++"]
    assert {name: first_words.count(name) for name in names} == dict.fromkeys(names, 1)


def test_list_of_methods_prints_what_was_tried(monkeypatch, capsys) -> None:
    known = {
        name: methods.method(name) for name in ("nearest-mean", "soft-kmeans", "protonet", "ridge")
    }
    monkeypatch.setattr(methods, "methods", lambda: known)
    assert fewshot("list --methods", monkeypatch) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in lines] == [
        ["nearest-mean", "inductive", "checked:"],
        ["soft-kmeans", "transductive", "checked:"],
        ["protonet", "inductive", "checked:"],
        ["ridge", "inductive", "checked:"],
    ]


def test_a_method_that_is_not_what_it_claims_ends_in_exit_code_1(monkeypatch, capsys) -> None:
    known = {"soft-kmeans": methods.method("soft-kmeans")}
    monkeypatch.setattr(methods, "methods", lambda: known)
    monkeypatch.setattr(SoftKMeans, "transductive", False)
    assert fewshot("list --methods", monkeypatch) == 1
    assert "inductive     WRONG: the logits" in capsys.readouterr().out


def test_options_prints_key_default_unit_and_sentence(monkeypatch, capsys) -> None:
    assert fewshot("options protonet", monkeypatch) == 0
    lines = capsys.readouterr().out.splitlines()
    place = lines.index("train.batch_size = 128 [images]  (integer >= 1)")
    assert lines[place + 1].startswith("    Size of a training batch")
    assert any(line.startswith("learner.scale = ") for line in lines)


def test_options_of_a_preset_show_its_values(tmp_path, monkeypatch, capsys) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "{learner: {scale: 3.5}, train: {lr: 1e-4, schedule: {name: step}}, augment: [flip]}"
    )
    assert fewshot(f"options protonet --preset {path}", monkeypatch) == 0
    lines = capsys.readouterr().out.splitlines()
    for line in (
        "learner = see below  (mapping)",
        "learner.scale = 3.5  (number > 0)",
        "train = see below  (section, or null)",
        "train.lr = 0.0001  (number > 0)",
        "train.schedule.gamma = 0.1  (number > 0)",
        "augment = [flip]  (list of text or mapping)",
    ):
        assert line in lines
    assert any(line.startswith("train.schedule.name = step") for line in lines)


@pytest.mark.parametrize("method", sorted(LEARNERS))
def test_every_setting_of_a_method_has_a_sentence(method: str) -> None:
    settings = {setting.key: setting.description for setting in listing.settings(method)}
    assert set(RunConfig.model_fields) < set(settings)
    options = LEARNERS[method].options_type.model_fields
    assert {f"learner.{name}" for name in options} < set(settings)
    assert [key for key, sentence in settings.items() if not sentence.endswith(".")] == []


def test_options_of_a_head_are_those_of_tasks_and_of_the_head(monkeypatch, capsys) -> None:
    assert fewshot("options lda", monkeypatch) == 0
    printed = capsys.readouterr().out
    for key in ("head.features", "head.shrinkage", "tasks.ways", "split", "backbone.views"):
        assert f"\n{key} = " in printed
    assert "shots = " in printed
    assert "calibration" not in printed
    assert fewshot("options lda --preset few", monkeypatch) == 2
    assert "has no presets" in capsys.readouterr().err
    assert fewshot("options anil", monkeypatch) == 0
    assert "\nlearner.inner_steps = " in capsys.readouterr().out
