"""Resolving a request: run ids of equal content, which weights a step changes, classes left out."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

from episodes import augment, datasets, streams
from episodes.errors import UserError
from episodes.rng import seeded
from fewshot import config
from fewshot.features import frozen
from fewshot.learners.base import Task
from fewshot.runs import experiment, resolve, run_settings
from fewshot.training import trainer
from tests.fewshot import easy
from tests.fewshot.runs.quick_runs import quick


def test_the_run_id_depends_on_the_content_of_the_weights_and_not_on_their_place(
    tmp_path: Path,
) -> None:
    def run_id(path: Path) -> str:
        backbone = {"name": "test_resnet", "weights": str(path), "input_size": 32}
        request = {"method": "probe", "data": "digits", "shots": 2, "precision": "float32"}
        return resolve.resolve_run({**request, "backbone": backbone}, tmp_path, "cpu").run_id

    first, copy, other = (tmp_path / f"{name}.safetensors" for name in ("w", "v", "o"))
    state = timm.create_model("test_resnet", num_classes=7).state_dict()
    save_file(state, first)
    copy.write_bytes(first.read_bytes())
    save_file({**state, "fc.bias": state["fc.bias"] + 1}, other)
    assert run_id(first) == run_id(copy) != run_id(other)


PRESETS = [
    "vgg", "efficientnet-b0", "mobilenetv3-small", "mlp-s", "mlp-l", "cnn", "vit", "custom-cnn",
]  # fmt: skip


@pytest.mark.parametrize("preset", PRESETS)
def test_a_step_of_a_reports_preset_changes_what_it_trains_alone(preset: str) -> None:
    request = {"method": "scratch", "shots": 4, "backbone": {"weights": "none"}}
    settings = run_settings.configure(request, preset)
    model = run_settings.build_learner(settings, Task(easy.N_WAY), seed=0)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    images = easy.images(2, seed=0)
    pool = streams.pool(images, torch.arange(len(images)), "cpu")
    stream = streams.batches(pool, 8, augment.build(settings.augment, easy.N_WAY), seed=0)
    assert settings.train is not None
    train = settings.train.model_copy(update={"steps": 1, "epochs": None})
    with seeded(0, "fit"):
        fitted = trainer.fit(model, stream, train, steps_per_epoch=1.0)
    assert fitted.steps == 1
    changed = [
        name for name, value in model.state_dict().items() if not torch.equal(value, before[name])
    ]
    assert any(name.startswith("head.") for name in changed)
    trains_backbone = preset != "efficientnet-b0"
    assert any(name.startswith("backbone.") for name in changed) == trains_backbone
    assert frozen.can_replace_images(settings, model) != trains_backbone


def test_the_run_id_follows_what_decides_the_result(tmp_path: Path) -> None:
    def run_id(**more) -> str:
        return resolve.resolve_run(quick("scratch", **more), tmp_path, "cpu").run_id

    base = run_id()
    assert run_id(precision="bfloat16") == base
    assert run_id(preset="few") == base
    assert run_id(shots=5) != base
    assert run_id(train={"steps": 13, "batch_size": 16}) != base


def test_superclasses_of_base_sets_are_part_of_the_run_id_where_they_divide_tasks(
    tmp_path: Path,
) -> None:
    base = tmp_path / "base"
    for number in range(4):
        (base / f"class-{number}").mkdir(parents=True)
        for i in range(2):
            image = Image.new("RGB", (8, 8), (60 * number, 100 * i, 0))
            image.save(base / f"class-{number}" / f"{i}.png")

    def run_id(share: float) -> str:
        train = {"steps": 2, "batch_size": 4, "base": str(base), "within_superclass": share}
        values = quick("siamese", train=train)
        return resolve.resolve_run(values, tmp_path, "cpu").run_id

    ids: dict[float, set[str]] = {0.0: set(), 0.5: set()}
    for text in ("a: [class-0, class-1]\nb: [class-2, class-3]\n",
                 "a: [class-0, class-2]\nb: [class-1, class-3]\n"):  # fmt: skip
        (base / "groups.yaml").write_text(text)
        for share, some in ids.items():
            some.add(run_id(share))
    assert {share: len(some) for share, some in ids.items()} == {0.0: 1, 0.5: 2}


def test_a_preset_that_selects_on_folds_stays_at_the_start_with_single_images(
    tmp_path: Path,
) -> None:
    values = quick("finetune", learner={"head": "unit"})
    monkey = pytest.MonkeyPatch()
    read = config.preset
    with monkey.context() as patch:
        patch.setattr(
            config, "preset", lambda method, name: {**read(method, name), "select": "support_cv"}
        )
        one = {**values, "shots": 1}
        assert resolve.resolve_run(one, tmp_path, "cpu").config.select == "start"
        random = {**one, "learner": {"head": "linear", "start": "random"}}
        assert resolve.resolve_run(random, tmp_path, "cpu").config.select == "last"
        assert resolve.resolve_run(values, tmp_path, "cpu").config.select == "support_cv"
        record = experiment.run(one, [0], out=tmp_path)
    probed = experiment.run(quick("probe", shots=1, backbone=values["backbone"]), [0], out=tmp_path)
    assert record.provenance.indices == probed.provenance.indices
    assert record.scores["accuracy"].values == probed.scores["accuracy"].values


def test_trials_of_another_precision_are_not_mixed(tmp_path: Path) -> None:
    first = experiment.run(quick("scratch"), [0], out=tmp_path)
    with pytest.raises(
        UserError, match=rf"{first.run_id} was computed on cpu in float32: name another --out"
    ):
        experiment.run(quick("scratch", precision="bfloat16"), [0], out=tmp_path)
    forced = experiment.run(quick("scratch", precision="bfloat16"), [0], out=tmp_path, force=True)
    assert forced.run_id == first.run_id
    assert forced.provenance.compute["precision"] == "bfloat16"
    assert experiment.run(quick("scratch", precision="auto"), [0], out=tmp_path) == forced


def test_no_image_of_an_excluded_class_reaches_the_batches(tmp_path: Path) -> None:
    values = {**quick("scratch"), "exclude_classes": ["3", "8"]}
    whole, run = datasets.load("digits"), resolve.resolve_run(values, tmp_path, "cpu")
    assert run.task.n_way == 8
    assert run.run_id != resolve.resolve_run(quick("scratch"), tmp_path, "cpu").run_id
    for part, original in ((run.data.train, whole.train), (run.data.test, whole.test)):
        class_of = {
            image.numpy().tobytes(): original.classes[label]
            for image, label in zip(original.images, original.labels, strict=True)
        }
        batch = streams.labelled(part, torch.arange(len(part)), "cpu")
        seen = [
            class_of[(image * 255).round().to(torch.uint8).numpy().tobytes()]
            for image in batch.images
        ]
        assert seen == [part.classes[label] for label in batch.labels]
        assert sorted(set(seen)) == ["0", "1", "2", "4", "5", "6", "7", "9"]


def test_a_head_of_the_episodic_regime_is_sent_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="use `fewshot episodes --method lda`"):
        resolve.resolve_run({"method": "lda", "shots": 1, "data": "digits"}, tmp_path)


@pytest.mark.parametrize("key", ["method", "preset", "data", "backbone", "learner"])
def test_wrong_types_of_what_is_read_first_are_one_sentence(key: str, tmp_path: Path) -> None:
    values = {"method": "probe", "data": "digits", "shots": 1, key: ["probe"]}
    with pytest.raises(UserError, match=f"the configuration: '{key}' should be a"):
        resolve.run_id_of(values)
    with pytest.raises(UserError, match=f"the configuration: '{key}' should be a"):
        experiment.run(values, [0], out=tmp_path)
    assert not list(tmp_path.iterdir())
