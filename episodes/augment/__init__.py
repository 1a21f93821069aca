"""Batched augmentations: random per image, vectorised, on the images' device.

Each takes `images` float [n, c, h, w] in [0, 1] and a generator on their device, and returns images of the
same shape in [0, 1]; its input stays as it is. Those that mix labels take (images, labels, generator,
n_classes) and return soft labels too. `build` makes one function of a configured list of them.
"""

from episodes.augment.colour import contrast, grey, jitter, noise
from episodes.augment.degradation import blur, jpeg
from episodes.augment.geometry import alternating_flip, crop, flip, rotate, shift_wrap, translate
from episodes.augment.erasing import blacken_border, cutout, erase
from episodes.augment.mixing import cutmix, mixup
from episodes.augment.policy import auto_augment
from episodes.augment.pipeline import AUGMENTATIONS, build, check, mixes_labels, spans

__all__ = [
    "AUGMENTATIONS",
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
    "translate",
]
