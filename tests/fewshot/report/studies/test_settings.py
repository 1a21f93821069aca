"""Words of settings against the names in study files, and groups against published records."""

from __future__ import annotations

import pytest

from fewshot.report.studies import settings
from tests.fewshot import study_results
from tests.fewshot.report.studies.test_box_plots import published

ROW = study_results.row(
    "a",
    "A1",
    "a row",
    labels={"train.weight_decay": "L2"},
    grid=[{"augmentation": {"none": {"augment": []}, "flips": {"augment": ["flip"]}}}],
)


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("train.lr", "learning rate"),
        ("train.weight_decay", "L2"),
        ("train.optimizer.name", "optimizer"),
        ("train.schedule.name", "schedule"),
        ("learner.dropout", "dropout"),
    ],
)
def test_axes_have_words(key: str, words: str) -> None:
    assert settings.name(published("kshot", "K8")._replace(row=ROW), key) == words


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("augmentation", "none", "no augmentation"),
        ("augmentation", "flips", "flips"),
        ("train.lr", 0.00001, "learning rate 1e-05"),
        ("learner.cosine", True, "cosine yes"),
        ("augment", [{"name": "rotate", "degrees": 10}, "flip"], "augment rotate flip"),
    ],
)
def test_settings_have_words(key: str, value: object, words: str) -> None:
    assert settings.with_name(published("kshot", "K8")._replace(row=ROW), key, value) == words


def test_the_axis_of_networks_is_known_by_what_ran() -> None:
    assert settings.network_axis(published("experts", "E6").scored) == "network"
    assert settings.network_axis(published("kshot", "K5").scored) == ""


def test_titles_say_in_what_panels_differ() -> None:
    row = published("experts", "E6")
    groups = settings.alike(row.scored)
    assert sorted(settings.titles(row, groups).values()) == ["ResNet18", "custom"]
