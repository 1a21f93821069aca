"""Spellings that people copy from timm's documentation and from pages of the hub, by hand."""

from __future__ import annotations

import pytest

from fewshot.config import BackboneSettings, backbone_names


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("resnet18", "resnet18"),
        ("resnet18.a1_in1k", "resnet18.a1_in1k"),
        ("timm/resnet18.a1_in1k", "resnet18.a1_in1k"),
        ("timm:resnet18", "resnet18"),
        ("hf-hub:timm/resnet18.a1_in1k", "resnet18.a1_in1k"),
        ("hf_hub:timm/resnet18.a1_in1k", "resnet18.a1_in1k"),
        ("hf://timm/resnet18.a1_in1k", "resnet18.a1_in1k"),
        ("https://huggingface.co/timm/resnet18.a1_in1k", "resnet18.a1_in1k"),
        ("huggingface.co/timm/vit_base_patch16_224.augreg_in1k/tree/main", ""),
        (" timm/resnet18 ", "resnet18"),
        ("hf_hub:bioptimus/H-optimus-0", "hf-hub:bioptimus/H-optimus-0"),
        ("https://hf.co/bioptimus/H-optimus-0?library=timm", "hf-hub:bioptimus/H-optimus-0"),
        ("local-dir:/models/mine", "local-dir:/models/mine"),
        ("google/vit-base-patch16-224", "google/vit-base-patch16-224"),
        ("mini-resnet", "mini-resnet"),
    ],
)
def test_names_as_people_write_them(written: str, meant: str) -> None:
    meant = meant or "vit_base_patch16_224.augreg_in1k"
    assert backbone_names.plain(written) == meant
    assert BackboneSettings(name=written).name == meant


def test_what_is_no_text_is_left_to_the_check_of_types() -> None:
    assert backbone_names.plain(18) == 18
