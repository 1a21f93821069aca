"""Oracles: the steps of pretraining done by hand, files read back, and the command line itself."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from episodes import datasets
from episodes.errors import UserError
from fewshot import backbones, functional, io
from fewshot.backbones import own_weights
from fewshot.cli import arguments, main
from fewshot.config import BackboneSettings
from fewshot.learners.distillation import load_teacher
from fewshot.runs import pretraining, provenance, run_settings
from fewshot.runs.trial_record import TrialRecord

FIRST = "stages.0.0.weight"
OPTIONS = {"widths": [8, 8, 16]}
SMALL = {
    "data": "digits",
    "precision": "float32",
    "backbone": {"name": "mini-resnet", "options": OPTIONS},
    "train": {"epochs": 2, "batch_size": 64, "resolutions": [{"side": 16, "until": 0.5}]},
    "validation": {"share": 0.1},
}


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory) -> tuple[dict, Path]:
    return pretraining.run(
        SMALL, command="fewshot pretrain ...", out=tmp_path_factory.mktemp("pretrained")
    )


def loaded(weights: Path, **options) -> backbones.Backbone:
    settings = BackboneSettings(
        name="mini-resnet", options=options or OPTIONS, weights=str(weights)
    )
    return backbones.build(settings).eval()


def test_the_file_holds_the_trained_body_the_decorrelation_and_the_classifier(
    pretrained: tuple[dict, Path],
) -> None:
    record, path = pretrained
    backbone = loaded(path)
    state = load_file(path.parent / "model.safetensors")
    trained = own_weights.body_of(state)
    plain = backbones.build(BackboneSettings(name="mini-resnet", options=OPTIONS)).eval()
    plain.body.load_state_dict(trained)
    train = datasets.load("digits").train
    images = train.images.float() / 255
    with torch.no_grad():
        features = backbone(images)
        raw = plain(images)
        resized = torch.nn.functional.interpolate(images, (32, 32), mode="bilinear")
        before = last = (resized - plain.mean) / plain.std
        for stage in plain.body.stages:
            before, last = last, stage(last)
    assert before.shape[1:] == (8, 8, 8)
    assert last.shape[1:] == (16, 4, 4)
    # The map is fitted to a limited number of images, which is more than there are digits.
    parts = []
    for maps, share in ((last, 1.0), (before, 0.7)):
        half = maps.shape[2] // 2
        halves = maps[:, :, :half], maps[:, :, half:]
        roots = [(part.mean((2, 3)) + 0.01).sqrt() - 0.1 for part in halves]
        shift, mix = functional.decorrelation(torch.cat(roots), train.labels.repeat(2), 10)
        parts += [share * (root - shift) @ mix / (2 * len(mix)) ** 0.5 for root in roots]
    logits = raw @ state["head.1.weight"].T + state["head.1.bias"]
    expected = 16**0.5 * torch.cat([*parts, 0.8 * logits.softmax(1).sqrt()], 1)
    assert backbone.n_features == expected.shape[1] == 2 * 16 + 2 * 8 + 10
    assert (features - expected).abs().max() < 0.02 * expected.abs().max()  # half precision
    assert (parts[0] - parts[1]).abs().max() > 0.2 * parts[0].abs().max()
    with torch.no_grad():
        class_logits = backbone.class_logits(train.images.float() / 255)
    torch.testing.assert_close(class_logits, logits, rtol=0.05, atol=0.05)
    assert (class_logits.argmax(1) == logits.argmax(1)).float().mean() > 0.99
    assert record.scores["accuracy"].mean > 0.2
    assert record.validation["accuracy"].values != record.scores["accuracy"].values


def test_a_network_of_timm_teaches_as_its_trained_classifier_does(tmp_path: Path) -> None:
    torch.save(timm.create_model("test_resnet").state_dict(), tmp_path / "start.pth")
    backbone = {"name": "test_resnet", "weights": str(tmp_path / "start.pth"), "input_size": 48}
    train = {"steps": 3, "epochs": None, "batch_size": 16, "resolutions": []}
    values = {**SMALL, "backbone": backbone, "train": train}
    _, path = pretraining.run(values, out=tmp_path)
    state = load_file(path.parent / "model.safetensors")
    teacher = load_teacher(path, n_way=10)
    assert teacher.input_size == 48
    images = torch.rand(6, 3, 32, 32)
    by_hand = backbones.build("test_resnet", input_size=48).eval()
    by_hand.body.load_state_dict(own_weights.body_of(state))
    with torch.no_grad():
        logits = by_hand(images) @ state["head.1.weight"].T + state["head.1.bias"]
        taught = teacher.class_logits(images)
    torch.testing.assert_close(taught, logits, rtol=0.02, atol=0.02)  # half precision
    assert logits.std() > 0.05
    assert own_weights.card(path)["started_from"] == {}  # torch's file says nothing
    # As the start of another run the classifier is left out.
    again = backbones.build("test_resnet", weights=str(path), input_size=48)
    assert again.n_classes == 0
    assert set(again.state_dict()) == set(by_hand.state_dict())


def test_the_card_describes_the_origin_of_the_weights(pretrained: tuple[dict, Path]) -> None:
    record, path = pretrained
    card = own_weights.card(path)
    assert card["command"] == "fewshot pretrain ..."
    assert card["accuracy"] == record.scores["accuracy"].mean
    assert card["images"] == len(datasets.load("digits").train)
    assert card["class_names"] == [str(digit) for digit in range(10)]
    assert card["recipe"]["train"]["epochs"] == 2
    assert card["recipe"]["backbone"]["options"] == OPTIONS
    assert own_weights.network_of(pretrained[1]) == (
        "mini-resnet",
        {**OPTIONS, "blocks": 1, "norm": "batch"},
    )
    assert {card["data"], card["commit"], card["date"]} == {
        "digits", record.provenance.commit, record.provenance.finished,
    }  # fmt: skip
    assert card["packed"] == provenance.source()._asdict()
    assert str(path.parent) not in json.dumps(card)
    assert own_weights.card(path.parent / "model.safetensors") == {}


@pytest.mark.parametrize(
    ("test", "images"),
    [
        (None, "the data set's own test part"),
        (0.2, "a share of 0.2 of each class, not trained on"),
        ("own-photos", "own-photos"),
    ],
)
def test_the_card_says_what_images_the_accuracy_is_of(
    test: str | float | None, images: str, pretrained: tuple[dict, Path]
) -> None:
    record, path = pretrained
    trial = io.read_as(path.parent / "trial.json", TrialRecord.from_json)
    tested = replace(record, config={**record.config, "test": test})
    card = pretraining._card(tested, trial, "")
    assert card["accuracy_on"] == f"{record.n_test} images of {images}"


def test_the_weights_of_a_fine_tuned_run_include_the_fixed_decorrelation(
    pretrained: tuple[dict, Path], tmp_path: Path
) -> None:
    from fewshot.runs import experiment

    backbone = {"name": "mini-resnet", "options": OPTIONS, "weights": str(pretrained[1])}
    values = {
        "method": "finetune",
        "data": "digits",
        "shots": 2,
        "precision": "float32",
        "backbone": backbone,
    }
    train = {"steps": 2, "resolutions": [{"side": 16, "until": 0.5}]}
    record = experiment.run({**values, "train": train, "select": "last"}, [0], out=tmp_path)
    model = tmp_path / record.run_id / "trial-0" / "model.safetensors"
    tuned = loaded(model)
    before = loaded(pretrained[1])
    assert isinstance(tuned.finish, backbones.Finish)
    for key in ("shift", "mix", "shift_before", "mix_before"):
        assert torch.equal(getattr(tuned.finish, key), getattr(before.finish, key))
    assert torch.equal(tuned.body.state_dict()[FIRST], load_file(model)[own_weights.BODY + FIRST])
    assert not torch.equal(tuned.body.state_dict()[FIRST], before.body.state_dict()[FIRST])


def test_weights_of_another_network_are_an_error(
    pretrained: tuple[dict, Path], tmp_path: Path
) -> None:
    path = pretrained[1]
    with pytest.raises(
        UserError,
        match=r"holds weights of 'mini-resnet' with options .*8.*not of 'mini-resnet' with",
    ):
        loaded(path, widths=[8, 16])
    with pytest.raises(UserError, match=r"holds weights of 'mini-resnet' .* not of 'conv4'"):
        backbones.build(BackboneSettings(name="conv4", weights=str(path)))
    for cut in (4, 100, 1000, path.stat().st_size - 1):
        (tmp_path / "cut.safetensors").write_bytes(path.read_bytes()[:cut])
        with pytest.raises(UserError, match=r"cut\.safetensors cannot be read .* copy it again"):
            loaded(tmp_path / "cut.safetensors")
    state = load_file(path)
    state.pop(FIRST)
    save_file(state, tmp_path / "missing.safetensors")
    with pytest.raises(
        UserError,
        match=r"missing\.safetensors does not hold weights of 'mini-resnet'.*0\.0\.weight",
    ):
        loaded(tmp_path / "missing.safetensors")


def test_weights_beyond_half_precision_are_an_error() -> None:
    with pytest.raises(UserError, match="half precision"):
        own_weights.pack({"a": torch.full((2, 2), 1e6)}, {}, "mini-resnet", {}, {})


@pytest.mark.parametrize(
    ("words", "values"),
    [
        ("--data digits", {"data": "digits"}),
        (
            "--data digits --backbone resnet --epochs 2.5 --seed 3 --set train.lr=0.01 "
            "--set 'augment=[flip, grey]'",
            {
                "data": "digits",
                "backbone": {"name": "resnet"},
                "train": {"epochs": 2.5, "lr": 0.01},
                "augment": ["flip", "grey"],
            },
        ),
    ],
)
def test_the_command_on_the_card_repeats_the_request(words: str, values: dict, monkeypatch) -> None:
    requests: list[tuple] = []
    real = arguments.pretraining

    def record(*arguments, **flags):
        requests.append((*real(*arguments, **flags), flags["seed"]))
        raise UserError("enough")

    monkeypatch.setattr(arguments, "pretraining", record)
    for command in (f"fewshot pretrain {words}", None):
        monkeypatch.setattr(sys, "argv", shlex.split(command or requests[0][1]))
        with pytest.raises(SystemExit):
            main.main()
    assert requests[0] == requests[1]
    assert requests[0][0] == values


def test_the_command_names_folders_and_files_without_their_paths() -> None:
    values, command = arguments.pretraining(
        None,
        ["backbone.weights=/some/a.safetensors"],
        data="/some/photos",
        backbone="conv4",
        epochs=None,
        seed=0,
    )
    assert values["data"] == "/some/photos"
    assert values["backbone"] == {"name": "conv4", "weights": "/some/a.safetensors"}
    assert (
        command
        == "fewshot pretrain --data photos --backbone conv4 --set backbone.weights=a.safetensors"
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (
            "[/some/a.safetensors, ../b.safetensors,~/c/d.safetensors]",
            "[a.safetensors, b.safetensors,d.safetensors]",
        ),
        ("{weights: './some/a.safetensors'}", "{weights: 'a.safetensors'}"),
        ("/a", "a"),
        ("[.5, 0.25]", "[.5, 0.25]"),
        ("{name: crop, scale: [0.25, 1.0]}", "{name: crop, scale: [0.25, 1.0]}"),
    ],
)
def test_the_command_has_no_paths_inside_a_value(value: str, expected: str) -> None:
    words = shlex.split(
        arguments.pretraining(
            None, [f"key={value}"], data="digits", backbone=None, epochs=None, seed=0
        )[1]
    )
    assert words[-1] == f"key={expected}"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--epochs 0", "'train.epochs' should be greater than 0"),
        ("--backbone mini-resne", "did you mean 'mini-resnet'?"),
        ("--set train.resolutions=[{side:24,until:2}]", "until"),
        (
            "--backbone baseline-cnn --set train.resolutions=[{'side':24,'until':0.5}]",
            "takes no images of 24 pixels",
        ),
    ],
)
def test_a_wrong_request_is_an_error_and_writes_nothing(
    words: str, message: str, tmp_path: Path, monkeypatch, capsys
) -> None:
    command = f"fewshot pretrain --data digits --out {tmp_path} {words}"
    monkeypatch.setattr(sys, "argv", command.split())
    with pytest.raises(SystemExit) as exit_:
        main.main()
    assert exit_.value.code == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not any(tmp_path.iterdir())


def test_the_command_writes_weights_and_prints_how_to_use_them(
    tmp_path: Path, monkeypatch, capsys
) -> None:
    words = (
        f"fewshot pretrain --data digits --epochs 0.2 --out {tmp_path} --quiet "
        "--set backbone.options.widths=[8,16] --set precision=float32 --set validation=null "
        "--set train.resolutions=[]"
    )
    monkeypatch.setattr(sys, "argv", words.split())
    with pytest.raises(SystemExit) as exit_:
        main.main()
    assert exit_.value.code == 0
    shown = capsys.readouterr()
    (path,) = tmp_path.glob("*/trial-0/weights.safetensors")
    assert "mini-resnet" in shown.out
    before = path.stat().st_mtime_ns, path.read_bytes()
    monkeypatch.setattr(sys, "argv", [*words.split(), "--epochs", "0.2"])
    with pytest.raises(SystemExit):  # the run is finished, so nothing is written again
        main.main()
    assert (path.stat().st_mtime_ns, path.read_bytes()) == before
    used = shown.err.rpartition("(use: ")[2].rpartition(")")[0]
    probe = "fewshot run --method probe --data digits --shots 1 --seeds 1 --quiet"
    probe += f" --out {tmp_path / 'runs'} {used}"
    monkeypatch.setattr(sys, "argv", shlex.split(probe))
    with pytest.raises(SystemExit) as exit_:
        main.main()
    assert exit_.value.code == 0


def test_every_seed_has_its_own_weights_and_card(
    pretrained: tuple[dict, Path], tmp_path: Path
) -> None:
    values = {**SMALL, "train": {"epochs": 0.2, "resolutions": []}}
    record, first = pretraining.run(values, 0, out=tmp_path)
    before = first.read_bytes()
    both, second = pretraining.run(values, 1, out=tmp_path)
    assert both.run_id == record.run_id
    assert first.read_bytes() == before != second.read_bytes()
    cards = [own_weights.card(path) for path in (first, second)]
    assert [card["seed"] for card in cards] == [0, 1]
    assert [card["accuracy"] for card in cards] == both.scores["accuracy"].values


def test_the_backbone_of_a_configuration_file_is_used_unless_a_flag_names_another(
    tmp_path: Path,
) -> None:
    (tmp_path / "c.yaml").write_text(
        "{method: probe, preset: few, shots: 3, compute: {device: cpu}, train: {lr: 0.5},"
        " backbone: {name: resnet, options: {width: 64}}}"
    )
    asked = {"data": "digits", "epochs": None, "seed": 0}
    values, command = arguments.pretraining(tmp_path / "c.yaml", [], backbone=None, **asked)
    backbone = {"name": "resnet", "options": {"width": 64}}
    assert values == {"data": "digits", "train": {"lr": 0.5}, "backbone": backbone}
    assert command == "fewshot pretrain --data digits --config c.yaml"
    values, _ = arguments.pretraining(tmp_path / "c.yaml", [], backbone="conv4", **asked)
    assert values["backbone"] == {"name": "conv4"}


def test_another_network_does_not_inherit_the_sides_of_the_preset() -> None:
    for backbone, sides in ((None, 2), ({"name": "mini-resnet"}, 2), ({"name": "conv4"}, 0)):
        values = {"method": "scratch", "full": True} | ({"backbone": backbone} if backbone else {})
        settings = run_settings.configure(values, "pretrain")
        assert settings.train is not None
        assert len(settings.train.resolutions) == sides


def test_the_content_hash_depends_on_the_weights_and_not_on_the_card(
    pretrained: tuple[dict, Path], tmp_path: Path
) -> None:
    state = load_file(pretrained[1])
    save_file(state, tmp_path / "same.safetensors", {"fewshot": "{}"})
    state[FIRST] = state[FIRST] + 1e-2
    save_file(state, tmp_path / "other.safetensors")
    paths = pretrained[1], tmp_path / "same.safetensors", tmp_path / "other.safetensors"
    original, same, other = (own_weights.content_hash(path) for path in paths)
    assert original == same != other


@pytest.mark.slow
def test_two_epochs_on_real_images_give_better_features_than_random_weights(tmp_path: Path) -> None:
    from fewshot.runs import experiment

    try:
        datasets.load("tinyimagenet32")
        datasets.load("cifar10")
    except UserError as error:
        pytest.skip(f"the data is missing: {error}")
    options = {"widths": [32, 64, 128]}
    values = {"data": "tinyimagenet32", "backbone": {"name": "mini-resnet", "options": options}}
    record, weights = pretraining.run({**values, "train": {"epochs": 2}}, out=tmp_path)
    assert record.scores["accuracy"].mean > 0.08  # of 200 classes
    accuracies = [
        experiment.run(
            {
                "method": "probe",
                "shots": 16,
                "backbone": {"name": "mini-resnet", "options": options, "weights": start},
            },
            range(3),
            out=tmp_path,
        )
        .scores["accuracy"]
        .mean
        for start in ("none", str(weights))
    ]
    assert accuracies[1] > accuracies[0] + 0.1


def test_a_file_of_weights_holds_one_network(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"learner\.ensemble_size is 2: a file of weights holds one network"
    ):
        pretraining.run({"data": "digits", "learner": {"ensemble_size": 2}}, out=tmp_path)
    assert not list(tmp_path.iterdir())
