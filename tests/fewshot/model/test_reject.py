"""Oracles: nested loops over images, and known shares of simulated images."""

import numpy as np
import pytest
import torch
from torch import Tensor

from fewshot.config import BackboneSettings
from fewshot.model import reject


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def left_out_by_loops(x: np.ndarray, y: np.ndarray, clusters: np.ndarray) -> list[float]:
    """Compute the scores image by image, with the corrected length of the shorter mean."""
    unit = [row / np.linalg.norm(row) for row in x]
    scores = []
    for i in range(len(x)):
        best, can_be_left_out = -1.0, False
        for c in range(y.max() + 1):
            of_class = [j for j in range(len(x)) if y[j] == c]
            whole = np.mean([unit[j] for j in of_class], 0)
            if c != y[i]:
                best = max(best, cosine(unit[i], whole))
                continue
            others = [j for j in of_class if clusters[j] != clusters[i]]
            can_be_left_out = bool(others)
            if others:
                inner = float(unit[i] @ np.mean([unit[j] for j in others], 0))
                best = max(best, inner / float(np.linalg.norm(whole)))
        if can_be_left_out:
            scores.append(min(best, 1.0))
    return scores


@pytest.mark.parametrize("clustered", [False, True])
def test_the_threshold_is_an_order_statistic_of_scores_computed_by_loops(clustered: bool) -> None:
    rng = np.random.default_rng(0)
    y = np.array([0] * 9 + [1] * 7 + [2] * 6 + [3])
    x = rng.normal(size=(len(y), 5)) + 2 * rng.normal(size=(4, 5))[y]
    clusters = rng.integers(0, 9, len(y)) if clustered else np.arange(len(y))
    centre = rng.normal(size=5)
    expected = sorted(left_out_by_loops(x - centre, y, clusters))
    fitted = reject.fit(
        torch.tensor(x),
        torch.tensor(y),
        4,
        torch.tensor(centre),
        share=0.2,
        clusters=torch.tensor(clusters) if clustered else None,
    )
    assert fitted.threshold == pytest.approx(expected[int(0.2 * (len(expected) + 1)) - 1])
    assert fitted.share == 0.2


def test_the_known_score_is_the_cosine_with_the_nearest_mean_of_unit_vectors() -> None:
    rng = np.random.default_rng(1)
    x, y, centre = rng.normal(size=(12, 4)), np.arange(12) % 3, rng.normal(size=4)
    queries = rng.normal(size=(6, 4))
    fitted = reject.fit(torch.tensor(x), torch.tensor(y), 3, torch.tensor(centre), 0.1)
    unit = (x - centre) / np.linalg.norm(x - centre, axis=1, keepdims=True)
    expected = [max(cosine(q - centre, unit[y == c].mean(0)) for c in range(3)) for q in queries]
    assert reject.known_scores(fitted, torch.tensor(queries)).tolist() == pytest.approx(expected)


def simulated(n: int, means: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    labels = torch.arange(n) % len(means)
    noise = torch.randn(n, means.shape[1], generator=generator)
    return means[labels] + 0.6 * noise, labels


@pytest.mark.parametrize(("shots", "most"), [(2, 0.10), (5, 0.08), (40, 0.07)])
def test_about_the_chosen_share_of_new_images_of_known_classes_is_refused(
    shots: int, most: float
) -> None:
    generator, refused = torch.Generator().manual_seed(0), []
    for _ in range(100):
        means = torch.randn(4, 30, generator=generator)
        fitted = reject.fit(*simulated(4 * shots, means, generator), 4, torch.zeros(30), share=0.05)
        images, _ = simulated(200, means, generator)
        refused.append((reject.known_scores(fitted, images) < fitted.threshold).float().mean())
    assert 0.02 < float(torch.stack(refused).mean()) < most


def test_one_image_a_class_refuses_nothing() -> None:
    x = torch.randn(5, 8, generator=torch.Generator().manual_seed(0))
    fitted = reject.fit(x, torch.arange(5), 5, torch.zeros(8), 0.05)
    assert fitted.threshold == reject.NOTHING
    assert "no image is refused" in reject.notes(fitted)[0]
    scores = reject.known_scores(fitted, torch.cat([x, -x]))
    assert not (scores < fitted.threshold).any()
    assert scores[:5].tolist() == pytest.approx([1.0] * 5)


def test_a_network_that_learned_the_images_refuses_nothing_and_gives_scores() -> None:
    x, labels = simulated(40, 3 * torch.eye(4, 30), torch.Generator().manual_seed(0))
    fitted = reject.scores_alone(x, labels, 4, 0.05)
    assert fitted.threshold == reject.NOTHING
    assert (reject.known_scores(fitted, x) > 0.3).all()


def test_a_class_of_opposite_images_has_finite_scores() -> None:
    x = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, 2.0]])
    fitted = reject.fit(x, torch.tensor([0, 0, 1, 1]), 2, torch.zeros(2), 0.5)
    assert -1 <= fitted.threshold <= 1
    assert reject.known_scores(fitted, torch.zeros(1, 2)).isfinite().all()


SMALL = BackboneSettings(name="mini-resnet", weights="pretrained")
LITE = BackboneSettings(name="tf_efficientnet_lite2", weights="pretrained", root=True)


def test_a_network_for_photos_is_centred_between_generic_and_class_means() -> None:
    generic = reject.generic_mean(LITE)
    assert generic is not None
    features = torch.randn(5, len(generic), generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 0, 0, 1, 1])
    of_classes = (features[:3].mean(0) + features[3:].mean(0)) / 2
    middle = reject.centre(LITE, features, labels)
    assert torch.allclose(middle, (generic + of_classes) / 2, atol=1e-6)
    other = LITE.model_copy(update={"weights": "none"})
    assert torch.allclose(reject.centre(other, features, labels), of_classes, atol=1e-6)
    small = reject.centre(SMALL, torch.zeros(2, 1738), torch.tensor([0, 1]))
    assert torch.allclose(small, 0.3 * reject.generic_mean(SMALL))
