"""Oracle: the fields of the settings, and names written out by hand."""

from __future__ import annotations

from tests.fewshot.cli.command import fewshot


def test_list_has_one_line_for_each_thing(monkeypatch, capsys) -> None:
    assert fewshot("list", monkeypatch) == 0
    first_words = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    names = ["protonet", "probe", "finetune", "scratch", "baseline-cnn", "conv4", "resnet"]
    names += ["digits", "cifar10"]
    assert {name: first_words.count(name) for name in names} == dict.fromkeys(names, 1)


def test_options_prints_key_default_unit_and_sentence(monkeypatch, capsys) -> None:
    assert fewshot("options protonet", monkeypatch) == 0
    lines = capsys.readouterr().out.splitlines()
    place = lines.index("train.batch_size = 128 [images]  (integer >= 1)")
    assert lines[place + 1] == "    Size of a training batch."
    assert any(line.startswith("learner.scale = ") for line in lines)
