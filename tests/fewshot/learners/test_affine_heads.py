"""Oracle: the probabilities of each learner's own `adapt`."""

from __future__ import annotations

import pytest
import torch

from episodes.types import Labelled
from fewshot.learners.base import Learner
from fewshot.learners.finetune import FineTune
from fewshot.learners.probe import Probe
from fewshot.learners.protonet import ProtoNet
from fewshot.learners.supervised import Supervised
from tests.fewshot.learners.small import network, random_images


def learners() -> dict[str, Learner]:
    """Return learners whose classifier is affine in the features, with settings of every branch."""
    made: dict[str, Learner] = {
        f"probe {kind}": Probe(network(), classifier=kind)
        for kind in ("logistic", "ridge", "nearest-mean", "cosine")
    }
    made["probe as it is"] = Probe(network(), centre=False, normalise=False)
    for distance in ("euclidean", "cosine"):
        made[f"protonet {distance}"] = ProtoNet(network(), distance=distance)
    for head in ("linear", "unit", "cosine"):
        made[f"finetune {head}"] = FineTune(network(), 3, head=head)
    made["finetune logistic"] = FineTune(network(), 3, readout="logistic")
    made["scratch"] = Supervised(network(), 3)
    made["scratch cosine"] = Supervised(network(), 3, head="cosine")
    return made


@pytest.mark.parametrize("name", learners())
@torch.no_grad()
def test_an_affine_head_has_the_probabilities_of_adapt(name: str) -> None:
    learner = learners()[name].eval()
    support, queries = random_images(9, 3), random_images(6, 3, seed=1)
    learner.prepare(support)
    head = learner.affine_head(support)
    assert head is not None
    probabilities = head(learner.backbone(queries.images)).softmax(1)
    expected = learner.adapt(support)(queries.images).softmax(1)
    torch.testing.assert_close(probabilities, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "learner",
    [
        FineTune(network(), 3, ensemble_size=2),
        FineTune(network(), 3, probe_share=0.5),
        Supervised(network(), 3, hidden=(8,)),
    ],
)
def test_other_classifiers_have_no_affine_head(learner: Learner) -> None:
    images = torch.rand(3, 3, 16, 16)
    assert learner.affine_head(Labelled(images, torch.arange(3))) is None
