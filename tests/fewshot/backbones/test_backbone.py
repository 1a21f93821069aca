"""The wrapper of every body: resizing, precision and chunks, repeated by hand."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from episodes.augment import warping
from fewshot import backbones
from tests.fewshot.backbones.seeded_build import build

MEAN = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
STD = torch.tensor([0.229, 0.224, 0.225])[:, None, None]


def test_images_of_any_size_are_resized_and_normalised_inside() -> None:
    backbone = build("conv4", options={"width": 8})
    images = torch.rand(3, 3, 48, 40)
    smaller = F.interpolate(images, (32, 32), mode="bilinear", antialias=True)
    with torch.no_grad():
        by_hand = backbone.body((smaller - MEAN) / STD)
        torch.testing.assert_close(backbone(images), by_hand)


def test_the_side_of_training_images_is_for_training_alone() -> None:
    backbone = build("resnet", options={"width": 8, "norm": "group"})
    images = torch.rand(3, 3, 32, 32)
    backbone.train_side = 16
    smaller = F.interpolate(images, (16, 16), mode="bilinear", antialias=True)
    with torch.no_grad():
        in_evaluation = backbone(images)
        torch.testing.assert_close(in_evaluation, backbone.body((images - MEAN) / STD))
        in_training = backbone.train()(images)
        torch.testing.assert_close(in_training, backbone.body((smaller - MEAN) / STD))


def test_chunks_give_what_one_batch_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone, images = build("conv4", options={"width": 8}), torch.rand(70, 3, 32, 32)
    whole = backbone(images)
    batch_sizes: list[int] = []
    backbone.body.register_forward_pre_hook(lambda body, inputs: batch_sizes.append(len(inputs[0])))
    monkeypatch.setattr(backbones.backbone, "CHUNK_PIXELS", 1)
    with torch.no_grad():
        torch.testing.assert_close(backbones.embed(backbone, images), whole)
    assert batch_sizes == [16, 16, 16, 16, 6]  # 16 is the least
    assert backbones.embed(backbone, images).requires_grad
    assert batch_sizes[5:] == [70]  # a graph needs the whole batch


def test_a_chunk_has_a_fixed_number_of_pixels() -> None:
    backbone = build("conv4", options={"width": 8})
    sizes = [backbones.chunk_size(backbone, torch.rand(1, 3, side, side)) for side in (8, 32, 64)]
    assert sizes == [512, 512, 128]  # the network itself works on 32x32 at least


def test_half_precision_stays_inside_the_backbone() -> None:
    backbone = build("resnet", options={"width": 8})
    images = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        reference = backbone(images)
        backbone.set_compute("bfloat16", channels_last=True)
        features = backbone(images)
    assert features.dtype == torch.float32
    assert not torch.equal(features, reference)
    torch.testing.assert_close(features, reference, rtol=0.05, atol=0.05)
    backbone.set_compute("float32", channels_last=False)
    assert backbone.double()(images.double()).dtype == torch.float64


def test_the_memory_layout_changes_rounding_alone() -> None:
    backbone = build("resnet", options={"width": 8})
    other = copy.deepcopy(backbone)
    other.set_compute("float32", channels_last=True)
    images = torch.rand(4, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(other(images), backbone(images), rtol=1e-4, atol=1e-5)
    weight = other.body.stages[1][0].conv1.weight
    assert weight.is_contiguous(memory_format=torch.channels_last)


def test_held_batch_norm_uses_its_statistics_and_keeps_them() -> None:
    backbone = build("conv4", options={"width": 8})
    images = torch.rand(4, 3, 32, 32)
    expected = backbone(images)
    backbones.hold_batch_norm(backbone.train())
    state = {name: value.clone() for name, value in backbone.state_dict().items()}
    assert torch.equal(backbone(images), expected)
    assert all(torch.equal(value, state[name]) for name, value in backbone.state_dict().items())
    assert backbone.training  # the norms alone are in evaluation mode


def test_a_body_without_initialisation_ignores_training_images() -> None:
    backbone = build("conv4", options={"width": 8})
    backbone.body.initialise = lambda images: pytest.fail("it was called")
    backbone.initialise(torch.rand(4, 3, 32, 32))


def test_class_logits_are_those_of_the_pretraining() -> None:
    backbone = build("mini-resnet", weights="pretrained")
    finish, images = backbone.finish, torch.rand(3, 3, 32, 32)
    assert isinstance(finish, backbones.Finish)
    with torch.no_grad():
        by_hand = nn.functional.linear(
            backbone.body((images - MEAN) / STD), finish.weight, finish.bias
        )
        torch.testing.assert_close(backbone.class_logits(images), by_hand)


@pytest.mark.gpu
@pytest.mark.parametrize(
    "name",
    ["conv4", "mini-resnet", "speed-cnn", "vit", "dropout-cnn", "mlp", "resnet12", "resnet18"],
)
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_gpu_gives_what_the_cpu_gives(name: str, channels_last: bool, precision: str) -> None:
    backbone = build(name, input_size=32, views="flip")
    images = torch.rand(8, 3, 40, 40)
    backbone.initialise(images)
    with torch.no_grad():
        reference = backbone(images)
        backbone.to("cuda").set_compute(precision, channels_last)  # type: ignore[arg-type]
        features = backbone(images.cuda()).cpu()
    scale = reference.abs().max()
    tolerance = 0.05 if precision == "bfloat16" else 5e-3  # convolutions use TF32 by default
    torch.testing.assert_close(features / scale, reference / scale, rtol=0, atol=tolerance)


@pytest.mark.gpu
def test_whitening_on_a_gpu_is_that_of_the_cpu() -> None:
    images = torch.rand(64, 3, 32, 32)
    cpu, gpu = build("speed-cnn"), build("speed-cnn").to("cuda")
    cpu.initialise(images)
    gpu.initialise(images.cuda())
    filters = [net.body.stages[0][0].weight.cpu().flatten(1) for net in (cpu, gpu)]
    products = [weight.T @ weight for weight in filters]  # the sign of a direction is arbitrary
    torch.testing.assert_close(products[1], products[0], rtol=1e-3, atol=1e-3)


def test_centred_images_give_the_same_features_wherever_they_are() -> None:
    settings = {"options": {"width": 8, "norm": "group"}}
    plain, centred = build("conv4", **settings), build("conv4", centre=True, **settings)
    image = torch.zeros(1, 3, 32, 32)
    image[:, :, 4:18, 6:20] = torch.rand(1, 3, 14, 14)
    moved = image.roll((7, -3), (2, 3))
    with torch.no_grad():
        torch.testing.assert_close(centred(moved), centred(image), rtol=1e-3, atol=1e-3)
        assert not torch.allclose(plain(moved), plain(image), rtol=1e-2, atol=1e-2)
        by_hand = plain(warping.centred(image))
        torch.testing.assert_close(centred(image), by_hand)
        torch.testing.assert_close(centred.train()(image), by_hand)
