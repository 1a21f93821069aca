"""Which formats are opened; oracle: files that begin as the formats prescribe."""

from __future__ import annotations

import subprocess
from io import BytesIO

import pytest
from PIL import Image

from episodes.datasets.decoding.decode import decode
from episodes.datasets.decoding.image_formats import broken_image_errors, why_skipped
from episodes.datasets.decoding.opening import opened
from episodes.types import Decoding

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(x) (w) file\n%%EOF\n"


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "TGA"])
def test_formats_of_pillow_are_opened(format_: str) -> None:
    stream = BytesIO()
    Image.new("RGB", (5, 4)).save(stream, format_)
    with opened(stream.getvalue()) as image:
        assert (image.format, image.size) == (format_, (5, 4))


def test_eps_never_starts_ghostscript(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[object] = []
    monkeypatch.setattr(subprocess, "Popen", started.append)
    with pytest.raises(broken_image_errors()) as error:
        decode(EPS, Decoding(8))
    assert why_skipped(EPS, error.value).startswith("an EPS drawing")
    assert not started
