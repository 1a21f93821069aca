"""The mixture of experts.

Oracles: its formula in loops, scikit-learn, and limiting cases.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sklearn.metrics import log_loss
from torch import Tensor

from episodes import datasets
from episodes.errors import UserError
from episodes.rng import seeded
from episodes.types import Features, Labelled
from fewshot import backbones, functional
from fewshot.backbones import own_weights
from fewshot.config import BackboneSettings, Train
from fewshot.evaluation import low_data
from fewshot.heads import trainable
from fewshot.learners import experts, finetune
from fewshot.learners.base import Task
from fewshot.runs import experiment
from fewshot.training import optim, trainer
from tests.fewshot import easy

CONV4 = {"name": "conv4", "options": {"width": 8, "norm": "group"}}
GROUPS = {
    "four and six": [0, 0, 1, 1, 1, 1, 1, 1, 0, 0],  # as CIFAR-10's
    "three": [2, 0, 1, 1, 2, 0, 2, 2, 1],
    "a group of one": [1, 0, 1],
}
every_grouping = pytest.mark.parametrize("group", GROUPS.values(), ids=GROUPS)


def random_logits(group: list[int], n: int = 12) -> tuple[Tensor, Tensor, Tensor]:
    """Return logits of a gate over classes and of experts, float64 [n, n_way], and labels [n]."""
    draw = torch.Generator().manual_seed(len(group))
    gate, own = (
        2 * torch.randn(n, len(group), generator=draw, dtype=torch.float64) for _ in range(2)
    )
    return gate, own, torch.randint(len(group), (n,), generator=draw)


def by_loops(gate: Tensor, own: Tensor, group: list[int]) -> np.ndarray:
    """Return p(y|x) = sum over g of p(g|x) p(y|g,x), one image and one class at a time."""
    n, n_way = gate.shape
    result = np.zeros((n, n_way))
    for i in range(n):
        a, b = gate[i].exp().tolist(), own[i].exp().tolist()
        for y in range(n_way):
            for g in set(group):
                members = [c for c in range(n_way) if group[c] == g]
                p_g = sum(a[c] for c in members) / sum(a)
                result[i, y] += p_g * (b[y] / sum(b[c] for c in members) if y in members else 0.0)
    return result


def mixed(gate: Tensor, own: Tensor, group: list[int]) -> Tensor:
    of, n = torch.tensor(group), max(group) + 1
    return functional.mixture(
        functional.group_logits(gate, of, n), functional.log_softmax_within(own, of, n), of
    )


def soft(labels: Tensor, n_way: int) -> Tensor:
    """Each image mixed with the next, as mixup does."""
    one_hot = torch.eye(n_way)[labels]
    return 0.7 * one_hot + 0.3 * one_hot.roll(1, 0)


def build(group: list[int], weights: str = "none", **options) -> experts.Experts:
    with seeded(0, "test"):
        backbone = backbones.build(BackboneSettings(**CONV4, weights=weights))
        return experts.Experts.from_config(
            backbone, Task(len(group), torch.tensor(group)), experts.Options(**options)
        ).eval()


@pytest.mark.parametrize(("head", "fitted"), [("unit", True), ("cosine", False)])
def test_untrained_heads_have_learned_frequencies_only_from_a_probe(
    head: str, fitted: bool
) -> None:
    learner = build([0, 0, 1, 1], head=head)
    assert learner.learns_frequencies(9)
    assert learner.learns_frequencies(9, trained=False) == fitted


def clusters(learner: experts.Experts, per_class: int = 5) -> tuple[Labelled, Labelled]:
    """Features around a centre a class in the place of images: a support and queries."""
    draw, d = torch.Generator().manual_seed(1), learner.backbone.n_features
    labels = torch.arange(learner.n_way).repeat(per_class)
    centres = torch.rand(learner.n_way, d, generator=draw)
    return tuple(  # type: ignore[return-value]
        Labelled(
            (centres[labels] + 0.3 * torch.randn(len(labels), d, generator=draw)).as_subclass(
                Features
            ),
            labels,
        )
        for _ in range(2)
    )


# the mathematics


@every_grouping
def test_the_mixture_is_its_formula(group: list[int]) -> None:
    gate, own, labels = random_logits(group)
    result, expected = mixed(gate, own, group), by_loops(gate, own, group)
    np.testing.assert_allclose(result.exp().numpy(), expected, rtol=1e-9)
    np.testing.assert_allclose(result.exp().sum(1).numpy(), 1.0, rtol=1e-12)
    ways = list(range(len(group)))
    assert functional.negative_log_likelihood(result, labels).item() == pytest.approx(
        log_loss(labels, expected, labels=ways)
    )


@every_grouping
def test_equal_gate_and_experts_are_the_flat_softmax(group: list[int]) -> None:
    gate, _, _ = random_logits(group)
    torch.testing.assert_close(mixed(gate, gate, group), gate.log_softmax(1))


def test_a_gate_that_is_sure_leaves_its_expert_s_softmax() -> None:
    group = GROUPS["four and six"]
    _, own, _ = random_logits(group)
    within = functional.log_softmax_within(own, of := torch.tensor(group), 2)
    for g in (0, 1):
        members = [c for c in range(10) if group[c] == g]
        one_hot = torch.full((len(own), 2), -1e4, dtype=own.dtype).index_fill(
            1, torch.tensor(g), 0.0
        )
        result = functional.mixture(one_hot, within, of).exp()
        torch.testing.assert_close(result[:, members], own[:, members].softmax(1))
        assert result[:, [c for c in range(10) if group[c] != g]].max() == 0


def test_logits_far_apart_stay_finite_with_their_gradients() -> None:
    logits = torch.tensor([[0.0, 1000.0, -1000.0]], requires_grad=True)
    result = functional.mixture(
        functional.group_logits(logits, of := torch.tensor([0, 1, 0]), 2),
        functional.log_softmax_within(logits, of, 2),
        of,
    )
    assert result.tolist() == [[-1000.0, 0.0, -2000.0]]
    result.sum().backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


@every_grouping
def test_labels_of_groups_and_the_likelihood_of_mixed_labels(group: list[int]) -> None:
    gate, own, labels = random_logits(group)
    of, n_groups = torch.tensor(group), max(group) + 1
    assert functional.group_labels(labels, of, n_groups).tolist() == [
        group[label] for label in labels.tolist()
    ]
    targets = soft(labels, len(group)).double()
    sums = functional.group_labels(targets, of, n_groups).tolist()
    for row, target in zip(sums, targets.tolist(), strict=True):
        for g, share in enumerate(row):
            assert share == pytest.approx(
                sum(t for t, home in zip(target, group, strict=True) if home == g)
            )
    result = mixed(gate, own, group)
    expected = -np.mean([sum(t * np.log(p) for t, p in zip(*rows, strict=True)) for rows in zip(
        targets.tolist(), by_loops(gate, own, group).tolist(), strict=True)])  # fmt: skip
    assert functional.negative_log_likelihood(result, targets).item() == pytest.approx(expected)


# the learner


def loss_by_numpy(learner: experts.Experts, item: Labelled, separate: bool) -> float:
    """Every term of the loss from the heads' outputs, one image at a time."""
    group, options = learner.group_of_class.tolist(), learner.options
    features = item.images.split(learner.width, 1)
    targets = (
        item.labels.tolist()
        if item.labels.ndim == 2
        else torch.eye(learner.n_way)[item.labels].tolist()
    )
    total = 0.0
    with torch.no_grad():
        for i, target in enumerate(targets):
            gate = learner.gate(features[0][i : i + 1])[0].double().exp().numpy()
            p = np.zeros(learner.n_way)
            for g, expert in enumerate(learner.experts):
                members = [c for c in range(learner.n_way) if group[c] == g]
                own = (
                    expert(features[g + 1 if separate else 0][i : i + 1])[0]
                    .double()
                    .softmax(0)
                    .numpy()
                )
                p_g, t_g = gate[members].sum() / gate.sum(), sum(target[c] for c in members)
                total -= options.gate_weight * t_g * np.log(p_g)
                for c, p_c in zip(members, own, strict=True):
                    p[c] = p_g * p_c
                    total -= options.expert_weight * target[c] * np.log(p_c)
            if separate:
                general = learner.general(features[0][i : i + 1])[0].double().softmax(0).numpy()
                share = 1 / (1 + np.exp(-learner.general_logit.item()))
                p = (1 - share) * p + share * general
                total -= options.expert_weight * (np.array(target) * np.log(general)).sum()
            total -= (np.array(target) * np.log(p)).sum()
    return total / len(targets)


@every_grouping
@pytest.mark.parametrize("networks", ["shared", "separate"])
@pytest.mark.parametrize("head", ["linear", "unit", "cosine"])
@pytest.mark.parametrize("weights", [(0.0, 0.0), (0.3, 0.7)])
def test_the_loss_is_likelihood_gate_and_experts(
    group: list[int], networks: str, head: str, weights: tuple[float, float]
) -> None:
    gate_weight, expert_weight = weights
    learner = build(
        group, networks=networks, head=head, gate_weight=gate_weight, expert_weight=expert_weight
    )
    separate = networks == "separate"
    if separate:
        learner.general_logit.data.fill_(0.4)
    item, queries = clusters(learner)
    for labels in (item.labels, soft(item.labels, len(group))):
        seen = Labelled(item.images, labels)
        assert learner.loss(seen).item() == pytest.approx(
            loss_by_numpy(learner, seen, separate), rel=1e-5
        )
    with torch.no_grad():
        logits = learner.adapt(item)(queries.images)
    np.testing.assert_allclose(logits.exp().sum(1).numpy(), 1.0, rtol=1e-5)


@every_grouping
@pytest.mark.parametrize("head", ["linear", "unit", "cosine"])
@pytest.mark.parametrize("networks", ["shared", "separate"])
def test_the_mixture_starts_as_the_flat_classifier(
    group: list[int], head: str, networks: str
) -> None:
    """Several backbones give the same features, as copies of pretrained weights do."""
    one, learner = build(group, head=head), build(group, head=head, networks=networks, scale=4.0)
    support, queries = clusters(one)
    flat = finetune.FineTune.from_config(
        one.backbone, Task(len(group)), finetune.Options(head=head, scale=4.0)
    ).eval()
    flat.prepare(support)
    times = learner.backbone.n_features // learner.width
    learner.prepare(Labelled(support.images.repeat(1, times), support.labels))
    with torch.no_grad():
        result = learner.adapt(support)(queries.images.repeat(1, times))
        expected = flat.adapt(support)(queries.images).log_softmax(1)
        right = learner.extra_metrics(Labelled(queries.images.repeat(1, times), queries.labels))[
            "flat_accuracy"
        ]
    torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-4)
    flat_right = (expected.argmax(1) == queries.labels).float().mean().item()
    assert right.float().mean().item() == pytest.approx(flat_right, abs=0.05)


def test_a_random_start_leaves_the_heads_alone() -> None:
    learner = build([0, 0, 1, 1], start="random")
    before = {name: value.clone() for name, value in learner.state_dict().items()}
    learner.prepare(clusters(learner)[0])
    assert all(torch.equal(before[name], value) for name, value in learner.state_dict().items())


@pytest.mark.parametrize("networks", ["shared", "separate"])
@pytest.mark.parametrize("head", ["linear", "unit", "cosine"])
def test_the_flat_head_is_of_equal_size_and_touches_nothing(networks: str, head: str) -> None:
    learner = build(GROUPS["four and six"], networks=networks, head=head)
    sizes = dict.fromkeys(("backbone", "flat", "mixture"), 0)
    for name, parameter in learner.named_parameters():
        sizes[name.split(".")[0] if name.startswith(("backbone.", "flat.")) else "mixture"] += (
            parameter.numel()
        )
    assert sizes["flat"] == pytest.approx(sizes["mixture"], rel=0.03)
    item, _ = clusters(learner)
    learner.prepare(item)
    item.images.requires_grad_()
    learner.loss(item).backward()
    features = item.images.grad.clone()
    assert all(parameter.grad.abs().sum() > 0 for parameter in learner.flat.parameters())
    weight = trainable.last_layer(learner.flat).weight
    n_way = learner.n_way
    if networks == "shared":  # two rows a class, which must not learn the same
        assert not torch.allclose(weight.grad[:n_way], weight.grad[n_way:], rtol=1e-2)
    item.images.grad = None
    functional.negative_log_likelihood(learner.adapt(item)(item.images), item.labels).backward()
    torch.testing.assert_close(item.images.grad, features)


def test_gradients_reach_gate_experts_and_every_network() -> None:
    learner = build([0, 1, 0, 1], networks="separate").train()
    learner.loss(easy.stream("batches")(0)).backward()
    for name, parameter in learner.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name  # noqa: PT018


def test_without_superclasses_the_error_names_the_remedy() -> None:
    with pytest.raises(UserError, match=r"groups\.yaml .*superclass: \[class, class\]"):
        experts.Experts.from_config(
            backbones.build(BackboneSettings(**CONV4)), Task(4), experts.Options()
        )


# several networks


@pytest.mark.parametrize("loaded", [True, False])
def test_separate_networks_see_the_same_images_each_with_its_own_weights(
    loaded: bool, tmp_path: Path
) -> None:
    weights, turned, classes = "none", torch.eye(32), torch.rand(5, 32)
    if loaded:  # a file that holds a map of the features too
        weights, turned = str(tmp_path / "w.safetensors"), torch.rand(32, 32)
        state = build([0, 1]).state_dict()
        body = {name: value for name, value in state.items() if name.startswith(own_weights.BODY)}
        finish = {"shift": torch.ones(32), "mix": turned, "weight": classes, "bias": torch.zeros(5)}
        save_file(
            {**body, **{own_weights.FINISH + key: value for key, value in finish.items()}}, weights
        )
    learner = build([0, 1, 1, 0], weights=weights, networks="separate")
    images = easy.labelled(2, 0).images
    bodies = learner.backbone.body.bodies
    assert len(bodies) == 3
    prepared = (images - learner.backbone.mean) / learner.backbone.std
    with torch.no_grad():
        parts = learner.backbone(images).split(learner.width, 1)
        for body, part in zip(bodies, parts, strict=True):
            result = body(prepared)
            expected = result
            if loaded:
                roots = (result.abs() + 0.01).sqrt() - 0.1
                known = 0.8 * 32**0.5 * (result @ classes.T).softmax(1).sqrt()
                expected = torch.cat([(result.sign() * roots - 1) @ turned, known], 1)
            torch.testing.assert_close(expected, part, rtol=1e-4, atol=1e-4)
    assert torch.allclose(parts[0], parts[1]) == torch.allclose(parts[1], parts[2]) == loaded
    weights_apart = {parameter.data_ptr() for parameter in learner.backbone.parameters()}
    assert len(weights_apart) == len(list(learner.backbone.parameters()))


def test_phases_rates_and_precision_reach_every_network() -> None:
    learner = build([0, 1, 1, 0], networks="separate")
    optim.set_trainable(learner, "head")
    assert not any(parameter.requires_grad for parameter in learner.backbone.parameters())
    assert all(
        parameter.requires_grad
        for name, parameter in learner.named_parameters()
        if not name.startswith("backbone.")
    )
    optim.set_trainable(learner, 1)
    trained = [
        sum(parameter.requires_grad for parameter in body.parameters())
        for body in learner.backbone.body.bodies
    ]
    assert trained == [
        len(list(body.stages[-1].parameters())) for body in learner.backbone.body.bodies
    ]
    learner.backbone.set_compute("bfloat16", True)
    with torch.no_grad():
        halved = learner.backbone(easy.labelled(1, 0).images)
        learner.backbone.set_compute("float32", False)
        torch.testing.assert_close(
            halved, learner.backbone(easy.labelled(1, 0).images), rtol=0.05, atol=0.05
        )
    assert halved.dtype == torch.float32


@pytest.mark.parametrize("mode", ["held", "trained"])
def test_batch_norm_is_held_or_trained(mode: str) -> None:
    with seeded(0, "test"):
        backbone = backbones.build(BackboneSettings(name="conv4", options={"width": 8}))
        options = experts.Options(networks="separate", batch_norm=mode)
        learner = experts.Experts.from_config(backbone, easy.TASK, options).train()
    before = [buffer.clone() for buffer in learner.buffers()]
    learner.backbone(torch.rand(8, 3, 32, 32))
    assert all(torch.equal(*pair) for pair in zip(before, learner.buffers(), strict=True)) == (
        mode == "held"
    )


# the measures of the record


@pytest.mark.parametrize("networks", ["shared", "separate"])
def test_trained_its_measures_are_what_counting_gives(networks: str) -> None:
    learner = build(group := [0, 1, 1, 0], networks=networks)
    learner.prepare(easy.labelled(6, 0))
    with seeded(0, "fit"):
        trainer.fit(learner, easy.stream("batches"), Train(steps=12, lr=0.01), steps_per_epoch=1.0)
    query = easy.labelled(25, 9)
    with torch.no_grad():
        logits = learner.adapt(easy.labelled(6, 0))(query.images).tolist()
        gate = (
            learner.gate(learner.backbone(query.images).split(learner.width, 1)[0]).exp().tolist()
        )
    right = {"gate_accuracy": 0, "oracle_gate_accuracy": 0}
    for row, opened, label in zip(logits, gate, query.labels.tolist(), strict=True):
        sums = [
            sum(value for value, home in zip(opened, group, strict=True) if home == g)
            for g in (0, 1)
        ]
        right["gate_accuracy"] += sums.index(max(sums)) == group[label]
        members = [c for c in range(4) if group[c] == group[label]]
        right["oracle_gate_accuracy"] += max(members, key=lambda c, row=row: row[c]) == label
    parts = [
        Labelled(query.images[i : i + 30], query.labels[i : i + 30]) for i in range(0, 100, 30)
    ]
    result = low_data.extra_metrics(learner, parts)
    assert {name: result[name] for name in right} == {
        name: pytest.approx(n / 100) for name, n in right.items()
    }
    accuracy = np.mean(
        [
            row.index(max(row)) == label
            for row, label in zip(logits, query.labels.tolist(), strict=True)
        ]
    )
    assert result["oracle_gate_accuracy"] >= accuracy > 0.4
    assert result["flat_accuracy"] > 0.4


def test_its_measures_are_under_the_prior_of_the_run() -> None:
    learner = build(group := [0, 1, 1, 0])
    learner.prepare(easy.labelled(6, 0))
    query, shift = easy.labelled(25, 9), torch.tensor([0.0, 3.0, -2.0, 1.0])
    groups = torch.tensor(group)
    with torch.no_grad():
        logits = learner.adapt(easy.labelled(6, 0))(query.images) + shift
        flat = learner._flat_logits(learner.backbone(query.images)) + shift
    in_group_1 = logits.softmax(1)[:, groups == 1].sum(1)
    given = logits.masked_fill(groups != groups[query.labels][:, None], -torch.inf)
    expected = {
        "gate_accuracy": (in_group_1 > 0.5) == (groups[query.labels] == 1),
        "oracle_gate_accuracy": given.argmax(1) == query.labels,
        "flat_accuracy": flat.argmax(1) == query.labels,
    }
    measured = low_data.extra_metrics(learner, [query], shift)
    assert measured == {name: float(right.double().mean()) for name, right in expected.items()}
    assert measured != low_data.extra_metrics(learner, [query])


@pytest.mark.parametrize("networks", ["shared", pytest.param("separate", marks=pytest.mark.slow)])
def test_a_run_keeps_the_measures_and_features_stand_for_images(
    networks: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEWSHOT_CACHE", str(tmp_path / "cache"))
    digits = datasets.load("digits")
    names = digits.train.classes
    groups = {"round": (names[0], names[6], names[8], names[9]), "open": (*names[1:6], names[7])}
    known = type(digits)(*(replace(part, groups=groups) for part in digits))
    monkeypatch.setattr("fewshot.runs.images.datasets.load", lambda *_, **__: known)
    values = {
        "method": "experts", "data": "digits", "shots": 4, "precision": "float32",
        "backbone": CONV4,
        "preset": "random", "learner": {"networks": networks},
        "train": {"steps": 12, "batch_size": 16, "phases": [{"trainable": "head"}]},
    }  # fmt: skip
    still = [
        {"name": "noise", "most": 0.0}
    ]  # changes nothing, but is an augmentation: images go through the network
    result = {}
    for name, augment in (("images", still), ("features", [])):
        record = experiment.run({**values, "augment": augment}, [0, 1], out=tmp_path / name)
        assert (tmp_path / "cache" / "features").exists() == (name == "features")
        result[name] = record.measures
        draws = tmp_path / name / record.run_id
        for seed in (0, 1):
            drawn = json.loads((draws / f"trial-{seed}" / "trial.json").read_text())["measures"]
            assert [value.values[seed] for value in result[name].values()] == list(drawn.values())
            saved = np.load(draws / f"trial-{seed}" / "predictions.npz")
            home = np.array([name in groups["open"] for name in names])
            given = np.where(
                home == home[saved["test_labels"]][:, None], saved["test_logits"], -np.inf
            ).argmax(1)
            assert (given == saved["test_labels"]).mean() == pytest.approx(
                drawn["oracle_gate_accuracy"], abs=0.01
            )
    for name, actual in result["images"].items():
        assert result["features"][name].values == pytest.approx(actual.values, abs=0.01)
