"""Feature extractors by name: images float [n, 3, h, w] in [0, 1] -> features float [n, d].

Resizing, normalisation and precision happen inside a backbone.
"""

from fewshot.backbones.backbone import Backbone, chunk_size, embed, hold_batch_norm
from fewshot.backbones.concatenated import concatenate
from fewshot.backbones.default_network import default
from fewshot.backbones.factory import (
    OWN,
    OWN_INPUT_SIZE,
    build,
    deciding_values,
    describe,
    from_file,
    has_pretrained_weights,
    input_side,
    origins,
    resolved_options,
    weights_file,
    weights_files,
)
from fewshot.backbones.finish import FeatureMap, Finish
from fewshot.backbones.networks import Body

__all__ = [
    "OWN",
    "OWN_INPUT_SIZE",
    "Backbone",
    "Body",
    "FeatureMap",
    "Finish",
    "build",
    "chunk_size",
    "concatenate",
    "deciding_values",
    "default",
    "describe",
    "embed",
    "from_file",
    "has_pretrained_weights",
    "hold_batch_norm",
    "input_side",
    "origins",
    "resolved_options",
    "weights_file",
    "weights_files",
]
