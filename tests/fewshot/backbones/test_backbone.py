from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from episodes.errors import UserError
from episodes.rng import seeded
from fewshot import backbones
from fewshot.config import BackboneSettings, Views
from fewshot.learners import scratch
from fewshot.learners.base import Task


def build(name: str, **more) -> backbones.Backbone:
    with seeded(0, "test"):
        return backbones.build(BackboneSettings(name=name, **more)).eval()


def conv(c_in: int, c_out: int, bias: bool = True) -> int:
    return 9 * c_in * c_out + bias * c_out


@pytest.mark.parametrize("name", sorted(backbones.OWN))
def test_the_mean_place_of_the_last_level_is_the_features(name: str) -> None:
    body = build(name).body
    images = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        features, levels = body(images), body.levels(images)
    torch.testing.assert_close(levels[0].mean(1), features)
    assert all(each.ndim == 3 for each in levels)
    if name == "mini-resnet":
        assert [tuple(each.shape) for each in levels] == [(3, 2, 448), (3, 2, 320)]
        assert not torch.allclose(levels[0][:, 0], levels[0][:, 1])


@pytest.mark.parametrize(
    ("name", "options", "parameters"),
    [
        ("conv4", {}, conv(3, 64, False) + 3 * conv(64, 64, False) + 4 * 2 * 64 + 256 * 10 + 10),
        # ResNet18 of torchvision has 11,689,512; less its 7x7 stem and 1000-way head, plus ours
        (
            "resnet",
            {"width": 64, "blocks": 2},
            11_689_512 - 3 * 64 * 49 - 513 * 1000 + 3 * 64 * 9 + 513 * 10,
        ),
    ],
)  # fmt: skip
def test_parameter_counts(name: str, options: dict, parameters: int) -> None:
    learner = scratch.Scratch(build(name, options=options), Task(10), scratch.Options())
    assert sum(each.numel() for each in learner.parameters()) == parameters


@pytest.mark.parametrize(
    "name", [*backbones.OWN, "resnet18", "convnext_atto", "mobilenetv3_small_100"]
)
def test_features_and_stages(name: str) -> None:
    backbone = build(name, input_size=32)
    with torch.no_grad():
        features = backbone(torch.rand(2, 3, 32, 32))
    assert features.shape == (2, backbone.n_features)
    named = [parameter for stage in backbone.stages for parameter in stage]
    assert sorted(named) == sorted(name for name, _ in backbone.named_parameters())
    assert len(backbone.stages) >= 2
    dimensions = {name: parameter.ndim for name, parameter in backbone.named_parameters()}
    assert all(
        max(dimensions[name] for name in stage) > 1 for stage in backbone.stages
    )  # unfreezing one does something


def test_images_of_any_size_are_resized_and_normalised_inside() -> None:
    backbone = build("conv4", options={"width": 8})
    images = torch.rand(3, 3, 48, 40)
    smaller = torch.nn.functional.interpolate(images, (32, 32), mode="bilinear", antialias=True)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.no_grad():
        by_hand = backbone.body((smaller - mean[:, None, None]) / std[:, None, None])
        torch.testing.assert_close(backbone(images), by_hand)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", ["conv4", "resnet18"])
def test_two_views_are_the_mean_of_an_image_and_its_mirror_image(name: str, precision: str) -> None:
    more = {"options": {"width": 8, "norm": "group"}} if name == "conv4" else {}
    one, two = build(name, input_size=32, **more), build(name, input_size=32, views="flip", **more)
    for backbone in (one, two):
        backbone.set_compute(precision, True)
    images = torch.rand(3, 3, 40, 40)
    with torch.no_grad():
        expected = (one(images) + one(images.flip(-1))) / 2
        torch.testing.assert_close(
            two(images), expected, rtol=2e-2 if precision == "bfloat16" else 1e-4, atol=2e-3
        )
        assert not torch.allclose(expected, one(images), rtol=1e-2, atol=1e-3)
        if name == "conv4":  # no batch statistics that would tell training from evaluation
            assert torch.equal(two.train()(images), one(images))


@pytest.mark.parametrize("crop", [1.0, 0.8])
def test_four_views_are_of_the_image_and_its_middle_and_of_their_mirror_images(crop: float) -> None:
    more = {"options": {"width": 8, "norm": "group"}}
    one, four = build("conv4", **more), build("conv4", views="flip-crop", crop=crop, **more)
    images = torch.rand(3, 3, 40, 40)
    with torch.no_grad():
        seen = images if crop == 1 else images[..., 4:36, 4:36]
        middle = (
            seen[..., 2:37, 2:37] if crop == 1 else seen[..., 2:30, 2:30]
        )  # 7/8 of 40 pixels, and of 32
        expected = sum(one(view) + one(view.flip(-1)) for view in (seen, middle)) / 4
        torch.testing.assert_close(four(images), expected, rtol=1e-4, atol=1e-5)
        assert torch.equal(four.train()(images), one(images))


@pytest.mark.parametrize(
    "pixels", [None, 1]
)  # all views at once, and 16 images at once: 5, 5 and 2 views
def test_twelve_views_are_of_the_image_its_middle_and_corners_and_of_their_mirror_images(
    monkeypatch: pytest.MonkeyPatch, pixels: int | None
) -> None:
    more = {"options": {"width": 8, "norm": "group"}}
    one, twelve = build("conv4", **more), build("conv4", views="flip-crops", **more)
    images = torch.rand(3, 3, 40, 40)
    places = [(2, 2), (0, 0), (0, 5), (5, 0), (5, 5)]  # of crops of 35 pixels
    if pixels is not None:
        monkeypatch.setattr(backbones.backbone, "CHUNK_PIXELS", pixels)
    with torch.no_grad():
        seen = [images, *(images[..., top : top + 35, left : left + 35] for top, left in places)]
        expected = sum(one(view) + one(view.flip(-1)) for view in seen) / 12
        torch.testing.assert_close(twelve(images), expected, rtol=1e-4, atol=1e-5)
        assert torch.equal(twelve.train()(images), one(images))


@pytest.mark.parametrize("views", backbones.views.N_VIEWS)
def test_the_number_of_views_is_what_goes_through_the_body(views: Views) -> None:
    backbone = build("conv4", views=views, options={"width": 8})
    seen: list[int] = []
    backbone.body.register_forward_pre_hook(lambda body, inputs: seen.append(len(inputs[0])))
    backbone(torch.rand(3, 3, 40, 40))
    assert sum(seen) == 3 * backbone.n_views


def test_embed_chunks_give_what_one_batch_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone, images = build("conv4", options={"width": 8}), torch.rand(70, 3, 32, 32)
    whole = backbone(images)
    monkeypatch.setattr(backbones.backbone, "CHUNK_PIXELS", 1)  # chunks of 16, the fewest
    with torch.no_grad():
        torch.testing.assert_close(backbones.embed(backbone, images), whole)
    assert backbones.embed(backbone, images).requires_grad
    features = torch.rand(5, 7)
    assert backbones.embed(backbone, features) is features


def test_own_weights_from_a_file(tmp_path) -> None:
    source = build("resnet", options={"width": 8})
    save_file(source.body.state_dict(), tmp_path / "w.safetensors")
    with seeded(1, "other"):
        loaded = backbones.build(
            BackboneSettings(
                name="resnet", options={"width": 8}, weights=str(tmp_path / "w.safetensors")
            )
        ).eval()
    images = torch.rand(2, 3, 32, 32)
    assert torch.equal(loaded(images), source(images))
    with pytest.raises(UserError, match=r"w\.safetensors does not hold weights of 'conv4'"):
        build("conv4", weights=str(tmp_path / "w.safetensors"))
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "w.safetensors").read_bytes()[:1000])
    with pytest.raises(UserError, match=r"cut\.safetensors cannot be read"):
        build("resnet", options={"width": 8}, weights=str(tmp_path / "cut.safetensors"))
    with pytest.raises(UserError, match="has no pretrained weights"):
        build("resnet", weights="pretrained")


def test_timm_weights_from_a_file(tmp_path) -> None:
    import timm

    source = timm.create_model("resnet10t", num_classes=7).eval()
    save_file(source.state_dict(), tmp_path / "w.safetensors")
    backbone = build("resnet10t", weights=str(tmp_path / "w.safetensors"), input_size=64)
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        by_hand = source.forward_head(
            source.forward_features((images - backbone.mean) / backbone.std), pre_logits=True
        )
        torch.testing.assert_close(backbone(images), by_hand)
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "w.safetensors").read_bytes()[:1000])
    with pytest.raises(UserError, match=r"cut\.safetensors does not hold weights of 'resnet10t'"):
        build("resnet10t", weights=str(tmp_path / "cut.safetensors"))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"name": "resnet19"}, "did you mean 'resnet18'"),
        ({"name": "conv4", "options": {"widht": 3}}, "did you mean 'backbone.options.width'"),
        (
            {"name": "conv4", "options": {"width": "big"}},
            "'backbone.options.width' should be a valid integer, not 'big'",
        ),
        ({"name": "conv4", "options": {"width": -3}}, "not -3"),
        ({"name": "conv4", "options": {"norm": "layer"}}, "should be 'none', 'batch' or 'group'"),
        ({"name": "resnet18", "options": {"no_such": 1}}, "no_such"),
        ({"name": "resnet18", "weights": "nowhere.pth"}, "nowhere.pth does not exist"),
    ],
)
def test_wrong_settings_are_said_in_a_sentence(settings: dict, said: str) -> None:
    with pytest.raises(UserError, match=said):
        backbones.build(BackboneSettings(**settings))


@pytest.mark.parametrize(("size", "kept"), [(32, 28), (33, 29), (64, 56)])
def test_the_middle_is_seen_when_judging_and_all_while_training(size: int, kept: int) -> None:
    whole, middle = (
        build("conv4", options={"norm": "group"}),
        build("conv4", options={"norm": "group"}, crop=0.875),
    )
    images = torch.rand(2, 3, size, size)
    start = (size - kept) // 2
    inside = images[:, :, start : start + kept, start : start + kept]
    with torch.no_grad():
        assert torch.equal(middle(images), whole(inside))
        assert not torch.equal(middle(images), whole(images))
        assert torch.equal(middle.train()(images), whole.train()(images))
