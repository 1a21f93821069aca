"""What a model file says about itself: how it was made, how good it is, where its parts are from.

Imports nothing heavy, so that `fewshot show` answers at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from fewshot.config.origins import Origin


@dataclass(frozen=True)
class Quality:
    """How good a classifier is, by cross-validation of its labelled images alone.

    Attributes:
        accuracy: share of the held-out images that are classified correctly; None with one image a
            class.
        low, high: its 95% interval.
        ece: expected calibration error.
        n_images: images that were held out.
        n_folds: folds of the cross-validation.
        confused: the two classes that are confused most often, and how often; None if none are.
        seconds: seconds of the cross-validation.
    """

    accuracy: float | None
    low: float | None
    high: float | None
    ece: float | None
    n_images: int
    n_folds: int
    confused: tuple[str, str, int] | None
    seconds: float


@dataclass(frozen=True)
class Card:
    """The card of a model.

    Attributes:
        created: UTC time in ISO format.
        version: version of this package.
        method: how the head was fitted, such as "probe".
        choice: why this method, in one or two sentences; empty if the user named it.
        class_counts: labelled images of each class, in the order of the classes.
        origins: the weights of the networks.
        quality: how good it is.
        data: name of the data set.
        data_fingerprint: hash of its images; empty if images were added later.
        seconds: seconds of the whole fit.
        notes: sentences that a user must know.
        forecast: sentences about how many more labels would help.
        integer_classes: whether the labels were integers in Python, of which the class names are
            the digits.
    """

    created: str
    version: str
    method: str
    choice: str
    class_counts: dict[str, int]
    origins: tuple[Origin, ...]
    quality: Quality
    data: str
    data_fingerprint: str
    seconds: float
    notes: tuple[str, ...] = ()
    forecast: tuple[str, ...] = field(default=())
    integer_classes: bool = False
