"""Images that look odd: dark, light, blurry, grey, of little information, long, or tiny.

Definitions and thresholds are those of cleanvision 0.3 (Apache-2.0), with two exceptions. The sides
of tiny images are compared with those of the other images. Blurry images have little detail for
their contrast; this threshold was chosen on training images of imagenette160 (docs/log.md).

What many images of a data set have in common, such as the greys of a set of X-rays, is no fault of
any one of them and is not reported.
"""

from __future__ import annotations

import torch
from torch import Tensor

from episodes.datasets.folders.folder_tree import is_image
from fewshot.checks.findings import Finding, Place
from fewshot.checks.inspected import Inspected

DARKEST = 0.32  # 99th percentile of the brightness below which an image is dark
LIGHTEST = 0.95  # 5th percentile of the brightness above which it is light
LEAST_ENTROPY = 3.0  # bits
LEAST_DETAIL = 0.125
LEAST_CONTRAST = 2.0  # of 255; an image with less shows nothing, so that it is not blurry
MOST_ELONGATED = 0.35  # shorter side, as a share of the longer one
TINY = 0.25  # side, as a share of the median side of the data set
SMALL_SIDE = 64  # pixels; a shorter side above this is never tiny
COMMON = 0.25  # share of the images beyond which a property is that of the data set


def find(data: Inspected) -> list[Finding]:
    """Return the images that look odd, by kind, and the images that cannot be read.

    Other files, such as notes.txt, are no fault.
    """
    findings = [
        Finding("broken", (Place("data", None, file.name),), file.reason)
        for file in data.unreadable
        if is_image(file.name) or not file.reason.endswith("not an image")
    ]
    if data.appearance is None or not len(data.labels):
        return findings
    for kind, share in _shares(data).items():
        is_odd = share < 1
        if is_odd.double().mean() > COMMON:
            continue
        for position in is_odd.nonzero().flatten().tolist():
            place = Place("data", position, data.names[position])
            score = float((1 - share[position]).clamp(0, 1))
            findings.append(Finding(kind, (place,), _words(kind, data, position), score))
    return findings


def flags(data: Inspected) -> dict[str, Tensor]:
    """Return for each kind whether each image looks odd, bool [n], however common that is."""
    return {kind: share < 1 for kind, share in _shares(data).items()}


def _shares(data: Inspected) -> dict[str, Tensor]:
    """Return for each kind its measure as a share of the threshold, float [n]; odd below 1."""
    looks = data.appearance
    assert looks is not None
    shorter, longer = data.sizes.min(1).values.double(), data.sizes.max(1).values.double()
    side = (shorter * longer).sqrt()
    detail = looks.detail / LEAST_DETAIL
    tiny = side / (TINY * side.median()).clamp_min(1e-9)
    return {
        "low information": looks.entropy / LEAST_ENTROPY,
        "blurry": detail.where(looks.contrast > LEAST_CONTRAST, torch.ones(())),
        "dark": looks.bright / DARKEST,
        "light": (1 - looks.dark) / (1 - LIGHTEST),
        "grey": 1 - looks.is_grey.double(),
        "odd aspect": shorter / longer.clamp_min(1) / MOST_ELONGATED,
        "tiny": tiny.where(shorter < SMALL_SIDE, torch.ones(())),
    }


def _words(kind: str, data: Inspected, position: int) -> str:
    looks = data.appearance
    assert looks is not None
    height, width = data.sizes[position].tolist()
    sentences = {
        "low information": f"{float(looks.entropy[position]):.1f} bits per value",
        "blurry": f"little detail: {float(looks.detail[position]):.2f} of the contrast",
        "dark": f"99% of the pixels are darker than {float(looks.bright[position]):.0%} of white",
        "light": f"95% of the pixels are lighter than {float(looks.dark[position]):.0%} of white",
        "grey": "no colours, among images with colours",
        "odd aspect": f"{width}x{height} pixels",
        "tiny": f"{width}x{height} pixels, far fewer than the other images",
    }
    return sentences[kind]
