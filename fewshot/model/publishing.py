"""Put a model into a repository of the hub: the file, an ONNX file of it, and its card."""

from __future__ import annotations

import logging
import tempfile
from dataclasses import replace
from pathlib import Path

from fewshot import progress
from fewshot.errors import UserError
from fewshot.model import card_page, exporting, hub, model_card

log = logging.getLogger("fewshot")


def publish(model: Path, repository: str, *, public: bool = False) -> str:
    """Write a model file, its ONNX file and its card to a repository of the hub, in one commit.

    Where it cannot be exported to ONNX, the reason is logged and the repository gets no ONNX file.

    Args:
        model: the model file, or hf:user/name for the one in another repository.
        repository: hf:user/name.
        public: whether anybody may read the repository if it is new.

    Returns:
        The address of the repository.

    Raises:
        UserError: the model cannot be read, or the repository cannot be written.
    """
    hub.check_upload(repository)
    file = hub.local_file(model)
    about = replace(model_card.read(file), path=Path(repository))
    with tempfile.TemporaryDirectory(prefix="fewshot-") as folder:
        onnx = Path(folder) / hub.ONNX
        progress.update("exporting")
        try:
            exporting.export(file, onnx, [])
        except UserError as error:
            log.warning("%s gets no %s: %s", repository, hub.ONNX, error)
        has_onnx = onnx.exists()
        files: dict[str, Path | bytes] = {hub.MODEL: file, **({hub.ONNX: onnx} if has_onnx else {})}
        files[hub.CARD] = card_page.markdown(about, has_onnx=has_onnx).encode()
        message = f"Model of fewshot {about.card.version}: {len(about.classes)} classes"
        return hub.upload(repository, files, public=public, message=message)
