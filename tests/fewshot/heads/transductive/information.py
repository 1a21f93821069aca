"""TIM and alpha-TIM of one task in numpy: loops, and gradients by finite differences."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Entropy = Callable[[np.ndarray], float]


def shannon(p: np.ndarray) -> float:
    return -sum(value * np.log(value) for value in p)


def of_order(alpha: float) -> Entropy:
    """Return the entropy of order alpha of Veilleux et al."""
    return lambda p: (1 - sum(value**alpha for value in p)) / (alpha - 1)


def probabilities(
    images: np.ndarray, weights: np.ndarray, temperature: float, cosine: bool
) -> np.ndarray:
    """Return the softmax of the logits, [n, w]."""
    rows = []
    for x in images:
        if cosine:
            logits = [x @ c / np.linalg.norm(x) / np.linalg.norm(c) for c in weights]
        else:
            logits = [-((x - c) ** 2).sum() / 2 for c in weights]
        values = [np.exp(temperature * logit) for logit in logits]
        rows.append([value / sum(values) for value in values])
    return np.array(rows)


def final_probabilities(
    support: np.ndarray,
    labels: np.ndarray,
    query: np.ndarray,
    n_way: int,
    entropy: Entropy,
    *,
    a: float,
    b: float,
    c: float,
    temperature: float,
    lr: float,
    steps: int,
    cosine: bool = False,
    reduced: bool = False,
) -> np.ndarray:
    """Return the queries' probabilities after some steps of Adam, [q, w]."""

    def loss(weights: np.ndarray) -> float:
        p_support = probabilities(support, weights, temperature, cosine)
        p_query = probabilities(query, weights, temperature, cosine)
        cross_entropy = 0.0
        for w in range(n_way):
            members = [p for p, label in zip(p_support, labels, strict=True) if label == w]
            cross_entropy -= sum(np.log(p[w]) for p in members) / len(members) / n_way
        conditional = sum(entropy(p) for p in p_query) / len(p_query)
        return a * cross_entropy - b * entropy(p_query.mean(0)) + c * conditional

    def gradient(weights: np.ndarray) -> np.ndarray:
        slopes = np.zeros_like(weights)
        for place in np.ndindex(*weights.shape):
            step = np.zeros_like(weights)
            step[place] = 1e-6
            slopes[place] = (loss(weights + step) - loss(weights - step)) / 2e-6
        return slopes

    weights = np.array([support[labels == w].mean(0) for w in range(n_way)])
    mean, square = np.zeros_like(weights), np.zeros_like(weights)
    for step in range(1, steps + 1):
        slopes = gradient(weights)
        squares = slopes**2
        if reduced:
            squares = squares.mean(1, keepdims=True)
        mean = 0.9 * mean + 0.1 * slopes
        square = 0.999 * square + 0.001 * squares
        root = np.sqrt(square / (1 - 0.999**step)) + 1e-8
        weights = weights - lr * mean / (1 - 0.9**step) / root
    return probabilities(query, weights, temperature, cosine)
