"""Checks before a run: messages written by hand for requests that cannot work."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from episodes.errors import UserError
from episodes.types import TrainTest
from fewshot import backbones
from fewshot.config import BackboneSettings, MethodConfig
from fewshot.runs import checks, experiment, resolve, run_settings
from fewshot.training.devices import Compute
from tests.fewshot import easy
from tests.fewshot.runs.quick_runs import QUICK, quick

SCRATCH: dict[str, Any] = {
    "method": "scratch",
    "shots": 4,
    "backbone": {"name": "conv4", "options": {"width": 8}, "views": "flip"},
    "train": {"steps": 5},
}


def request(method: str, **changes: Any) -> dict[str, Any]:
    return {"method": method, "shots": 4, **changes}


MIXING = [{"name": "mixup"}]
IMPOSSIBLE = [
    ({**request("probe"), "shots": 0}, "'shots' is 0, which leaves method 'probe' no label"),
    (request("probe", train={"steps": 5}), "method 'probe' is not trained"),
    (request("scratch", train=None), "the section 'train' is missing"),
    (request("scratch", train={"base": "digits"}), "for learners that adapt to new classes"),
    (request("probe", select="start"), "no steps to choose from: give several values as learner.c"),
    (request("protonet", augment=MIXING), "'mixup' mixes labels, which method 'protonet'"),
    (
        request("siamese", train={"steps": 5, "label_smoothing": 0.1}),
        "pairs, which have no labels to smooth: remove train.label_smoothing",
    ),
    (
        request("scratch", augment=MIXING, learner={"self_distillation": 0.5}),
        "'mixup' mixes images, but learner.self_distillation needs unmixed images",
    ),
    (
        request("protonet", append={"share": 0.5, "augment": ["flip"]}),
        "append gives soft labels, which method 'protonet' cannot take",
    ),
    (request("probe", augment=["flip"]), "'probe' is never trained: remove augment"),
    (request("protonet", augment=["flip"]), "'protonet' is not trained here: remove augment, or"),
    (
        request("baseline", train={"base": "digits", "steps": 5, "within_superclass": 0.5}),
        "method 'baseline' trains on batches of all classes: remove it",
    ),
    (
        request("scratch", append={"share": 0.5, "augment": [{"name": "flip", "until": 0.5}]}),
        "append.augment changes its images once",
    ),
]


@pytest.mark.parametrize(("values", "message"), IMPOSSIBLE)
def test_requests_that_do_not_suit_the_method(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        run_settings.configure(values, "few")


@pytest.mark.parametrize(
    ("method", "changes", "preset"),
    [
        ("probe", {"augment": []}, "few"),
        ("protonet", {"augment": ["flip"], "train": {"steps": 5}}, "few"),
        ("protonet", {"train": None}, "full"),  # the augmentation is the preset's
    ],
)
def test_the_augmentation_of_a_training_and_none_are_accepted(
    method: str, changes: dict[str, Any], preset: str
) -> None:
    settings = run_settings.configure(request(method, **changes), preset)
    again = run_settings.configure({**settings.model_dump(mode="json"), "train": None}, preset)
    assert again.augment == settings.augment  # settings that a run wrote


def data(mirror: bool) -> TrainTest:
    images = replace(easy.images(4, seed=0), mirror=mirror)
    return TrainTest(images, images)


def test_images_without_mirror_images_are_not_mirrored() -> None:
    steps = ["flip", "jitter"]
    values = {**SCRATCH, "augment": steps, "append": {"share": 0.5, "augment": ["flip", "grey"]}}
    settings = run_settings.configure(values, "few")
    assert checks.fit_to_data(settings, data(mirror=True), 4) is settings
    fitted = checks.fit_to_data(settings, data(mirror=False), 4)
    assert [step["name"] for step in fitted.augment] == ["jitter"]
    assert fitted.append is not None
    assert [step["name"] for step in fitted.append.augment] == ["grey"]
    assert fitted.backbone.views == "none"
    assert fitted.backbone.options == settings.backbone.options


def test_a_validation_set_needs_two_images_of_every_class() -> None:
    values = {**SCRATCH, "validation": {"share": 0.5}, "select": "holdout"}
    settings = run_settings.configure(values, "few")
    with pytest.raises(UserError, match="validation needs two labelled images of every class"):
        checks.fit_to_data(settings, data(mirror=True), 1)


def try_out(**changes: Any) -> None:
    settings = run_settings.configure({**SCRATCH, **changes}, "few")
    learner = run_settings.build_learner(settings, easy.TASK, seed=0)
    checks.check_by_trying(settings, learner, easy.N_WAY, easy.images(2, seed=0))


def test_a_request_that_works_is_tried_in_silence() -> None:
    random = torch.get_rng_state()
    try_out()
    assert torch.equal(torch.get_rng_state(), random)


def test_resolutions_that_the_network_does_not_take() -> None:
    resolutions = [{"side": 16, "until": 0.5}]  # a flattening network has one size
    with pytest.raises(UserError, match="'conv4' takes no images of 16 pixels"):
        try_out(train={"steps": 5, "resolutions": resolutions})
    try_out(train={"steps": 5, "resolutions": resolutions}, backbone={"name": "resnet"})


def test_a_phase_that_trains_nothing() -> None:
    """Siamese networks of the backbone's own features have no head."""
    phases = [{"trainable": "all", "share": 0.5}, {"trainable": "head", "share": 0.5}]
    train = {"steps": 5, "phases": phases}
    with pytest.raises(UserError, match=r"train\.phases\.1 trains nothing: method 'siamese'"):
        try_out(method="siamese", learner={"embedding": None}, train=train)
    try_out(method="siamese", learner={"embedding": 8}, train=train)


def test_a_multiplier_of_no_parameter() -> None:
    with pytest.raises(UserError, match="no parameter's name starts with 'haed'"):
        try_out(train={"steps": 5, "lr_multipliers": {"haed": 2.0}})


def test_a_network_that_gives_no_vectors() -> None:
    settings = run_settings.configure(SCRATCH, "few")
    learner = run_settings.build_learner(settings, easy.TASK, seed=0)
    learner.backbone.body = backbones.build("conv4", options={"width": 8}).body.stages[0]
    with pytest.raises(UserError, match=r"gives features of shape \[8, 16, 16\]"):
        checks.check_by_trying(settings, learner, easy.N_WAY, easy.images(2, seed=0))


@pytest.mark.parametrize(
    ("device", "precision", "refused"),
    [("cpu", "bfloat16", True), ("cpu", "float32", False), ("cuda", "bfloat16", False)],
)
def test_the_compiler_is_refused_in_bfloat16_on_a_cpu(
    device: str, precision: Any, refused: bool
) -> None:
    settings = run_settings.configure({**SCRATCH, "train": {"steps": 5, "compile": True}}, "few")
    compute = Compute(device, precision, False, 1)
    if not refused:
        checks.check_compiler(settings, compute)
        return
    with pytest.raises(UserError, match=r"train\.compile: .*precision=float32"):
        checks.check_compiler(settings, compute)


def test_mirrored_digits_are_not_trained_on(tmp_path: Path) -> None:
    made = resolve.resolve_run(quick("scratch", augment=["flip", "translate"]), tmp_path, "cpu")
    assert [step["name"] for step in made.config.augment] == ["translate"]


def test_mirrored_views_of_digits_are_dropped(tmp_path: Path) -> None:
    """Also from the id: nothing else is run."""
    mirrored = quick("probe", backbone={**QUICK["backbone"], "views": "flip"})
    assert run_settings.configure(mirrored, "few").backbone.views == "flip"
    made = resolve.resolve_run(mirrored, tmp_path, "cpu")
    assert made.config.backbone.views == "none"
    assert made.run_id == resolve.resolve_run(quick("probe"), tmp_path, "cpu").run_id


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {
                "shots": 2,
                "validation": {"share": 0.5},
                "select": "holdout",
                "learner": {"hiden": [3]},
            },
            "'learner.hiden'",
        ),
        ({"shots": 1, "validation": {}, "select": "holdout"}, "two labelled images"),
        ({"augment": ["flop"]}, "did you mean 'flip'"),
        (
            {"backbone": {"name": "conv4", "options": {"widht": 3}}},
            "did you mean 'backbone.options.width'",
        ),
        ({"train": {"steps": 3, "lr_multipliers": {"haed": 2}}}, "'haed'"),
        (
            {"backbone": {"name": "conv4", "weights": "/nowhere.safetensors"}},
            "/nowhere.safetensors does not exist",
        ),
    ],
)
def test_wrong_requests_write_nothing(change: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        experiment.run(quick("scratch", **change), [0], out=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_label_mixing_needs_batches(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match="'mixup' mixes labels, which method 'protonet' cannot take"
    ):
        experiment.run(quick("protonet", augment=["mixup"]), [0], out=tmp_path)


def test_compiling_in_half_precision_on_a_cpu_is_refused(tmp_path: Path) -> None:
    asked = quick("scratch", precision="bfloat16", train={**QUICK["train"], "compile": True})
    with pytest.raises(UserError, match=r"train\.compile: .* use --set precision=float32"):
        resolve.resolve_run(asked, tmp_path, "cpu")
    resolve.resolve_run({**asked, "precision": "float32"}, tmp_path, "cpu")


def test_views_without_mirror_images_stay() -> None:
    backbone = BackboneSettings(name="conv4", views="turn-zoom")
    changes = checks.changes_without_mirroring(MethodConfig(method="protonet", backbone=backbone))
    assert changes == {"augment": ()}
