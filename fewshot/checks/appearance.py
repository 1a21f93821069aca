"""Images that look odd: dark, light, blurry, grey, of little information, long, or tiny.

Definitions and thresholds are those of cleanvision 0.3 (Apache-2.0), except for tiny images, whose
sides are compared with those of the other images. What most images of a data set have in common,
such as the colours of a set of X-rays, is no fault of any one of them and is not reported.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fewshot.checks.findings import Finding, Place
from fewshot.checks.inspected import Appearance, Inspected

DARKEST = 0.32  # 99th percentile of the brightness below which an image is dark
LIGHTEST = 0.95  # 5th percentile of the brightness above which it is light
LEAST_ENTROPY = 3.0  # bits
LEAST_SHARP = 0.29
SHARPNESS_OF_EDGES = 0.01  # factor of the spread of the edges
LEAST_CONTRAST = 0.18  # a smaller score of the histogram counts as 0
MOST_ELONGATED = 0.35  # shorter side, as a share of the longer one
TINY = 0.25  # side, as a share of the median side of the data set
SMALL_SIDE = 64  # pixels; a shorter side above this is never tiny
COMMON = 0.25  # share of the images beyond which a property is that of the data set


def find(data: Inspected) -> list[Finding]:
    """Return the images that look odd, by kind, and the files that cannot be read."""
    findings = [
        Finding("broken", (Place("data", None, file.name),), file.reason)
        for file in data.unreadable
    ]
    if data.appearance is None or not len(data.labels):
        return findings
    looks = data.appearance
    sharpness = sharp(looks)
    shorter, longer = data.sizes.min(1).values.double(), data.sizes.max(1).values.double()
    side = (shorter * longer).sqrt()
    aspect = shorter / longer.clamp_min(1)
    least_side = TINY * side.median()
    is_tiny = (side < least_side) & (shorter < SMALL_SIDE)
    measures: list[tuple[str, Tensor, Tensor, str]] = [
        ("low information", looks.entropy < LEAST_ENTROPY, looks.entropy / LEAST_ENTROPY, ""),
        ("blurry", sharpness < LEAST_SHARP, sharpness / LEAST_SHARP, ""),
        ("dark", looks.bright < DARKEST, looks.bright / DARKEST, ""),
        ("light", looks.dark > LIGHTEST, (1 - looks.dark) / (1 - LIGHTEST), ""),
        ("grey", looks.is_grey, torch.zeros(len(looks.is_grey)), ""),
        ("odd aspect", aspect < MOST_ELONGATED, aspect / MOST_ELONGATED, ""),
        ("tiny", is_tiny, side / least_side.clamp_min(1e-9), ""),
    ]
    for kind, is_odd, share, _ in measures:
        if is_odd.double().mean() > COMMON:
            continue
        for position in is_odd.nonzero().flatten().tolist():
            place = Place("data", position, data.names[position])
            score = float((1 - share[position]).clamp(0, 1))
            findings.append(Finding(kind, (place,), _words(kind, data, position), score))
    return findings


def sharp(looks: Appearance) -> Tensor:
    """Return how sharp images are, from 0 to 1, float [n]: the score of cleanvision."""
    edges = 1 - (-SHARPNESS_OF_EDGES * looks.edges).exp()
    contrast = 1 - (-SHARPNESS_OF_EDGES * looks.contrast).exp()
    contrast = contrast.where(contrast > LEAST_CONTRAST, torch.zeros(()))
    return (edges + contrast).clamp_max(1)


def _words(kind: str, data: Inspected, position: int) -> str:
    looks = data.appearance
    assert looks is not None
    height, width = data.sizes[position].tolist()
    sentences = {
        "low information": f"{float(looks.entropy[position]):.1f} bits per value",
        "blurry": f"few edges, spread {float(looks.edges[position]):.0f} of 255",
        "dark": f"99% of the pixels are darker than {float(looks.bright[position]):.0%} of white",
        "light": f"95% of the pixels are lighter than {float(looks.dark[position]):.0%} of white",
        "grey": "no colours, among images with colours",
        "odd aspect": f"{width}x{height} pixels",
        "tiny": f"{width}x{height} pixels, far fewer than the other images",
    }
    return sentences[kind]
