"""Compare an exported ONNX file with its model in PyTorch, from the pixels of photos to answers.

The photos are validation images of imagenette160, already read from their files. The ONNX file
takes one photo after the other, and resizes it in its graph. The model takes squares that Pillow
resizes, one at a time or all at once. The ways are timed in turns, on one thread.

    taskset -c 0 python -m benchmarks.onnx_vs_torch [--rounds 5]
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import common

if TYPE_CHECKING:
    import numpy as np

N_PHOTOS = 16
NETWORKS: dict[str, dict[str, Any]] = {
    "mini-resnet": {"views": "flip-crop"},
    "tf_efficientnet_lite2": {"input_size": 224},
}


def photos() -> list[np.ndarray]:
    """Return the pixels of photos, uint8 [h, w, 3]."""
    from episodes.datasets.decoding.decode import decode_upright
    from episodes.types import Decoding

    files = sorted(Path(os.environ["FEWSHOT_DATA"], "imagenette160", "val").glob("*/*"))
    return [decode_upright(file, Decoding(224)) for file in files[:: len(files) // N_PHOTOS]]


def measure(name: str, rounds: int) -> dict[str, Any]:
    """Return photos per second of each way, and their ratios."""
    import onnxruntime
    import torch

    from episodes.datasets.decoding.decode import decode
    from episodes.types import Decoding, ImageSet
    from fewshot import backbones
    from fewshot.config import BackboneSettings
    from fewshot.config.fitting import FitConfig
    from fewshot.model import onnx_export
    from fewshot.model.fit import fit

    network = BackboneSettings(name=name, weights="pretrained", **NETWORKS[name])
    decoding = Decoding(backbones.input_side(network))
    pixels = photos()

    def square(image: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(decode(image, decoding).copy()).permute(2, 0, 1)

    images = torch.stack([square(image) for image in pixels])
    labels = torch.arange(len(images)) % 2
    labelled = ImageSet("photos", images, labels, ("a", "b"), "", {}, decoding=decoding)
    model = fit(labelled, FitConfig(method="probe", backbone=network), device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        onnx_export.export(model, path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(path.read_bytes(), options)

    @torch.no_grad()
    def probabilities(squares: torch.Tensor) -> torch.Tensor:
        return model.log_probabilities(model.backbone(squares / 255)).exp()

    def exported() -> None:
        for image in pixels:
            session.run(["probabilities"], {"images": image[None]})

    def one_at_a_time() -> None:
        for image in pixels:
            probabilities(square(image)[None])

    def all_at_once() -> None:
        probabilities(torch.stack([square(image) for image in pixels]))

    ways = {"onnx": exported, "model, one at a time": one_at_a_time, "model, at once": all_at_once}
    for way in ways.values():
        way()  # the first call allocates memory
    return common.in_turns({name: (way, len(pixels)) for name, way in ways.items()}, rounds)


def main() -> None:
    """Measure every network and write the result."""
    options = common.parser(__doc__, "onnx_vs_torch", rounds=5).parse_args()
    import torch

    torch.set_num_threads(1)
    result = {
        "what": "photos of imagenette160 per second, from pixels to probabilities, one thread",
        "n": options.rounds,
        "photos": len(photos()),
        "networks": {name: measure(name, options.rounds) for name in NETWORKS},
        **common.machine(),
    }
    common.write(options.out, result, ("networks",))


if __name__ == "__main__":
    main()
