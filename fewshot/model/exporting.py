"""Write a model file as an ONNX file, and compare the two on images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from episodes.datasets.source import few
from fewshot import progress
from fewshot.model import file_format, hub, image_listing, onnx_export
from fewshot.model.onnx_export import Differences


def export(model: Path, onnx: Path, images: Sequence[Path]) -> Differences | None:
    """Write a model file as an ONNX file.

    Args:
        model: the model file, or hf:user/name for the one in a repository of the hub.
        onnx: the file to write.
        images: images, and folders of images, on which both are compared.

    Returns:
        How much the answers differ; None if there are no images.

    Raises:
        UserError: a file cannot be read or written, or a package is missing.
    """
    files = image_listing.listing(images) if images else None
    path = hub.local_file(model)
    progress.update("loading the model")
    classifier = file_format.load(path, "cpu")
    progress.update("exporting")
    onnx_export.export(classifier, onnx)
    if files is None:
        return None
    progress.update(f"comparing on {len(files.names):,} images")
    return onnx_export.check(classifier, onnx, [files.folder / name for name in files.names])


def text(differences: Differences) -> str:
    """Return what a comparison found, in lines."""
    lines = [
        f"compared on {differences.n_images:,} images: probabilities differ by at most "
        f"{differences.probability:.1e}, known scores by {differences.known_score:.1e}; "
        f"{len(differences.changed)} images have another class or refusal"
    ]
    for files, what in ((differences.changed, "another answer"), (differences.skipped, "skipped")):
        if files:
            lines.append(f"{what}: {few(list(files))}")
    return "\n".join(lines)
