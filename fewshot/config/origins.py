"""Where the weights of networks come from, for run records and for the cards of models.

Imports nothing heavy.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Origin:
    """Where the weights of a network come from.

    Attributes:
        network: name of the network.
        weights: what they are, in words, such as "tf_efficientnet_lite0, ImageNet".
        source: package, hub repository or file that they were read from; empty for random weights.
        licence: SPDX name; empty if it is not known.
        sha256: hash of the weights: of a .safetensors file without its metadata, of any other file
            as a whole; empty for random weights and for a file that is not at hand.
    """

    network: str
    weights: str
    source: str
    licence: str = ""
    sha256: str = ""
