"""What a base set's images are labelled with, and which of them are taken."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from episodes.types import ImageSet, Labelled
from fewshot import backbones, selftraining
from fewshot.config import BackboneSettings, Train

N = 50
SUPPORT = Labelled(torch.zeros(3, 3, 8, 8), torch.arange(3))


def base(mirror: bool = True) -> ImageSet:
    images = torch.randint(256, (N, 3, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return ImageSet("base", images, torch.zeros(N, dtype=torch.int64), ("all",), "none", {}, mirror)


class Sure(nn.Module):
    """Three classes: how much of each colour an image holds; where it looks is the backbone's business."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = backbones.build(BackboneSettings(name="conv4", options={"width": 4}, views="flip-crops"))
        self.seen: list[tuple[str, bool]] = []

    def adapt(self, support: Labelled):
        def classify(images: Tensor) -> Tensor:
            self.seen.append((self.backbone.views, self.training))
            return 20 * images.mean((2, 3))

        return classify


@pytest.mark.parametrize("per_class", [1, 7, 100])
def test_the_most_probable_images_of_each_class_with_their_probabilities(per_class: int, tmp_path: Path) -> None:
    learner = Sure().train()
    settings = Train(steps=1, base_per_class=per_class)
    found = selftraining.pool(learner, SUPPORT, base(), settings, tmp_path / "labels.pt")
    probabilities = (20 * base().images.float().div(255).mean((2, 3))).softmax(1)
    wanted = {
        index
        for label in range(3)
        for index in sorted(range(N), key=lambda i, label=label: -probabilities[i, label].item())[:per_class]
    }
    order = sorted(wanted)
    assert found.images.equal(base().images[order])
    assert torch.allclose(found.labels, probabilities[order], atol=1e-5)
    assert found.n_classes == 3
    assert learner.backbone.views == "flip-crops"  # as before
    assert set(learner.seen) == {("flip", False)}  # two views alone, in evaluation mode


def test_an_interrupted_training_continues_with_the_labels_that_it_began_with(tmp_path: Path) -> None:
    settings, path = Train(steps=1, base_per_class=5), tmp_path / "labels.pt"
    first = selftraining.pool(Sure(), SUPPORT, base(), settings, path)
    trained = Sure()
    trained.adapt = lambda support: lambda images: -20 * images.mean((2, 3))  # would label otherwise by now
    again = selftraining.pool(trained, SUPPORT, base(), settings, path)
    assert again.labels.equal(first.labels)
    assert again.images.equal(first.images)


def test_images_that_must_not_be_mirrored_are_not(tmp_path: Path) -> None:
    learner = Sure()
    selftraining.pool(learner, SUPPORT, base(mirror=False), Train(steps=1), tmp_path / "labels.pt")
    assert {views for views, _ in learner.seen} == {"none"}
