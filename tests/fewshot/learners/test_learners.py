"""What each learner computes, against scikit-learn and formulas written out."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.neighbors import NearestCentroid
from sklearn.preprocessing import normalize
from threadpoolctl import threadpool_info, threadpool_limits
from torch import Tensor, nn

from episodes.errors import UserError
from episodes.rng import seeded
from episodes.types import Features, Labelled
from fewshot import backbones, functional
from fewshot.backbones import own_weights
from fewshot.config import BackboneSettings
from fewshot.features import frozen as feature_cache
from fewshot.heads import trainable
from fewshot.learners import finetune, probe, protonet, scratch
from fewshot.learners.base import Task
from fewshot.runs import resolve
from fewshot.training import optim
from tests.fewshot import easy


def features(n_way: int, per_class: int = 6, d: int = 10) -> tuple[Labelled, Tensor]:
    """Return support features with labels, and queries; learners accept rows as features."""
    draw = torch.Generator().manual_seed(n_way)
    centres = torch.randn(n_way, d, generator=draw)
    labels = torch.arange(n_way).repeat(per_class)
    support = centres[labels] + 0.8 * torch.randn(len(labels), d, generator=draw) + 3
    queries = centres[labels] + 0.8 * torch.randn(len(labels), d, generator=draw) + 3
    return Labelled(support.as_subclass(Features), labels), queries.as_subclass(Features)


def network() -> backbones.Backbone:
    with seeded(0, "test"):
        return backbones.build(
            BackboneSettings(name="conv4", options={"width": 8, "norm": "group"})
        )


def probed(n_way: int, **options) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Logits of the probe, and the prepared support, queries and labels for scikit-learn."""
    support, queries = features(n_way)
    settings = probe.Options(**options)
    logits = (
        probe.Probe.from_config(network(), Task(n_way), settings).eval().adapt(support)(queries)
    )
    x, q = support.images.double().numpy(), queries.double().numpy()
    if settings.centre:
        x, q = (
            x - support.images.double().numpy().mean(0),
            q - support.images.double().numpy().mean(0),
        )
    if settings.normalise:
        x, q = normalize(x), normalize(q)
    return logits.numpy(), x, q, support.labels.numpy()


@pytest.mark.parametrize("n_way", [2, 3, 7])
@pytest.mark.parametrize("plain", [True, False])
def test_probes_agree_with_scikit_learn(n_way: int, plain: bool) -> None:
    prepared = {"centre": not plain, "normalise": not plain}
    logits, x, q, y = probed(n_way, classifier="nearest-mean", **prepared)
    assert (logits.argmax(1) == NearestCentroid().fit(x, y).predict(q)).all()
    logits, x, q, y = probed(n_way, classifier="logistic", c=2.0, **prepared)
    ours = torch.softmax(torch.from_numpy(logits), 1).numpy()
    np.testing.assert_allclose(
        ours, LogisticRegression(C=2.0, max_iter=1000).fit(x, y).predict_proba(q), atol=1e-3
    )
    logits, x, q, y = probed(n_way, classifier="ridge", c=0.5, **prepared)
    assert (logits.argmax(1) == RidgeClassifier(alpha=2.0).fit(x, y).predict(q)).all()
    logits, x, q, y = probed(n_way, classifier="cosine", scale=4.0, **prepared)
    means = np.stack([x[y == label].mean(0) for label in range(n_way)])
    np.testing.assert_allclose(logits, 4 * normalize(q) @ normalize(means).T, rtol=1e-3, atol=1e-4)


def test_scipys_blas_has_one_thread_while_a_probe_is_fitted_and_numpys_what_it_had(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def threads() -> dict[bool, int]:
        libraries = [
            (library["filepath"], library["num_threads"])
            for library in threadpool_info()
            if library["user_api"] == "blas"
        ]
        return {"scipy" in Path(path).parent.name: count for path, count in libraries}

    seen: list[dict[bool, int]] = []
    plain = LogisticRegression.fit

    def watched(self: LogisticRegression, *given) -> LogisticRegression:
        seen.append(threads())
        return plain(self, *given)

    monkeypatch.setattr(LogisticRegression, "fit", watched)
    with threadpool_limits(3, user_api="blas"):
        before = threads()
        if True not in before:
            pytest.skip("scipy brings no BLAS of its own here")
        probed(3)
        assert threads() == before
    assert seen == [{**before, True: 1}]


def test_the_strength_of_a_probe_is_chosen_inside_the_support() -> None:

    support, queries = features(3)
    options = probe.Options(classifier="logistic", c=(1e-4, 1.0, 1e4))
    chosen = probe.Probe.from_config(network(), Task(3), options).eval().adapt(support)(queries)
    fixed = {
        c: probe.Probe.from_config(network(), Task(3), probe.Options(classifier="logistic", c=c))
        .eval()
        .adapt(support)(queries)
        for c in options.c
    }
    assert sum(torch.allclose(chosen, value) for value in fixed.values()) == 1
    assert not torch.allclose(
        chosen, fixed[1e-4]
    )  # near-uniform predictions lose on separable classes
    single = Labelled(
        support.images[:3], support.labels[:3]
    )  # one image a class: nothing to validate on
    assert probe.Probe.from_config(network(), Task(3), options).eval().adapt(single)(
        queries
    ).shape == (
        len(queries),
        3,
    )


@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
def test_protonet_follows_its_formula(distance: str) -> None:
    support, queries = features(4)
    learner = protonet.ProtoNet.from_config(
        network(), Task(4), protonet.Options(distance=distance, scale=3.0)
    ).eval()
    logits = learner.adapt(support)(queries)
    for n, query in enumerate(queries):
        for way in range(4):
            mean = support.images[support.labels == way].mean(0)
            if distance == "euclidean":
                expected = (
                    -3.0
                    * sum((float(a) - float(b)) ** 2 for a, b in zip(query, mean, strict=True))
                    / len(query)
                )
            else:
                expected = 3.0 * float(query @ mean / (query.norm() * mean.norm()))
            assert logits[n, way].item() == pytest.approx(expected, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("n_way", [2, 5])
@pytest.mark.parametrize("per_class", [1, 6])
def test_the_linear_head_starts_as_nearest_prototype(n_way: int, per_class: int) -> None:
    support, queries = features(n_way, per_class)
    learner = finetune.FineTune.from_config(
        network(), Task(n_way), finetune.Options(head="linear", scale=5.0)
    )
    learner.head = trainable.linear(10, n_way)
    learner.prepare(support)
    logits = learner.eval().head(queries)
    x, y = support.images.numpy(), support.labels.numpy()
    means = np.stack([x[y == way].mean(0) for way in range(n_way)])
    squares = ((queries.numpy()[:, None] - means) ** 2).sum(-1)
    assert (logits.argmax(1).numpy() == squares.argmin(1)).all()
    distances = squares / ((x - x.mean(0)) ** 2).sum(1).mean()
    ours = torch.log_softmax(logits.double(), 1).detach().numpy()
    expected = torch.log_softmax(torch.from_numpy(-5.0 * distances).double(), 1).numpy()
    np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-3)


def test_the_cosine_head() -> None:
    support, queries = features(3)
    learner = finetune.FineTune.from_config(
        network(), Task(3), finetune.Options(head="cosine", scale=7.0)
    )
    learner.head = trainable.CosineHead(10, 3, scale=7.0)
    learner.prepare(support)
    x, y = normalize(support.images.numpy()), support.labels.numpy()
    means = normalize(np.stack([x[y == way].mean(0) for way in range(3)]))
    logits = learner.eval().head(queries).detach().numpy()
    np.testing.assert_allclose(
        logits, 7.0 * normalize(queries.numpy()) @ means.T, rtol=1e-4, atol=1e-4
    )
    assert learner.head.log_scale.item() == pytest.approx(math.log(7.0))


@pytest.mark.parametrize("start", [None, "probe", "prototypes"])
def test_the_unit_head_starts_as_scikit_learns_classifier(start: str | None) -> None:
    support, queries = features(3)
    learner = finetune.FineTune.from_config(
        network(), Task(3), finetune.Options(head="unit", start=start, c=3.0)
    )
    learner.head = trainable.UnitHead(10, 3)
    learner.prepare(support)
    mean, y = support.images.numpy().mean(0), support.labels.numpy()
    x, q = normalize(support.images.numpy() - mean), normalize(queries.numpy() - mean)
    logits = learner.eval().head(queries).detach()
    if start != "prototypes":
        expected = LogisticRegression(C=3.0, max_iter=1000).fit(x, y).predict_proba(q)
        np.testing.assert_allclose(torch.softmax(logits, 1).numpy(), expected, atol=1e-3)
    else:
        assert (logits.argmax(1).numpy() == NearestCentroid().fit(x, y).predict(q)).all()


def test_only_a_unit_head_starts_from_the_probe() -> None:
    with pytest.raises(ValueError, match="needs head: unit"):
        trainable.HeadOptions(head="linear", start="probe")


def test_hidden_layers_of_a_linear_head() -> None:
    head = trainable.linear(2048, 10, hidden=(64, 32), dropout=0.5)
    assert (
        sum(parameter.numel() for parameter in head.parameters())
        == 2048 * 64 + 64 + 64 * 32 + 32 + 32 * 10 + 10
    )
    assert [type(layer) for layer in head].count(nn.Dropout) == 3
    assert [type(layer) for layer in head].count(nn.ReLU) == 2


@pytest.mark.parametrize("method", ["protonet", "finetune"])
def test_batch_norm_keeps_its_statistics(method: str) -> None:
    with seeded(0, "test"):
        backbone = backbones.build(BackboneSettings(name="resnet", options={"width": 8}))
    if method == "protonet":
        learner: nn.Module = protonet.ProtoNet.from_config(backbone, Task(3), protonet.Options())
    else:
        learner = finetune.FineTune.from_config(backbone, Task(3), finetune.Options())
    before = {name: buffer.clone() for name, buffer in learner.named_buffers()}
    learner.train()
    learner.backbone(torch.rand(8, 3, 32, 32))
    assert all(torch.equal(before[name], buffer) for name, buffer in learner.named_buffers())


def test_a_frozen_backbone_of_scratch_works_in_evaluation_mode() -> None:
    with seeded(0, "test"):
        backbone = backbones.build(BackboneSettings(name="resnet", options={"width": 8}))
        learner = scratch.Scratch.from_config(
            backbone, Task(easy.N_WAY), scratch.Options(dropout=0.5)
        )
    batch = easy.labelled(2, 0)
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    optim.set_trainable(learner, "head")
    learner.train()
    assert learner.head[0].training
    assert not any(part.training for part in backbone.modules())
    learner.loss(batch).backward()
    assert all(torch.equal(before[name], value) for name, value in backbone.state_dict().items())
    assert all(parameter.grad is None for parameter in backbone.parameters())
    optim.set_trainable(
        learner, 1
    )  # one stage trains: batch norm learns again, in the next phase of a training
    learner.train()
    assert all(part.training for part in learner.modules())
    learner.loss(batch)
    assert not torch.equal(
        before["body.stages.0.1.running_mean"], backbone.body.stages[0][1].running_mean
    )


def test_rotation_is_a_second_loss_on_a_quarter_of_the_batch_turned() -> None:
    """Against one image at a time, turned by numpy."""
    with seeded(0, "rotation"):
        backbone = backbones.build(
            BackboneSettings(name="conv4", options={"width": 8, "norm": "group"})
        )
        learner = scratch.Scratch.from_config(
            backbone, Task(easy.N_WAY), scratch.Options(rotation=0.5, head="cosine")
        )
    batch = easy.labelled(5, 0)  # twenty images, of which five are turned
    plain, turned = [], []
    for i, (image, label) in enumerate(zip(batch.images, batch.labels, strict=True)):
        features = backbone(image[None])
        plain.append(-learner.head(features).log_softmax(1)[0, label])
        if i < 5:
            quarter = torch.from_numpy(np.rot90(image.numpy(), i % 4, (1, 2)).copy())
            turned.append(-learner.turn_head(backbone(quarter[None])).log_softmax(1)[0, i % 4])
    expected = torch.stack(plain).mean() + 0.5 * torch.stack(turned).mean()
    torch.testing.assert_close(learner.loss(batch), expected)


def taught_by(folder: Path, n_way: int = easy.N_WAY) -> list[str]:
    """Files of two networks, each with a map and a classifier of its features."""
    result = []
    for seed in range(2):
        with seeded(seed, "teacher"):
            settings = BackboneSettings(name="conv4", options={"width": 8})
            body, options = backbones.build(settings).body, backbones.resolved_options(settings)
            d = body.n_features
            finish = {"shift": torch.rand(d), "mix": torch.rand(d, d)}
            finish |= {"weight": 20 * torch.rand(n_way, d), "bias": torch.rand(n_way)}
        result.append(str(folder / f"{seed}.safetensors"))
        Path(result[-1]).write_bytes(
            own_weights.pack(body.state_dict(), finish, "conv4", options, {})
        )
    return result


def test_teachers_share_a_batch_and_their_probabilities_are_targets(tmp_path: Path) -> None:
    files = taught_by(tmp_path)
    student = BackboneSettings(name="conv4", options={"width": 8, "norm": "group", "pool": True})
    with seeded(5, "student"):
        backbone = backbones.build(student)
        plain = scratch.Scratch.from_config(backbone, Task(easy.N_WAY), scratch.Options())
    with seeded(5, "student"):
        backbone = backbones.build(student)
        options = scratch.Options(teachers=tuple(files), distillation_weight=0.25, temperature=3.0)
        learner = scratch.Scratch.from_config(backbone, Task(easy.N_WAY), options)
    assert list(learner.state_dict()) == list(
        plain.state_dict()
    )  # nobody trains or keeps the teachers
    batch = easy.labelled(5, 0)  # twenty images: ten for each teacher
    batch = Labelled(batch.images[torch.randperm(20)], batch.labels)
    taught = []
    for path, part in zip(files, batch.images.split(10), strict=True):
        body = backbones.from_file(Path(path)).eval().body
        state = load_file(path)
        prepared = (part - backbone.mean) / backbone.std
        logits = (
            body(prepared) @ state["backbone.finish.weight"].float().T
            + state["backbone.finish.bias"]
        )
        taught.append((logits.detach() / 3).softmax(1))
    assert torch.cat(taught).std(0).min() > 0.001  # the teachers do say something of the image
    logits = learner.head(learner.backbone(batch.images))
    expected = 0.75 * plain.loss(batch) + 0.25 * functional.distillation(
        logits, torch.cat(taught), 3.0
    )
    learner.backbone.train_side = 16  # the student's side, not the teachers'
    small = learner.loss(batch)
    learner.backbone.train_side = None
    loss = learner.loss(batch)
    torch.testing.assert_close(loss, expected)
    assert not torch.isclose(small, loss)
    loss.backward()
    assert all(parameter.grad is not None for parameter in learner.parameters())
    mixed = nn.functional.one_hot(batch.labels, easy.N_WAY).float()  # as cutmix gives them
    torch.testing.assert_close(learner.loss(Labelled(batch.images, mixed)), expected)


def test_what_needs_images_gets_no_features_though_the_backbone_is_frozen(tmp_path: Path) -> None:
    values = {"method": "scratch", "data": "digits", "shots": 2, "augment": []}
    values["train"] = {"steps": 2, "phases": [{"trainable": "head"}]}
    settings = resolve.configure(values, "few")
    for options in ({}, {"rotation": 0.5}, {"teachers": taught_by(tmp_path)}):
        learner = scratch.Scratch.from_config(
            network(), Task(easy.N_WAY), scratch.Options(**options)
        )
        assert feature_cache.can_replace_images(settings, learner) == (not options)


def test_teachers_of_other_classes_or_files_are_refused(tmp_path: Path) -> None:
    def learner(*files: str) -> scratch.Scratch:
        return scratch.Scratch.from_config(
            network(), Task(easy.N_WAY), scratch.Options(teachers=files)
        )

    with pytest.raises(
        UserError,
        match=r"learner\.teachers: .*0\.safetensors was trained on 7 classes, and the data has 4",
    ):
        learner(*taught_by(tmp_path, n_way=7))
    with pytest.raises(UserError, match=r"gone\.safetensors does not exist"):
        learner(str(tmp_path / "gone.safetensors"))
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(
        UserError,
        match=r"other\.safetensors does not say which network it is for: .*fewshot pretrain",
    ):
        learner(str(tmp_path / "other.safetensors"))
    with pytest.raises(ValueError, match="exclude each other"):
        scratch.Options(rotation=0.5, teachers=("a",))


def test_scratch_takes_the_body_alone_of_pretrained_weights(tmp_path: Path) -> None:
    backbone = backbones.from_file(Path(taught_by(tmp_path)[0]))
    assert backbone.n_features == backbone.n_body_features + easy.N_WAY
    learner = scratch.Scratch.from_config(backbone, Task(easy.N_WAY), scratch.Options())
    assert learner.backbone.n_features == learner.head[-1].in_features == backbone.n_body_features
    assert not any("finish" in name for name in learner.state_dict())


def test_a_cosine_head_of_scratch_takes_no_hidden_layers() -> None:
    with pytest.raises(ValueError, match="no hidden layers"):
        scratch.Options(head="cosine", hidden=(8,))


def test_a_logistic_readout_is_fitted_to_the_features_as_they_are_now() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(3).repeat(6)
    support = Labelled(torch.rand(18, 3, 16, 16, generator=generator), labels)
    queries = torch.rand(7, 3, 16, 16, generator=generator)
    options = finetune.Options(head="unit", readout="logistic", readout_c=5.0)
    learner = finetune.FineTune.from_config(network(), Task(3), options).eval()
    with torch.no_grad():
        for parameter in learner.backbone.parameters():  # as a training changes them
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
        raw, asked = learner.backbone(support.images).double(), learner.backbone(queries).double()
        result = learner.adapt(support)(queries)
    units = [
        value / value.norm(dim=1, keepdim=True)
        for value in (raw - raw.mean(0), asked - raw.mean(0))
    ]
    slow = LogisticRegression(C=5.0, max_iter=1000).fit(units[0].numpy(), labels.numpy())
    np.testing.assert_allclose(
        result.softmax(1).numpy(), slow.predict_proba(units[1].numpy()), atol=1e-3
    )


def test_a_probe_of_the_untrained_features_answers_beside_the_trained_head() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(3).repeat(6)
    support = Labelled(torch.rand(18, 3, 16, 16, generator=generator), labels)
    queries = torch.rand(7, 3, 16, 16, generator=generator)
    learner = finetune.FineTune.from_config(
        network(), Task(3), finetune.Options(head="unit", probe_share=0.4, probe_c=2.0)
    ).eval()
    with torch.no_grad():
        raw, asked = learner.backbone(support.images).double(), learner.backbone(queries).double()
        for parameter in learner.parameters():  # as a training changes them
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
        result = learner.adapt(support)(queries)
        trained = learner.head(learner.backbone(queries)).softmax(1).numpy()
    units = [
        value / value.norm(dim=1, keepdim=True)
        for value in (raw - raw.mean(0), asked - raw.mean(0))
    ]
    slow = LogisticRegression(C=2.0, max_iter=1000).fit(units[0].numpy(), labels.numpy())
    expected = 0.6 * trained + 0.4 * slow.predict_proba(units[1].numpy())
    np.testing.assert_allclose(result.exp().numpy(), expected, atol=1e-3)
    plain = finetune.FineTune.from_config(network(), Task(3), finetune.Options(head="unit"))
    assert list(learner.state_dict()) == list(plain.state_dict())
    assert learner.needs.support
    assert not plain.needs.support
