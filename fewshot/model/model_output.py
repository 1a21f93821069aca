"""Where a model is written: never over a file of another kind, or to a repository of the hub."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import NamedTuple

from fewshot.errors import UserError
from fewshot.model import file_format, hub, model_card, model_header, publishing
from fewshot.model.classifier import ImageClassifier
from fewshot.model.model_card import ModelFile


class Saved(NamedTuple):
    """Where a classifier was written, a file or an address, and what its model file says."""

    place: str
    model_file: ModelFile


def check_replaceable(path: Path) -> None:
    """Raise UserError unless a model file may be written to a path.

    A new file, or one in the place of another model file, may be written, and a repository
    hf:user/name that holds nothing else.
    """
    if hub.is_hub(path):
        hub.check_upload(path.as_posix())
        return
    if path.is_dir():
        raise UserError(
            f"--out {path} is a folder: name the file to write, such as {path / 'model.fewshot'}."
        )
    if not path.parent.is_dir():
        raise UserError(f"--out {path}: the folder {path.parent} does not exist: make it first.")
    if not path.exists():
        return
    try:
        model_header.read(path)
    except UserError:
        raise UserError(
            f"--out {path}: this file exists and is not a model file: name another, or remove it."
        ) from None


def save(
    classifier: ImageClassifier,
    out: Path,
    *,
    standalone: bool | None = None,
    public: bool = False,
) -> Saved:
    """Write a classifier to a file, or with its card and ONNX file to a repository of the hub.

    If the upload fails, the model file stays on this machine.

    Args:
        classifier: the classifier.
        out: the file to write or to replace, or hf:user/name.
        standalone: as for `file_format.save`.
        public: whether anybody may read the repository if it is new.

    Raises:
        UserError: it cannot be written.
    """
    if not hub.is_hub(out):
        file_format.save(classifier, out, standalone=standalone)
        return Saved(str(out), model_card.read(out))
    folder = Path(tempfile.mkdtemp(prefix="fewshot-"))
    file = folder / hub.MODEL
    try:
        file_format.save(classifier, file, standalone=standalone)
        address = publishing.publish(file, out.as_posix(), public=public)
    except UserError as error:
        if not file.exists():
            raise
        again = f"fewshot export {file} --out {out.as_posix()}"
        raise UserError(f"{error} The model is in {file}; later, use `{again}`.") from error
    saved = Saved(address, replace(model_card.read(file), path=out))
    shutil.rmtree(folder, ignore_errors=True)
    return saved


def free_name(path: Path) -> Path:
    """Return the first of model-2.fewshot, model-3.fewshot and so on that does not exist."""
    return next(
        place
        for number in count(2)
        if not (place := path.with_name(f"{path.stem}-{number}{path.suffix}")).exists()
    )
