"""Augmentations of a batch: random for each image, vectorised, on the device of the images.

Each augmentation takes `images`, float [n, c, h, w] in [0, 1], and a generator on their device, and
returns new images of the same shape in [0, 1]. Augmentations that mix labels take (images, labels,
generator, n_classes) and return soft labels too. `build` turns a configured list into one function.
"""

from episodes.augment.colour import contrast, grey, jitter, noise
from episodes.augment.degradation import blur, jpeg
from episodes.augment.erasing import blacken_border, cutout, erase
from episodes.augment.geometry import alternating_flip, crop, flip, rotate, shift_wrap, translate
from episodes.augment.mixing import cutmix, mixup
from episodes.augment.pipeline import AUGMENTATIONS, Augment, build, check, mixes_labels, spans
from episodes.augment.policy import auto_augment
from episodes.augment.warping import affine, elastic, stroke_width

__all__ = [
    "AUGMENTATIONS",
    "Augment",
    "affine",
    "alternating_flip",
    "auto_augment",
    "blacken_border",
    "blur",
    "build",
    "check",
    "contrast",
    "crop",
    "cutmix",
    "cutout",
    "elastic",
    "erase",
    "flip",
    "grey",
    "jitter",
    "jpeg",
    "mixes_labels",
    "mixup",
    "noise",
    "rotate",
    "shift_wrap",
    "spans",
    "stroke_width",
    "translate",
]
