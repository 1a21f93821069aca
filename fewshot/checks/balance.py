"""Find classes with too few images, and numbers of images that are too unequal."""

from __future__ import annotations

from fewshot.checks.findings import Finding
from fewshot.checks.inspected import Inspected

FEW, UNEQUAL = "too few images", "unequal classes"
FEWEST = 5  # images of a class; fewer leave next to nothing to hold out
MOST_UNEQUAL = 10  # times as many images as the smallest class has


def find(data: Inspected) -> list[Finding]:
    """Return the classes with no or few images, and whether the largest class is far larger."""
    counts = data.labels.bincount(minlength=len(data.classes)).tolist()
    by_class = dict(zip(data.classes, counts, strict=True))
    findings = []
    for name, n in by_class.items():
        if not n:
            findings.append(Finding(FEW, (), f"class {name} has no image that can be read"))
        elif n < FEWEST:
            images = "image" if n == 1 else "images"
            words = f"class {name} has {n} {images}: label at least {FEWEST}"
            findings.append(Finding(FEW, (), words))
    present = {name: n for name, n in by_class.items() if n}
    if present:
        largest = max(present, key=present.__getitem__)
        smallest = min(present, key=present.__getitem__)
        if present[largest] >= MOST_UNEQUAL * present[smallest]:
            words = (
                f"class {largest} has {present[largest]:,} images and class {smallest} has "
                f"{present[smallest]:,}: label more of the small classes, and look at the accuracy "
                "of each class, not at that of all images"
            )
            findings.append(Finding(UNEQUAL, (), words))
    return findings
