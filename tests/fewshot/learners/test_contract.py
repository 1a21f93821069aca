"""One contract over every learner (design: the learner protocol)."""

from __future__ import annotations

import copy

import pytest
import torch
import yaml

from episodes.rng import seeded
from fewshot import backbones, config
from fewshot.config import BackboneSettings, Train
from fewshot.learners import LEARNERS
from fewshot.learners.base import Learner, Task
from fewshot.runs import run_settings
from fewshot.training import trainer
from tests.fewshot import easy
from tests.fewshot.no_reads import NoReads

# The smallest network with each kind of norm: what leaks or is not trained shows in one of them.
BACKBONES = {
    norm: BackboneSettings(name="conv4", options={"width": 8, "norm": norm})
    for norm in ("batch", "group", "none")
}
CASES = [(method, norm) for method in LEARNERS for norm in BACKBONES]
every_learner = pytest.mark.parametrize(("method", "norm"), CASES)
PRESETS = [(method, preset) for method in LEARNERS for preset in config.presets(method)]


def build(method: str, norm: str, seed: int = 0) -> Learner:
    options = run_settings.configure({"method": method, "shots": 4}, "few").learner
    with seeded(seed, "test"):
        backbone = backbones.build(BACKBONES[norm])
        kind = LEARNERS[method]
        return kind.from_config(backbone, easy.TASK, kind.options_type.model_validate(options))


def trained(method: str, norm: str, steps: int | None = None) -> Learner:
    """Train for the steps that the learner states, at a rate that falls as they grow."""
    learner = build(method, norm)
    steps = steps or LEARNERS[method].contract_steps
    lr = 0.01 * min(1, (40 / steps) ** 0.5)  # a network that needs many steps needs small ones
    support = easy.labelled(6, seed=0)
    learner.eval()
    learner.prepare(support)
    if learner.feed is not None:
        settings = Train(steps=steps, lr=lr, optimizer={"name": "adamw"})
        with seeded(0, "fit"):
            trainer.fit(learner, easy.stream(learner.feed), settings, steps_per_epoch=1.0)
    return learner.eval()


def logits(learner: Learner, queries: int = 8) -> torch.Tensor:
    with torch.no_grad():
        return learner.adapt(easy.labelled(6, seed=0))(easy.labelled(queries, seed=9).images)


def state(learner: Learner) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in learner.state_dict().items()}


@pytest.mark.parametrize(("method", "preset"), PRESETS)
def test_presets_build_and_survive_yaml(method: str, preset: str) -> None:
    settings = run_settings.configure({"method": method, "shots": 4}, preset)
    values = yaml.safe_load(config.dump(settings.model_dump(mode="json")))
    assert config.check(config.RunConfig, values, "again") == settings
    if settings.backbone.name not in backbones.OWN:
        # The weights of timm's networks may be out of reach.
        random = settings.backbone.model_copy(update={"weights": "none"})
        settings = settings.model_copy(update={"backbone": random})
    learner = run_settings.build_learner(settings, Task(10, torch.arange(10) // 6), seed=0)
    assert learner.feed in ("batches", "episodes", "pairs", None)


@every_learner
def test_loss_is_a_finite_scalar_that_reaches_every_trainable_weight(
    method: str, norm: str
) -> None:
    learner = build(method, norm)
    if learner.feed is None:
        assert not any(parameter.requires_grad for parameter in learner.parameters())
        return
    learner.train()
    loss = learner.loss(easy.stream(learner.feed)(0))
    assert loss.shape == ()
    assert loss.isfinite()
    loss.backward()
    for name, parameter in learner.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@every_learner
def test_logits_have_a_column_for_every_way(method: str, norm: str) -> None:
    assert logits(build(method, norm).eval(), queries=3).shape == (3 * easy.N_WAY, easy.N_WAY)


@every_learner
@pytest.mark.parametrize("mode", [True, False])
@pytest.mark.parametrize("gradient", [True, False])
def test_adapt_is_pure(method: str, norm: str, mode: bool, gradient: bool) -> None:
    learner = build(method, norm).train(mode)
    before, modes = state(learner), [module.training for module in learner.modules()]
    with torch.set_grad_enabled(gradient):
        classify = learner.adapt(easy.labelled(3, seed=0))
        if not mode:
            classify(easy.labelled(2, seed=9).images)
    assert [module.training for module in learner.modules()] == modes
    assert all(parameter.grad is None for parameter in learner.parameters())
    after = state(learner)
    assert all(torch.equal(before[name], after[name]) for name in before)


@every_learner
def test_support_order_does_not_matter(method: str, norm: str) -> None:
    learner = trained(method, norm, steps=3)
    support, queries = easy.labelled(6, seed=0), easy.labelled(4, seed=9).images
    order = torch.randperm(len(support.labels), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        straight = learner.adapt(support)(queries)
        shuffled = learner.adapt(type(support)(support.images[order], support.labels[order]))(
            queries
        )
    torch.testing.assert_close(straight, shuffled, rtol=1e-3, atol=1e-3)


@every_learner
def test_inductive_a_query_alone_gets_what_it_gets_in_a_crowd(method: str, norm: str) -> None:
    learner = trained(method, norm, steps=3)
    queries = easy.labelled(4, seed=9).images
    with torch.no_grad():
        classify = learner.adapt(easy.labelled(6, seed=0))
        together = classify(queries)
        alone = torch.cat([classify(queries[i : i + 1]) for i in range(len(queries))])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)


@every_learner
def test_learns_an_easy_task(method: str, norm: str) -> None:
    result = logits(trained(method, norm), queries=25).argmax(1)
    accuracy = (result == easy.labelled(25, seed=9).labels).float().mean().item()
    assert accuracy > 0.9, (
        f"accuracy {accuracy:.2f} after {LEARNERS[method].contract_steps} steps; chance is "
        f"{1 / easy.N_WAY}, where the logits may be the same for all images; between the two, "
        "more `contract_steps` may help"
    )


@every_learner
def test_state_round_trip(method: str, norm: str) -> None:
    first = trained(method, norm, steps=3)
    second = build(method, norm, seed=1).eval()
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    assert torch.equal(logits(first), logits(second))


@every_learner
def test_same_seed_same_numbers(method: str, norm: str) -> None:
    assert torch.equal(
        logits(trained(method, norm, steps=5)), logits(trained(method, norm, steps=5))
    )


@pytest.mark.parametrize(("method", "preset"), PRESETS)
def test_the_loss_reads_no_values(method: str, preset: str) -> None:
    """Reading a value makes the program wait for the GPU, and CUDA graphs impossible."""
    options = run_settings.configure({"method": method, "shots": 4}, preset).learner
    kind = LEARNERS[method]
    with seeded(0, "test"):
        backbone = backbones.build(BACKBONES["batch"])
        settings = kind.options_type.model_validate(options)
        learner = kind.from_config(backbone, easy.TASK, settings).eval()
    if learner.feed is None:
        pytest.skip("it is not trained")
    learner.prepare(easy.labelled(6, seed=0))
    learner.on_train_start(24)
    item = easy.stream(learner.feed)(0)
    with NoReads():
        learner.train().on_step(0.2)
        learner.loss(item).backward()
