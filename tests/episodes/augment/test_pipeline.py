"""Oracles: the augmentations called one by one, YAML read back, and messages written by hand."""

import pytest
import torch
import yaml
from torch.nn import functional as F

from episodes import augment
from episodes.augment import AUGMENTATIONS, build, check, mixes_labels
from episodes.errors import UserError
from tests.episodes.augment.samples import pictures, seeded


def test_an_empty_list_changes_nothing() -> None:
    images, labels = pictures(4), torch.arange(4)
    assert build([], 10)(images, labels, seeded()) == (images, labels)
    assert check([]) == []


def test_steps_are_applied_in_their_order() -> None:
    images, labels = pictures(6), torch.arange(6)
    steps = [
        "flip",
        {"name": "translate", "pixels": 3, "border": "zero"},
        {"name": "mixup", "alpha": 0.4},
    ]
    generator = seeded()
    expected = augment.translate(augment.flip(images, generator), generator, 3, "zero")
    expected, targets = augment.mixup(expected, labels, generator, 10, 0.4)
    result = build(steps, 10)(images, labels, seeded())
    assert torch.equal(result[0], expected)
    assert torch.equal(result[1], targets)


def test_steps_that_mix_no_labels_return_the_labels_themselves() -> None:
    labels = torch.arange(6)
    assert build(["flip", "jitter", "erase"], 10)(pictures(6), labels, seeded())[1] is labels


def test_only_mixup_and_cutmix_mix_labels() -> None:
    assert [name for name in AUGMENTATIONS if mixes_labels(name)] == ["mixup", "cutmix"]
    assert mixes_labels({"name": "cutmix", "alpha": 0.5})


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_p_is_the_share_of_images_that_a_step_changes(name: str) -> None:
    n = 400
    images, labels = pictures(n, 16, 16), torch.arange(n) % 10
    mirror = torch.ones(n, dtype=torch.bool)
    result, targets = build([{"name": name, "p": 0.25}], 10)(images, labels, seeded(), mirror)
    is_changed = (result != images).flatten(1).any(1)
    # A few selected images do not change, for example those with a shift of zero.
    assert 0.15 < is_changed.float().mean() < 0.32
    if mixes_labels(name):
        one_hot = F.one_hot(labels, 10).float()
        assert torch.equal(targets[~is_changed], one_hot[~is_changed])
        assert (targets[is_changed].amax(1) < 1).float().mean() > 0.5
    assert torch.equal(build([{"name": name, "p": 0}], 10)(images, labels, seeded())[0], images)


def test_each_span_of_a_training_has_the_steps_that_have_not_ended() -> None:
    steps = [
        "flip",
        {"name": "cutout", "size": 4, "until": 0.5},
        {"name": "jitter", "p": 0.5, "until": 0.8},
    ]
    flip, cutout, jitter = check(steps)
    assert cutout["until"] == 0.5
    expected = [(0.5, [flip, cutout, jitter]), (0.8, [flip, jitter]), (1.0, [flip])]
    assert augment.spans(steps) == expected


def test_without_an_early_end_there_is_one_span() -> None:
    assert augment.spans([]) == [(1.0, [])]
    steps = ["flip", {"name": "grey", "until": 1}]
    assert augment.spans(steps) == [(1.0, check(steps))]


def test_until_does_not_change_what_a_step_does() -> None:
    images, labels = pictures(20, 8, 8), torch.arange(20)
    limited = build([{"name": "cutout", "size": 4, "until": 0.5}], 20)
    unlimited = build([{"name": "cutout", "size": 4}], 20)
    result = limited(images, labels, seeded())[0]
    assert torch.equal(result, unlimited(images, labels, seeded())[0])


def test_a_clipped_step_is_what_torchvision_does_after_normalising() -> None:
    """Oracle: normalise, clamp and change the brightness by hand, as ColorJitter does."""
    images, low, high = pictures(5), 0.5, 0.75
    step = {"name": "jitter", "brightness": 0.5, "contrast": 0, "saturation": 0}
    result, _ = build([{**step, "clip": [low, high]}], 10)(images, torch.arange(5), seeded())
    normalised = (images - low) / (high - low)
    assert ((normalised < 0).any(), (normalised > 1).any()) == (True, True)
    factors = 0.5 + torch.rand(5, generator=seeded())
    expected = (normalised.clamp(0, 1) * factors[:, None, None, None]).clamp(0, 1)
    torch.testing.assert_close((result - low) / (high - low), expected, atol=1e-5, rtol=0)


def test_checked_steps_survive_yaml() -> None:
    text = """
    - flip
    - {name: crop, scale: [0.5, 1], p: 0.5}
    - {name: jitter, brightness: 0, hue: 1e-1}
    - {name: cutout, size: 16}
    - {name: cutout, size: 0.5, fill: mean}
    """
    checked = check(yaml.safe_load(text))
    assert checked == [
        {"name": "flip"},
        {"name": "crop", "scale": [0.5, 1.0], "p": 0.5},
        {"name": "jitter", "brightness": 0.0, "hue": 0.1},
        {"name": "cutout", "size": 16},
        {"name": "cutout", "size": 0.5, "fill": "mean"},
    ]
    assert check(yaml.safe_load(yaml.safe_dump(checked))) == checked
    assert check([{"name": "crop", "scale": (0.5, 1.0)}]) == [{"name": "crop", "scale": [0.5, 1.0]}]


NAMES = "unknown augmentation 'qqq' in augment: expected one of flip, alternating_flip, translate, "
PIXEL = "unknown parameter 'pixel' of augmentation 'translate': did you mean 'pixels'?"
STEP = "must be a name, or a mapping with a name and parameters, got "
PAIR = "must be two increasing numbers from 0.01 to 1, got "


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (["flop"], "unknown augmentation 'flop' in augment: did you mean 'flip'?"),
        (["qqq"], NAMES),
        ([{"name": "translate", "pixel": 4}], PIXEL),
        ([{"name": "mixup", "n_classes": 4}], "unknown parameter 'n_classes' of augmentation"),
        ([{"name": "flip", "p": 1.5}], "'flip' must be a number from 0 to 1, got 1.5"),
        ([{"name": "rotate", "p": -1}], "'rotate' must be a number from 0 to 1, got -1"),
        ([{"name": "translate", "pixels": 2.5}], "a whole number of at least 0, got 2.5"),
        ([{"name": "translate", "pixels": True}], "a whole number of at least 0, got True"),
        ([{"name": "translate", "border": "wrap"}], "must be one of reflect, zero, got 'wrap'"),
        ([{"name": "translate", "border": ["zero"]}], "must be one of reflect, zero, got ['zero']"),
        ([{"name": "crop", "scale": [0.9, 0.5]}], PAIR + "[0.9, 0.5]"),
        ([{"name": "crop", "scale": 0.5}], PAIR + "0.5"),
        (
            [{"name": "cutout", "size": 1.5}],
            "must be a whole number of at least 1, or a number from 0 to 1, got 1.5",
        ),
        ([{"name": "mixup", "alpha": "much"}], "must be a number of at least 0.01, got 'much'"),
        ([{"name": "mixup", "alpha": float("nan")}], "must be a number of at least 0.01, got nan"),
        ([{"name": "contrast", "most": float("inf")}], "must be a number of at least 0, got inf"),
        ([{"name": "contrast", "most": None}], "must be a number of at least 0, got None"),
        (
            [{"name": "flip", "clip": [0.5, 0.5]}],
            "must be two increasing numbers from 0 to 1, got ",
        ),
        ([{"name": "jpeg", "quality": [0, 50]}], "two increasing numbers from 1 to 100, got [0, 5"),
        ([{"name": "jpeg", "quality": 50}], "must be two increasing numbers from 1 to 100, got 50"),
        ([{"name": "blur", "sigma": [2, 1]}], "two increasing numbers of at least 0, got [2, 1]"),
        ([{"pixels": 2}], STEP + "{'pixels': 2}"),
        ([3], STEP + "3"),
        ("flip", "augment must be a list of augmentations, got 'flip'"),
        ({"name": "flip"}, "augment must be a list of augmentations, got {'name': 'flip'}"),
    ],
)
def test_mistakes_are_reported_before_anything_runs(steps: list[str], message: str) -> None:
    for function in (check, lambda given: build(given, 10)):
        with pytest.raises(UserError) as error:
            function(steps)
        assert message in str(error.value)


@pytest.mark.parametrize(
    "steps",
    [
        ["shift_wrap", "contrast", "cutmix", "blacken_border"],
        ["flip", "rotate", "jitter", "erase"],
        ["flip", {"name": "cutout", "size": 16}, "auto_augment"],
        [{"name": "jitter", "hue": 0.1, "p": 0.8}, {"name": "mixup", "p": 0.5}, "cutmix"],
    ],
)
def test_the_combinations_of_the_reports_run(steps: list[str]) -> None:
    images, targets = build(steps, 10)(pictures(32, 32, 32), torch.arange(32) % 10, seeded())
    assert 0 <= images.min() < images.max() <= 1
    if targets.dim() == 2:
        torch.testing.assert_close(targets.sum(1), torch.ones(32))
