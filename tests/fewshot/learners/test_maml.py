"""MAML against finite differences, a closed form, hand-written loops and learn2learn's own MAML."""

from __future__ import annotations

import copy
import math
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from learn2learn.algorithms import MAML
from pydantic import ValidationError
from sklearn.neighbors import NearestCentroid
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from episodes.errors import UserError
from episodes.rng import seeded
from episodes.types import Episode, Features, Labelled
from fewshot import backbones
from fewshot.config import BackboneSettings, Train
from fewshot.features import frozen
from fewshot.learners import maml, probe
from fewshot.learners.base import Task
from fewshot.runs import base_sets, experiment, run_settings, training_stream
from fewshot.runs.episodic import resolve as episodic_resolve
from fewshot.runs.trial_data import Part
from fewshot.training import trainer
from tests.fewshot import easy

PLAIN = {"head": "zero", "centre": False, "normalise": False, "scale": 1.0, "inner_lr": 0.4}


class Tiny(nn.Module):
    """Two layers on images of four pixels, in float64, for finite differences."""

    input_size = 2
    n_features = 3
    input_size = 2
    stages = (["first.weight", "first.bias"], ["second.weight", "second.bias"])

    def __init__(self) -> None:
        super().__init__()
        with seeded(0, "tiny"):
            self.first, self.second = nn.Linear(4, 3), nn.Linear(3, self.n_features)
        self.double()

    def forward(self, images: Tensor) -> Tensor:
        return torch.tanh(self.second(torch.tanh(self.first(images.flatten(1)))))


def tiny(**options) -> maml.MAML:
    return maml.MAML.from_config(Tiny(), Task(3), maml.Options(**options)).double()


def episode(n_way: int = 3, shots: int = 4, seed: int = 0) -> Episode:
    draw = torch.Generator().manual_seed(seed)
    centres = torch.randn(n_way, 1, 2, 2, generator=draw, dtype=torch.float64)
    labels = torch.arange(n_way).repeat(shots)
    parts = [
        centres[labels] + 0.5 * torch.randn(len(labels), 1, 2, 2, generator=draw).double()
        for _ in range(2)
    ]
    return Episode(Labelled(parts[0], labels), Labelled(parts[1], labels), torch.arange(n_way))


def network(norm: str = "batch") -> backbones.Backbone:
    with seeded(0, "test"):
        return backbones.build(BackboneSettings(name="conv4", options={"width": 8, "norm": norm}))


def learner(norm: str = "batch", **options) -> maml.MAML:
    options = {"inner_lr": 0.02, "body_lr": 0.002, "inner_steps": 3} | options
    return maml.MAML.from_config(network(norm), Task(easy.N_WAY), maml.Options(**options))


def accuracy(logits: Tensor, labels: Tensor) -> float:
    return (logits.argmax(1) == labels).double().mean().item()


def gradients(model: nn.Module, item: Episode) -> dict[str, Tensor]:
    model.zero_grad()
    model.loss(item).backward()  # type: ignore[operator]
    return {
        name: parameter.grad.clone()
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }


@pytest.mark.parametrize("head", ["zero", "prototypes", "learned"])
@pytest.mark.parametrize("adapts", ["all", "head", 1])
def test_second_order_gradients_are_finite_differences(head: str, adapts) -> None:
    model, item = (
        tiny(
            order="second",
            head=head,
            inner_trainable=adapts,
            inner_lr=0.2,
            scale=3.0,
            inner_steps=2,
        ),
        episode(),
    )
    result = gradients(model, item)
    assert set(result) == {name for name, _ in model.named_parameters()}
    for name, parameter in model.named_parameters():
        for index in np.ndindex(*parameter.shape):
            sides = []
            for move in (1e-5, -2e-5):
                parameter.data[index] += move
                sides.append(model.loss(item).item())
            parameter.data[index] += 1e-5
            assert result[name][index].item() == pytest.approx(
                (sides[0] - sides[1]) / 2e-5, rel=1e-5, abs=1e-8
            )


def forward(parameters: dict[str, Tensor], images: Tensor) -> Tensor:
    """Tiny and a linear head, written out."""
    hidden = torch.tanh(images.flatten(1) @ parameters["first.weight"].T + parameters["first.bias"])
    result = torch.tanh(hidden @ parameters["second.weight"].T + parameters["second.bias"])
    return result @ parameters["weight"].T + parameters["bias"]


@pytest.mark.parametrize("adapts", ["all", "head", 1])
def test_first_order_is_the_gradient_at_the_adapted_weights(adapts) -> None:
    """The query's gradient at the adapted weights is applied to the initial ones (section 5.2)."""
    model, item = (
        tiny(**PLAIN, body_lr=0.3, order="first", inner_trainable=adapts, inner_steps=2),
        episode(),
    )
    result = gradients(model, item)
    now = {
        name: parameter.detach().clone() for name, parameter in model.backbone.named_parameters()
    }
    now |= {"weight": torch.zeros(3, 3).double(), "bias": torch.zeros(3).double()}
    moving = {"weight", "bias"} | {"all": set(now), "head": set(), 1: set(Tiny.stages[1])}[adapts]
    for _ in range(2):
        leaves = {name: value.clone().requires_grad_() for name, value in now.items()}
        F.cross_entropy(forward(leaves, item.support.images), item.support.labels).backward()
        rates = {
            name: (0.4 if name in ("weight", "bias") else 0.3) * (name in moving) for name in leaves
        }
        now = {name: value.detach() - rates[name] * value.grad for name, value in leaves.items()}
    leaves = {name: value.clone().requires_grad_() for name, value in now.items()}
    F.cross_entropy(forward(leaves, item.query.images), item.query.labels).backward()
    for name, _ in model.backbone.named_parameters():
        torch.testing.assert_close(result[f"backbone.{name}"], leaves[name].grad)
    second = gradients(
        tiny(**PLAIN, body_lr=0.3, order="second", inner_trainable=adapts, inner_steps=2), item
    )
    assert not torch.allclose(
        result["backbone.first.weight"], second["backbone.first.weight"], rtol=1e-2
    )


@pytest.mark.parametrize("order", ["first", "second"])
def test_agrees_with_the_maml_of_learn2learn(order: str) -> None:
    model, item = tiny(**PLAIN, order=order, inner_trainable="all", inner_steps=3), episode()
    head = nn.Linear(3, 3).double()
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    theirs = MAML(nn.Sequential(Tiny(), head), lr=0.4, first_order=order == "first")
    clone = theirs.clone()
    for _ in range(3):
        clone.adapt(F.cross_entropy(clone(item.support.images), item.support.labels))
    logits = clone(item.query.images)
    torch.testing.assert_close(model.adapt(item.support)(item.query.images), logits)
    F.cross_entropy(logits, item.query.labels).backward()
    result = gradients(model, item)
    for name, parameter in theirs.module[0].named_parameters():
        torch.testing.assert_close(result[f"backbone.{name}"], parameter.grad)


def test_one_step_from_zero_has_a_closed_form() -> None:
    """weight = lr * scale * mean of (one-hot - 1/ways) x, and the bias without x."""
    item, scale, lr = episode(), 2.0, 0.3
    x, y = item.support.images.flatten(1).as_subclass(Features), item.support.labels
    model = tiny(**PLAIN | {"scale": scale, "inner_lr": lr}, inner_steps=1)
    logits = model.adapt(Labelled(x, y))(q := item.query.images.flatten(1).as_subclass(Features))
    for n in range(len(q)):
        for way in range(3):
            expected = 0.0
            for row, label in zip(x, y, strict=True):
                share = lr * scale * (float(label == way) - 1 / 3) / len(y)
                expected += scale * share * (float(row @ q[n]) + 1)  # and 1: the bias
            assert logits[n, way].item() == pytest.approx(expected, rel=1e-6)


def test_without_steps_it_is_chance_or_the_nearest_prototype() -> None:
    item = episode()
    blank = tiny(head="zero", inner_steps=0)
    assert (blank.adapt(item.support)(item.query.images) == 0).all()
    assert blank.loss(item).item() == pytest.approx(math.log(3))
    model = tiny(head="prototypes", inner_steps=0, scale=4.0)
    with torch.no_grad():
        x, q = (model.backbone(value.images) for value in item[:2])
        logits = model.adapt(item.support)(item.query.images)
    x, q = (F.normalize(value - x.mean(0), dim=-1).numpy() for value in (x, q))
    nearest = NearestCentroid().fit(x, item.support.labels.numpy())
    assert (logits.argmax(1).numpy() == nearest.predict(q)).all()
    squares = ((q[:, None] - nearest.centroids_) ** 2).sum(-1)
    expected = torch.log_softmax(torch.from_numpy(-4.0 * squares / 2), 1)
    torch.testing.assert_close(torch.log_softmax(logits, 1), expected)


@pytest.mark.parametrize("head", ["zero", "prototypes"])
@pytest.mark.parametrize("adapts", ["all", "head"])
def test_adaptation_helps(head: str, adapts: str) -> None:
    support, query = easy.labelled(6, seed=0), easy.labelled(25, seed=9)
    losses, accuracies = [], []
    for steps in (0, 1, 4, 16):
        with torch.no_grad():
            classify = (
                learner("group", head=head, inner_trainable=adapts, inner_steps=steps)
                .eval()
                .adapt(support)
            )
            losses.append(F.cross_entropy(classify(support.images), support.labels).item())
            accuracies.append(accuracy(classify(query.images), query.labels))
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.7 * losses[0]
    assert accuracies[-1] > 0.9
    assert head == "prototypes" or accuracies[-1] - accuracies[0] > 0.5


@pytest.mark.parametrize("adapts", ["all", "head", 2])
@pytest.mark.parametrize("order", ["first", "second"])
def test_nothing_is_written_on_the_learner_or_its_buffers(adapts, order: str) -> None:
    """Batch norm has buffers, which learn2learn's clones share."""
    model = learner("batch", inner_trainable=adapts, order=order).train()
    before = copy.deepcopy(model.state_dict())
    expected = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    model.loss(easy.stream("episodes")(0)).backward()
    with torch.no_grad():
        model.eval().adapt(easy.labelled(3, seed=0))(easy.labelled(2, seed=9).images)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert {
        name: parameter.requires_grad for name, parameter in model.named_parameters()
    } == expected
    assert all(parameter.is_leaf for parameter in model.parameters())


@pytest.mark.parametrize("norm", ["batch", "group"])
def test_queries_do_not_see_each_other_where_the_body_adapts(norm: str) -> None:
    queries = easy.labelled(3, seed=9).images
    with torch.no_grad():
        classify = learner(norm, inner_trainable="all").eval().adapt(easy.labelled(4, seed=0))
        alone = torch.cat([classify(query[None]) for query in queries])
        torch.testing.assert_close(classify(queries), alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("adapts", "stages"), [("head", 0), (1, 1), (3, 3), (9, 4), ("all", 4)])
def test_inner_steps_move_what_adapts_names(adapts, stages: int) -> None:
    model = learner("group", inner_trainable=adapts).eval()
    with torch.no_grad():
        adapted = dict(model.adapt(easy.labelled(4, seed=0)).named_parameters())
    moved = {
        name
        for name, parameter in model.backbone.named_parameters()
        if not torch.equal(parameter, adapted[f"backbone.{name}"])
    }
    assert moved == {name for stage in model.backbone.stages[4 - stages :] for name in stage}
    assert adapted["weight"].abs().sum() > 0
    assert not any(value.requires_grad for value in adapted.values())


@pytest.mark.parametrize("adapts", ["all", "head"])
@pytest.mark.parametrize("head", ["zero", "prototypes"])
def test_the_order_of_the_labels_says_nothing(adapts: str, head: str) -> None:
    """Less than a point is gained; a trained start must not have learned the task either."""
    model = learner("group", inner_trainable=adapts, head=head)
    settings = Train(steps=5, lr=0.003)
    trainer.fit(model, easy.stream("episodes"), settings, steps_per_epoch=1.0)
    support, query = easy.labelled(4, seed=0), easy.labelled(25, seed=9)
    order = torch.tensor([2, 0, 3, 1])
    with torch.no_grad():
        straight = model.adapt(support)(query.images)
        permuted = model.adapt(Labelled(support.images, order[support.labels]))(query.images)
    torch.testing.assert_close(permuted[:, order], straight, rtol=1e-3, atol=1e-3)
    assert abs(accuracy(straight, query.labels) - accuracy(permuted, order[query.labels])) < 0.01


def test_no_inner_loop_is_close_where_features_were_learned() -> None:
    """The nearest mean of meta-learned features is close to the inner steps' result.

    Source: NIL of Raghu et al., arXiv 1909.09157.
    """
    model = learner("group", inner_steps=5)
    trainer.fit(model, easy.stream("episodes"), Train(steps=20, lr=0.003), steps_per_epoch=1.0)
    support, query = easy.labelled(4, seed=0), easy.labelled(25, seed=9)
    nil = probe.Probe.from_config(
        model.backbone, Task(4), probe.Options(classifier="nearest-mean")
    ).eval()
    with torch.no_grad():
        result = [
            accuracy(method.adapt(support)(query.images), query.labels) for method in (model, nil)
        ]
    assert result[0] > 0.9
    assert abs(result[0] - result[1]) < 0.05


def test_with_and_without_gradients_gives_the_same_also_where_the_outer_loop_is_frozen() -> None:
    support, query = easy.labelled(3, seed=0), easy.labelled(2, seed=9).images
    for adapts in ("all", "head"):
        model = learner("group", inner_trainable=adapts, order="second").eval()
        with torch.no_grad():
            apart = model.adapt(support)(query)
        assert not apart.requires_grad
        attached = model.adapt(support)(query)
        assert attached.requires_grad
        torch.testing.assert_close(attached.detach(), apart)
        model.backbone.requires_grad_(
            False
        )  # a phase of the outer loop; inner steps still move a copy
        torch.testing.assert_close(model.adapt(support)(query).detach(), apart)


def test_inner_batches_are_balanced_and_drawn_anew() -> None:
    labels = torch.tensor([0] * 50 + [1] * 3 + [2] * 30)[
        torch.randperm(83, generator=torch.Generator().manual_seed(0))
    ]
    support = Labelled(torch.arange(83.0)[:, None], labels)
    batches = [maml._balanced_batch(support, 3, 31, step) for step in range(4)]
    for images, batch_labels, _ in batches:
        assert batch_labels.bincount().tolist() == [10, 10, 10]
        rows = images[:, 0].long()
        assert torch.equal(labels[rows], batch_labels)
        assert [len(rows[batch_labels == way].unique()) for way in range(3)] == [10, 3, 10]
    assert len({tuple(images[:, 0].tolist()) for images, _, _ in batches}) == 4
    assert torch.equal(maml._balanced_batch(support, 3, 31, 2).images, batches[2].images)


@pytest.mark.parametrize("adapts", ["all", "head"])
def test_a_large_support_is_taken_in_batches_and_in_first_order(adapts: str) -> None:
    item = episode(shots=6)
    result = {
        order: gradients(
            tiny(order=order, inner_trainable=adapts, inner_batch=6, inner_steps=3), item
        )
        for order in ("first", "second")
    }
    assert all(
        torch.equal(result["first"][name], value) for name, value in result["second"].items()
    )
    support, query = easy.labelled(40, seed=0), easy.labelled(25, seed=9)
    model = learner("group", inner_trainable=adapts, inner_batch=12, inner_steps=20).eval()
    with torch.no_grad():
        logits = model.adapt(support)(query.images)
        assert torch.equal(logits, model.adapt(support)(query.images))
    assert accuracy(logits, query.labels) > 0.9


def test_steps_of_training_and_of_evaluation() -> None:
    item = episode()
    model, few, many = (tiny(**PLAIN, **steps) for steps in (
        {"inner_steps": 1, "test_steps": 7}, {"inner_steps": 1}, {"inner_steps": 7},
    ))  # fmt: skip
    assert torch.equal(model.loss(item), few.loss(item))
    assert torch.equal(
        model.adapt(item.support)(item.query.images), many.adapt(item.support)(item.query.images)
    )
    with pytest.raises(ValidationError, match="test_steps must be inner_steps or more"):
        maml.Options(inner_steps=5, test_steps=4)
    before, none = (
        tiny(**PLAIN, **steps)
        for steps in ({"inner_steps": 3, "test_steps": 0}, {"inner_steps": 0})
    )
    assert torch.equal(
        before.adapt(item.support)(item.query.images), none.adapt(item.support)(item.query.images)
    )


def test_a_learned_head_is_where_the_inner_steps_start() -> None:
    """Against the steps written out: the head is one of the initial weights."""
    item = episode()
    options = PLAIN | {"head": "learned", "inner_trainable": "head", "inner_steps": 2}
    model = tiny(**options)
    assert model.head is not None
    now = {name: value.detach() for name, value in model.backbone.named_parameters()}
    now |= {name: value.detach() for name, value in model.head.named_parameters()}
    for _ in range(2):
        leaves = {name: now[name].clone().requires_grad_() for name in ("weight", "bias")}
        logits = forward(now | leaves, item.support.images)
        F.cross_entropy(logits, item.support.labels).backward()
        now |= {name: value.detach() - 0.4 * value.grad for name, value in leaves.items()}
    torch.testing.assert_close(
        model.adapt(item.support)(item.query.images), forward(now, item.query.images)
    )


def test_without_relabelling_the_classes_have_the_numbers_of_the_data_set() -> None:
    item, order = episode(), torch.tensor([2, 0, 1])
    renamed = Episode(
        Labelled(item.support.images, order.argsort()[item.support.labels]),
        Labelled(item.query.images, order.argsort()[item.query.labels]),
        order,
    )
    soft = F.one_hot(renamed.query.labels, 3).double()
    softened = renamed._replace(query=Labelled(item.query.images, soft))
    options = PLAIN | {"head": "learned", "inner_steps": 1}
    fixed, relabelled = tiny(**options, relabel=False), tiny(**options)
    relabelled.load_state_dict(fixed.state_dict())
    expected = relabelled.loss(item)
    torch.testing.assert_close(fixed.loss(renamed), expected)
    torch.testing.assert_close(fixed.loss(softened), expected)
    assert not torch.isclose(relabelled.loss(renamed), expected)


def test_a_fixed_number_of_classes_is_asked_for_and_checked() -> None:
    with pytest.raises(TypeError, match="need n_way"):
        maml.MAML(Tiny(), head="learned")
    with pytest.raises(UserError, match="built for 3 classes and got a task of 4"):
        tiny(head="learned").adapt(episode(4).support)
    values = {"method": "maml", "shots": 1, "train": {"base": "digits", "steps": 1}}
    with pytest.raises(
        UserError, match=r"learner\.relabel .* the labelled images, which train\.base replaces"
    ):
        run_settings.configure({**values, "learner": {"relabel": False}}, "few")


@pytest.mark.parametrize("relabel", [False, True])
def test_a_learned_head_memorises_classes_unless_their_numbers_change(relabel: bool) -> None:
    """One task, and inner steps too small to matter: what the outer steps alone learn.

    With fixed numbers that is the task itself, as in ordinary training. With new numbers in every
    episode nothing is right on average, so the mean loss without the support is not below
    ln(n_way). A single training may be right by chance, and which one it is depends on the last
    bits of the arithmetic.
    """
    # Large steps diverge where the last bits are unlucky, so the task is learned by small ones.
    steps, lr = (120, 0.005) if relabel else (240, 0.002)
    settings = Train(steps=steps, lr=lr, optimizer={"name": "adamw"})
    options = {"head": "learned", "relabel": relabel, "inner_trainable": "all", "inner_lr": 1e-4}
    query, losses, accuracies = easy.labelled(25, seed=9), [], []
    for seed in range(2 if relabel else 1):
        model = learner("group", **options, test_steps=0)
        with seeded(seed, "fit"):
            trainer.fit(model, easy.stream("episodes"), settings, steps_per_epoch=1.0)
        with torch.no_grad():
            logits = model.eval().adapt(easy.labelled(6, seed=0))(query.images)
        losses.append(F.cross_entropy(logits, query.labels).item())
        accuracies.append(accuracy(logits, query.labels))
    if relabel:
        assert sum(losses) / 2 > math.log(easy.N_WAY) - 0.1
        assert sum(accuracies) / 2 <= 0.6
    else:
        assert losses[0] < 0.3
        assert accuracies[0] > 0.95


def test_in_bfloat16_the_head_stays_in_float32() -> None:
    model = learner("group", inner_trainable="all", order="second")
    model.backbone.set_compute("bfloat16", channels_last=True)
    loss = model.loss(easy.stream("episodes")(0))
    loss.backward()
    assert loss.dtype == torch.float32
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())
    with torch.no_grad():
        adapted = model.eval().adapt(easy.labelled(3, seed=0))
        assert (
            adapted.weight.dtype == adapted(easy.labelled(2, seed=9).images).dtype == torch.float32
        )  # type: ignore[attr-defined]


def test_without_learn2learn_one_sentence_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "learn2learn", None)
    with pytest.raises(UserError, match=r"pip install --no-deps -r requirements/learn2learn\.txt"):
        tiny()


def test_features_stand_for_images_where_the_head_alone_adapts() -> None:
    values = {
        "method": "maml",
        "shots": 1,
        "backbone": {"name": "conv4", "weights": "none"},
        "train": None,
    }
    for adapts in ("head", 1, "all"):
        settings = run_settings.configure({**values, "learner": {"inner_trainable": adapts}}, "few")
        model = run_settings.build_learner(settings, Task(10), seed=0)
        assert frozen.can_replace_images(settings, model) == (adapts == "head")
        assert frozen.can_replace_images(settings, model, untrained=True) == (adapts == "head")


def test_the_record_warns_of_chance(tmp_path: Path) -> None:
    values = {"data": "digits", "shots": 2, "precision": "float32"}
    values["backbone"] = {
        "name": "conv4",
        "options": {"width": 8, "norm": "group"},
        "weights": "none",
    }
    record = experiment.run({**values, "method": "maml", "train": None}, [0], out=tmp_path)
    assert not any("near chance" in warning for warning in record.warnings)
    blank = {"head": "zero", "inner_steps": 0, "test_steps": 0}
    lost = experiment.run(
        {**values, "method": "maml", "train": None, "learner": blank}, [0], out=tmp_path
    )
    assert lost.scores["accuracy"].mean < 0.15
    assert any("near chance, which is 0.1" in warning for warning in lost.warnings)
    learned = experiment.run({**values, "method": "probe"}, [0], out=tmp_path)
    assert not any("chance" in warning for warning in learned.warnings)


def as_the_command_trains(folder: Path, method: str) -> tuple[maml.MAML, Episode]:
    """Return the learner that `fewshot episodes --train` builds, and the first task of its stream.

    The settings are those of its preset for random weights, for a small network; all numbers are in
    float64.
    """
    values = {
        "method": method,
        "data": "digits",
        "split": "seed:0:6/0/4",
        "backbone": {"name": "conv4", "weights": "none", "input_size": 16}
        | {"options": {"width": 8, "norm": "group"}},
        "learner": {"episode_ways": 3, "episode_shots": 2, "episode_queries": 3},
        "train": {"steps": 2},
        "select": "last",
        "precision": "float32",
    }
    run = episodic_resolve.resolve(values, folder, "cpu", sources=episodic_resolve.Sources())
    training = run.training()
    model = training.build_learner(training.seed)
    assert isinstance(model, maml.MAML)
    base = base_sets.union(training.bases)
    part = Part(base, torch.arange(len(base)))
    stream, _ = training_stream.of_run(training, model, part, training.seed)
    support, query, classes = stream(0)
    parts = (Labelled(one.images.double(), one.labels) for one in (support, query))
    return model.double().train(), Episode(*parts, classes)


def slopes(model: maml.MAML, loss: Callable[[], Tensor], h: float = 1e-8) -> dict[str, float]:
    """Return the finite difference of a loss along the sign of the gradient of each parameter.

    The step is small because at a kink of ReLU or max pooling an inner gradient jumps, and the loss
    with it.
    """
    result = {}
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        direction, start = parameter.grad.sign(), parameter.detach().clone()
        sides = []
        for move in (h, -h):
            parameter.data.copy_(start + move * direction)
            sides.append(loss().item())
        parameter.data.copy_(start)
        result[name] = (sides[0] - sides[1]) / (2 * h)
    return result


@pytest.mark.parametrize("method", ["maml", "anil"])
def test_meta_gradients_of_the_command_are_finite_differences(method: str, tmp_path: Path) -> None:
    model, item = as_the_command_trains(tmp_path, method)
    assert model.options.order == "second"
    model.loss(item).backward()
    for name, slope in slopes(model, lambda: model.loss(item)).items():
        parameter = dict(model.named_parameters())[name]
        assert parameter.grad.abs().sum().item() == pytest.approx(slope, rel=1e-4), name


def test_fomaml_of_the_command_has_the_gradient_at_the_adapted_weights(tmp_path: Path) -> None:
    """The query's gradient at the adapted weights, and by way of the centre at the initial ones.

    The head begins at zero, so nothing else depends on the initial weights.
    """
    model, item = as_the_command_trains(tmp_path, "fomaml")
    assert (model.options.order, model.options.head, model.options.centre) == (
        "first",
        "zero",
        True,
    )
    loss = model.loss(item)
    loss.backward()
    with torch.no_grad():
        adapted = model._classifier(item.support, 3, model.options.inner_steps)
    before, after = (
        {name: value.detach().clone().requires_grad_() for name, value in body.named_parameters()}
        for body in (model.backbone, adapted.backbone)
    )
    centre = functional_call(model.backbone, before, (item.support.images,)).mean(0)
    features = functional_call(model.backbone, after, (item.query.images,)) - centre
    prepared = F.normalize(features, dim=1)
    logits = model.log_scale.exp() * (prepared @ adapted.weight.T + adapted.bias)
    expected = F.cross_entropy(logits, item.query.labels)
    torch.testing.assert_close(loss, expected)
    expected.backward()
    for name, parameter in model.backbone.named_parameters():
        torch.testing.assert_close(parameter.grad, before[name].grad + after[name].grad)
