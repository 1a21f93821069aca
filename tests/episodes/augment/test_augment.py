import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Callable

import numpy as np
import pytest
import torch
import yaml
from scipy import stats
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms import AutoAugment, AutoAugmentPolicy, InterpolationMode, v2
from torchvision.transforms import functional as tv
from torchvision.transforms.autoaugment import _apply_op

from episodes import augment
from episodes.augment import AUGMENTATIONS, build, check, colour, geometry, mixing, policy
from episodes.errors import UserError

MIXING = ("mixup", "cutmix")
ON_IMAGES = [name for name in AUGMENTATIONS if name not in MIXING]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(n: int, h: int = 24, w: int = 30, dtype: torch.dtype = torch.float32) -> Tensor:
    """Smooth blobs of colour with some grain, all different."""
    blobs = torch.rand(n, 3, 4, 4, generator=seeded(99), dtype=dtype)
    smooth = F.interpolate(blobs, (h, w), mode="bicubic").clamp(0, 1)
    return 0.95 * smooth + 0.05 * torch.rand(n, 3, h, w, generator=seeded(98), dtype=dtype)


def ramps(n: int, h: int, w: int) -> Tensor:
    """Images that hold their pixels' centres: channel 0 the y, channel 1 the x, as fractions of the size."""
    y, x = (torch.arange(h) + 0.5) / h, (torch.arange(w) + 0.5) / w
    image = torch.stack([y[:, None].expand(h, w), x.expand(h, w), torch.zeros(h, w)])
    return image.expand(n, 3, h, w).clone()


def applied(name: str, images: Tensor, generator: torch.Generator) -> Tensor:
    if name in MIXING:
        return AUGMENTATIONS[name](images, torch.arange(len(images)) % 10, generator, 10)[0]
    return AUGMENTATIONS[name](images, generator)


def distinct(images: Tensor) -> set[bytes]:
    return {image.numpy().tobytes() for image in images}


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_every_image_gets_its_own_draw(name: str) -> None:
    images = pictures(2, 48, 56)[:1].repeat(256, 1, 1, 1)
    if name in MIXING:  # copies of one image would mix to that image
        images[::2] = pictures(2, 48, 56)[1]
    results = distinct(applied(name, images, seeded()))
    if name in ("flip", "alternating_flip", "grey"):
        assert len(results) == 2
    else:
        assert len(results) > 50


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_shape_range_type_input_and_seed(name: str, dtype: torch.dtype) -> None:
    images = pictures(16, dtype=dtype)
    images[0], images[1] = 0, 1
    before = images.clone()
    result = applied(name, images, seeded())
    assert result.shape == images.shape
    assert result.dtype == dtype
    assert 0 <= result.min() < result.max() <= 1
    assert torch.equal(images, before)
    assert torch.equal(result, applied(name, images, seeded()))
    assert not torch.equal(result, applied(name, images, seeded(1)))


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_digits_in_grey_are_welcome(name: str) -> None:
    images = pictures(16, 8, 8)[:, :1]
    assert applied(name, images, seeded()).shape == images.shape


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_nothing_looks_at_values_or_leaves_the_device(name: str) -> None:
    # On the meta device there are no values to look at, and tensors made elsewhere cannot be mixed in.
    images, labels = (
        torch.empty(8, 3, 32, 32, device="meta"),
        torch.empty(8, dtype=torch.int64, device="meta"),
    )
    for p in (None, 0.5):
        step = {"name": name} if p is None else {"name": name, "p": p}
        result, _ = build([step], 10)(images, labels, seeded())
        assert result.shape == images.shape
        assert result.is_meta


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_other_images_are_refused(name: str) -> None:
    for images in (torch.zeros(4, 3, 8, 8, dtype=torch.uint8), torch.zeros(3, 8, 8)):
        with pytest.raises(ValueError, match=r"images must be float \[n, c, h, w\]"):
            applied(name, images, seeded())


def test_flip_mirrors_its_share() -> None:
    images = pictures(400)
    result = augment.flip(images, seeded(), p=0.3)
    mirrored = [
        bool((new == old[:, :, range(29, -1, -1)]).all())
        for new, old in zip(result, images, strict=True)
    ]
    kept = [bool((new == old).all()) for new, old in zip(result, images, strict=True)]
    assert sum(mirrored) + sum(kept) == 400
    assert 0.23 < sum(mirrored) / 400 < 0.37


def all_shifts(image: np.ndarray, down: int, right: int, mode: str) -> dict[bytes, tuple[int, int]]:
    """Every shifted version, cut out of numpy's padded image."""
    _, h, w = image.shape
    padded = np.pad(image, [(0, 0), (down, down), (right, right)], mode=mode)  # type: ignore[call-overload]
    return {
        np.ascontiguousarray(
            padded[:, down + y : down + y + h, right + x : right + x + w]
        ).tobytes(): (y, x)
        for y in range(-down, down + 1)
        for x in range(-right, right + 1)
    }


@pytest.mark.parametrize(
    ("function", "options", "reach", "mode"),
    [
        (augment.translate, {"pixels": 2, "border": "reflect"}, (2, 2), "reflect"),
        (augment.translate, {"pixels": 2, "border": "zero"}, (2, 2), "constant"),
        (augment.translate, {"pixels": 6, "border": "reflect"}, (6, 6), "reflect"),
        (augment.shift_wrap, {"fraction": 0.2}, (1, 2), "wrap"),
    ],
)
def test_shifts_are_numpys_and_equally_likely(
    function: Callable[..., Tensor], options: dict[str, object], reach: tuple[int, int], mode: str
) -> None:
    image = pictures(1, 8, 11)
    known = all_shifts(image[0].numpy(), *reach, mode)
    n = 60 * len(known)
    result = function(image.expand(n, -1, -1, -1), seeded(), **options)
    found = [known[picture.numpy().tobytes()] for picture in result]
    counts = [found.count(shift) for shift in known.values()]
    assert stats.chisquare(counts).pvalue > 0.001


def test_translate_reflects_only_what_is_there() -> None:
    with pytest.raises(ValueError, match="shift of 8 pixels needs images larger"):
        augment.translate(pictures(2, 8, 11), seeded(), pixels=8)


def test_crop_reads_a_box_of_the_drawn_area_and_ratio() -> None:
    h, w = 40, 32
    result = augment.crop(ramps(2000, h, w), seeded(), scale=(0.3, 0.8), ratio=(0.5, 1.5))
    # Away from the edges a ramp, read bilinearly, gives exactly the place that was read.
    step_y = (result[:, 0, 21, 9] - result[:, 0, 18, 9]) / 3
    step_x = (result[:, 1, 9, 17] - result[:, 1, 9, 14]) / 3
    box_h, box_w = step_y * h, step_x * w
    area, ratio = box_h * box_w, box_w * w / (box_h * h)
    assert stats.kstest(area, "uniform", (0.3, 0.5)).pvalue > 0.001
    assert 0.499 < ratio.min() < 0.55
    assert 1.3 < ratio.max() < 1.501
    top = result[:, 0, 18, 9] - 18.5 * step_y
    left = result[:, 1, 9, 14] - 14.5 * step_x
    for start, side in ((top, box_h), (left, box_w)):
        assert -1e-4 < start.min() < 0.01
        assert 0.99 < (start + side).max() < 1 + 1e-4


def test_crop_of_the_whole_is_the_image() -> None:
    images = pictures(4, 16, 16)
    torch.testing.assert_close(augment.crop(images, seeded(), (1.0, 1.0), (1.0, 1.0)), images)


def test_crop_agrees_with_interpolation_of_the_cut() -> None:
    image = pictures(1, 16, 16)
    rows, columns = torch.arange(16.0) / 2 + 4.25, torch.arange(16.0) / 2 + 6.25
    ours = geometry.sampled(image, rows[None, :, None], columns[None, None, :], "border")
    theirs = F.interpolate(image[:, :, 4:12, 6:14], (16, 16), mode="bilinear", align_corners=False)
    torch.testing.assert_close(ours[..., 1:-1, 1:-1], theirs[..., 1:-1, 1:-1])


def test_rotate_agrees_with_torchvision() -> None:
    images, degrees = pictures(5, 33, 48), torch.tensor([-170.0, -30.0, 0.0, 10.0, 90.0])
    ours = geometry.rotated(images, degrees)
    for image, angle, result in zip(images, degrees.tolist(), ours, strict=True):
        theirs = tv.rotate(image, angle, tv.InterpolationMode.BILINEAR)
        torch.testing.assert_close(
            result[:, 8:25, 12:36], theirs[:, 8:25, 12:36], atol=1e-4, rtol=0
        )
    assert ours[1, :, 0, 0].max() == 0


def test_rotate_draws_every_angle() -> None:
    result = augment.rotate(ramps(2000, 40, 40), seeded(), degrees=25.0)
    right, down = (
        result[:, 1, 20, 20] - result[:, 1, 20, 19],
        result[:, 1, 20, 20] - result[:, 1, 19, 20],
    )
    angles = torch.rad2deg(torch.atan2(-down, right))
    assert stats.kstest(angles, "uniform", (-25, 50)).pvalue > 0.001


@pytest.mark.parametrize(
    ("ours", "theirs", "factors"),
    [
        (colour.brightened, tv.adjust_brightness, [0.0, 0.6, 1.0, 1.7]),
        (colour.contrasted, tv.adjust_contrast, [0.0, 0.6, 1.0, 3.0]),
        (colour.saturated, tv.adjust_saturation, [0.0, 0.6, 1.0, 1.7]),
        (colour.hue_turned, tv.adjust_hue, [-0.5, -0.13, 0.0, 0.4]),
    ],
)
def test_colours_agree_with_torchvision(
    ours: Callable[[Tensor, Tensor], Tensor],
    theirs: Callable[[Tensor, float], Tensor],
    factors: list[float],
) -> None:
    images = pictures(4)
    images[:, :, 0] = 0.5  # grey: hue undefined
    images[:, 2, 1] = images[:, 1, 1]  # two channels alike
    expected = torch.stack(
        [theirs(image, factor) for image, factor in zip(images, factors, strict=True)]
    )
    torch.testing.assert_close(ours(images, torch.tensor(factors)), expected, atol=2e-5, rtol=0)


def test_jitter_draws_each_factor_from_its_range() -> None:
    grey_half = torch.full((2000, 3, 2, 2), 0.5)
    factors = augment.jitter(grey_half, seeded(), 0.4, 0.0, 0.0, 0.0)[:, 0, 0, 0] / 0.5
    assert stats.kstest(factors, "uniform", (0.6, 0.8)).pvalue > 0.001
    images = torch.tensor([0.4, 0.6, 0.5]).view(1, 3, 1, 1).expand(2000, 3, 1, 1)
    for options in ((0.0, 0.3, 0.0, 0.0), (0.0, 0.0, 0.3, 0.0)):
        result = augment.jitter(images, seeded(), *options)
        factors = (result[:, 1] - result[:, 0]).flatten() / 0.2
        assert stats.kstest(factors, "uniform", (0.7, 0.6)).pvalue > 0.001
    turned = augment.jitter(images, seeded(), 0.0, 0.0, 0.0, 0.05)
    blue = turned[:, 2].flatten()  # a sixth of the circle moves it by 0.2; the start is 150 degrees
    assert stats.kstest(blue, "uniform", (0.44, 0.12)).pvalue > 0.001
    assert torch.equal(augment.jitter(images, seeded(), 0.0, 0.0, 0.0, 0.0), images)


def test_contrast_grows_by_up_to_most() -> None:
    image = pictures(1)[0] * 0.1 + 0.45  # too flat to be clipped
    result = augment.contrast(image.expand(1000, -1, -1, -1), seeded(), most=2.0)
    factors = (result[:, 0, 3, 4] - result[:, 0, 20, 9]) / (image[0, 3, 4] - image[0, 20, 9])
    assert stats.kstest(factors, "uniform", (1, 2)).pvalue > 0.001
    for i in range(20):
        torch.testing.assert_close(
            result[i], tv.adjust_contrast(image, float(factors[i])), atol=1e-4, rtol=0
        )


def test_grey_agrees_with_torchvision() -> None:
    images = pictures(300)
    expected = tv.rgb_to_grayscale(images, 3)
    result = augment.grey(images, seeded(), p=0.3)
    taken = torch.isclose(result, expected).flatten(1).all(1)
    assert torch.equal(result[~taken], images[~taken])
    assert 0.22 < taken.float().mean() < 0.38


def test_noise_has_the_deviation_it_should() -> None:
    result = augment.noise(torch.full((1000, 1, 30, 30), 0.5), seeded(), most=0.1) - 0.5
    deviations = result.std((1, 2, 3))
    assert abs(result.mean()) < 1e-3
    assert 0 <= deviations.min() < 0.002
    assert 0.098 < deviations.max() < 0.105


def test_blacken_border_blackens_both_ends_of_each_axis() -> None:
    known = {}
    for high in range(3):
        for wide in range(5):
            frame = np.zeros((1, 10, 20), np.float32)
            for row in range(high, 10 - high):
                for column in range(wide, 20 - wide):
                    frame[0, row, column] = 1
            known[frame.tobytes()] = high, wide
    found = [
        known[image.numpy().tobytes()]
        for image in augment.blacken_border(torch.ones(900, 1, 10, 20), seeded())
    ]
    assert stats.chisquare([found.count(widths) for widths in known.values()]).pvalue > 0.001
    assert (
        augment.blacken_border(torch.ones(300, 1, 10, 20), seeded(), fraction=0.5)
        .sum((1, 2, 3))
        .min()
        == 0
    )


@pytest.mark.parametrize(("size", "side"), [(3, 3), (0.5, 4), (1, 1), (1.0, 8)])
def test_cutout_is_a_square_about_any_pixel(size: float, side: int) -> None:
    known = set()
    for y in range(8):
        for x in range(9):
            image = np.ones((1, 8, 9), np.float32)
            for row in range(max(0, y - side // 2), min(8, y - side // 2 + side)):
                for column in range(max(0, x - side // 2), min(9, x - side // 2 + side)):
                    image[0, row, column] = 0
            known.add(image.tobytes())
    assert distinct(augment.cutout(torch.ones(2000, 1, 8, 9), seeded(), size=size)) == known


def test_cutout_can_fill_with_the_mean_colour() -> None:
    images = pictures(50)
    black, mean = (
        augment.cutout(images, seeded(), 8),
        augment.cutout(images, seeded(), 8, fill="mean"),
    )
    for old, hidden, filled in zip(images, black, mean, strict=True):
        hole = (hidden == 0).all(0)
        torch.testing.assert_close(
            filled[:, hole], old.mean((1, 2))[:, None].expand(3, int(hole.sum()))
        )
        assert torch.equal(filled[:, ~hole], old[:, ~hole])


def test_erase_takes_whole_boxes_of_the_drawn_area() -> None:
    h, w, n = 64, 48, 1500
    holes = (
        augment.erase(torch.ones(n, 1, h, w), seeded(), p=0.7, area=(0.1, 0.3), ratio=(0.5, 2.0))[
            :, 0
        ]
        == 0
    )
    areas, ratios, places = [], [], set()
    for hole in holes:
        rows, columns = (hole.any(axis).nonzero().flatten().tolist() for axis in (1, 0))
        if rows:
            height, width = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
            assert hole.sum() == height * width
            areas.append(height * width / (h * w))
            ratios.append(math.log(width / height))
            places |= {
                ("top", rows[0]),
                ("bottom", rows[-1]),
                ("left", columns[0]),
                ("right", columns[-1]),
            }
    assert 0.66 < len(areas) / n < 0.74
    assert stats.kstest(areas, "uniform", (0.1, 0.2)).statistic < 0.05
    assert stats.kstest(ratios, "uniform", (-math.log(2), 2 * math.log(2))).statistic < 0.05
    assert {("top", 0), ("bottom", h - 1), ("left", 0), ("right", w - 1)} <= places


def test_erase_always_finds_a_box_that_fits() -> None:
    result = augment.erase(
        torch.ones(500, 1, 10, 40), seeded(), p=1.0, area=(0.5, 0.5), ratio=(0.1, 0.1)
    )
    assert torch.equal(
        result.sum((1, 2, 3)), torch.full((500,), 200.0)
    )  # as narrow as it can be: 10 x 20


def test_erase_can_fill_with_noise() -> None:
    result = augment.erase(torch.zeros(400, 3, 20, 20), seeded(), p=1.0, fill="noise")
    filling = result[result > 0]
    assert stats.kstest(filling, "uniform").statistic < 0.01
    assert 0.12 < len(filling) / result.numel() < 0.23


@pytest.mark.parametrize("name", MIXING)
@pytest.mark.parametrize("soft", [False, True])
def test_mixed_labels_are_the_pixels_shares(name: str, soft: bool) -> None:
    n, labels = 200, torch.arange(200) % 10
    given = F.one_hot(labels, 10).double() if soft else labels
    # Channel k of an image is 1 where it comes from class k, so its mean is that class's share.
    images = F.one_hot(labels, 10).double()[:, :, None, None].expand(n, 10, 16, 24)
    mixed_images, targets = AUGMENTATIONS[name](images, given, seeded(), 10, alpha=1.0)
    assert targets.shape == (n, 10)
    torch.testing.assert_close(
        targets.sum(1), torch.ones(n, dtype=torch.float64), rtol=0, atol=1e-12
    )
    torch.testing.assert_close(targets, mixed_images.mean((2, 3)), rtol=0, atol=1e-12)
    own = targets[torch.arange(n), labels]
    assert 0.45 < own.mean() < 0.75
    assert torch.equal(labels, torch.arange(200) % 10)


def test_cutmix_pastes_a_box_about_any_pixel_and_clips_it() -> None:
    labels = torch.arange(1000) % 2
    images = labels.float()[:, None, None, None].expand(-1, 1, 12, 20)
    result, targets = augment.cutmix(images, labels, seeded(), 2)
    pasted = (result != images)[:, 0]
    own = targets[torch.arange(1000), labels]
    unclipped = 0
    for box, share in zip(pasted, own, strict=True):
        rows, columns = (box.any(axis).nonzero().flatten().tolist() for axis in (1, 0))
        if rows:
            height, width = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
            assert box.sum() == height * width
            assert float(share) == pytest.approx(1 - height * width / 240, abs=1e-6)
            if rows[0] > 0 and rows[-1] < 11 and columns[0] > 0 and columns[-1] < 19:
                unclipped += 1
                assert abs(height / 12 - width / 20) < 1 / 12
    assert unclipped > 50
    assert pasted.any(0).all()


@pytest.mark.parametrize("alpha", [0.01, 0.2, 1.0, 4.0])
def test_mixing_shares_follow_beta(alpha: float) -> None:
    draws = mixing.beta(torch.empty(20_000, 1, 1, 1), seeded(), alpha)
    low = draws[draws < 0.5]  # near 1, numbers are too far apart for a small alpha
    assert stats.kstest(low, lambda x: 2 * stats.beta.cdf(x, alpha, alpha)).pvalue > 0.001
    assert float(draws.mean()) == pytest.approx(0.5, abs=0.015)
    assert float(draws.var()) == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.03)


def test_mixup_blends_by_the_drawn_share() -> None:
    labels = torch.arange(500)  # a class each
    images = labels.double()[:, None, None, None].expand(-1, 1, 1, 1) / 499
    result, targets = augment.mixup(images, labels, seeded(), 500, alpha=0.2)
    torch.testing.assert_close(result.flatten(), targets @ (labels.double() / 499))
    assert (targets > 0).sum(1).max() == 2
    shares = targets[torch.arange(500), labels]
    assert stats.kstest(shares[shares < 1], "beta", (0.2, 0.2)).pvalue > 0.001


def test_wrong_labels_are_refused() -> None:
    for labels in (
        torch.zeros(4, dtype=torch.int32),
        torch.zeros(5, dtype=torch.int64),
        torch.zeros(4, 3),
    ):
        with pytest.raises(ValueError, match=r"labels must be int64 \[4\] or float \[4, 10\]"):
            augment.mixup(pictures(4), labels, seeded(), 10)


def test_auto_augment_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = augment.auto_augment(pictures(8), seeded())
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    assert torch.equal(augment.auto_augment(pictures(8), seeded()), first)


def test_auto_augment_advances_its_generator() -> None:
    generator = seeded()
    images = pictures(8)
    assert not torch.equal(
        augment.auto_augment(images, generator), augment.auto_augment(images, generator)
    )


@pytest.mark.parametrize("pick", [True, False])
@pytest.mark.parametrize("name", policy.OPERATIONS)
def test_operations_of_auto_augment_are_torchvisions(name: str, pick: bool) -> None:
    images = (pictures(8) * 255).round()
    strengths, signed = AutoAugment()._augmentation_space(policy.BINS, (24, 30))[name]
    for step, sign in itertools.product(range(policy.BINS), (1, -1) if signed else (1,)):
        strength = sign * float(strengths[step] if strengths.ndim else 0)
        theirs = torch.stack(
            [
                _apply_op(image, name, strength, InterpolationMode.NEAREST, None)
                for image in images.to(torch.uint8)
            ]
        )
        ours = policy._performed(
            images / 255,
            torch.full((8,), policy.OPERATIONS.index(name)),
            torch.full((8,), policy._strength(name, step)),
            torch.full((8,), sign),
            pick,
        )
        away = (
            ours * 255 - theirs
        ).abs() > 2.1  # theirs rounds down to 1/255 after every part of an operation
        assert (
            away.float().mean() < 0.1
        )  # rows and columns that are read halfway between two pixels


def test_auto_augment_draws_the_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[Tensor, Tensor]] = []

    def noted(
        images: Tensor, operation: Tensor, strength: Tensor, sign: Tensor, pick: bool
    ) -> Tensor:
        drawn.append((operation, strength * sign))
        return images

    monkeypatch.setattr(policy, "_performed", noted)
    augment.auto_augment(torch.zeros(40_000, 3, 2, 2), seeded())
    pairs = AutoAugment(AutoAugmentPolicy.CIFAR10).policies
    assert len(drawn) == 2
    for which, (operation, strength) in enumerate(drawn):
        expected: dict[tuple[int, float], float] = defaultdict(float)
        for pair in pairs:
            name, chance, step = pair[which]
            expected[
                policy.OPERATIONS.index(name), round(policy._strength(name, step or 0), 4)
            ] += chance / len(pairs)
        found = Counter(
            zip(
                operation.tolist(),
                (round(each, 4) for each in strength.abs().tolist()),
                strict=True,
            )
        )
        for key, share in expected.items():
            assert found[key] / 40_000 == pytest.approx(share, abs=0.004)
        assert (
            sum(count for key, count in found.items() if key[0] >= 0 and key not in expected) == 0
        )
        assert (strength[strength != 0] > 0).float().mean() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("name", ["cifar10", "svhn"])
def test_auto_augment_is_torchvisions(name: str) -> None:
    image = (pictures(1, 8, 8) * 255).round()
    ours = augment.auto_augment((image / 255).expand(1500, -1, -1, -1), seeded(), name)  # type: ignore[arg-type]
    transform = v2.AutoAugment(v2.AutoAugmentPolicy(name))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        theirs = torch.stack([transform(image[0].to(torch.uint8)) for _ in range(1500)])
    # Mean brightness tells the operations well enough apart; the two samples are independent. The noise hides that
    # theirs rounds.
    means = [
        each.mean((1, 2, 3)) + 16 * torch.rand(1500, generator=seeded())
        for each in (ours * 255, theirs.float())
    ]
    assert stats.ks_2samp(*means).pvalue > 0.001


def test_auto_augment_refuses_other_channels() -> None:
    with pytest.raises(ValueError, match="one or three channels, got 4"):
        augment.auto_augment(torch.rand(2, 4, 8, 8), seeded())


def test_no_steps_change_nothing() -> None:
    images, labels = pictures(4), torch.arange(4)
    assert build([], 10)(images, labels, seeded()) == (images, labels)
    assert check([]) == []


def test_steps_are_applied_in_their_order() -> None:
    images, labels = pictures(6), torch.arange(6)
    steps = [
        "flip",
        {"name": "translate", "pixels": 3, "border": "zero"},
        {"name": "mixup", "alpha": 0.4},
    ]
    generator = seeded()
    expected = augment.translate(augment.flip(images, generator), generator, 3, "zero")
    expected, targets = augment.mixup(expected, labels, generator, 10, 0.4)
    result = build(steps, 10)(images, labels, seeded())
    assert torch.equal(result[0], expected)
    assert torch.equal(result[1], targets)


def test_labels_stay_whole_without_mixing() -> None:
    labels = torch.arange(6)
    assert build(["flip", "jitter", "erase"], 10)(pictures(6), labels, seeded())[1] is labels


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_p_is_the_share_of_images_that_a_step_reaches(name: str) -> None:
    images, labels = pictures(400, 20, 20), torch.arange(400) % 10
    turn = torch.ones(400, dtype=torch.bool)
    result, targets = build([{"name": name, "p": 0.25}], 10)(images, labels, seeded(), turn)
    changed = (result != images).flatten(1).any(1)
    assert (
        0.15 < changed.float().mean() < 0.32
    )  # a draw can also be of no shift, or of a partner's like
    if name in MIXING:
        assert torch.equal(targets[~changed], F.one_hot(labels, 10).float()[~changed])
        assert (targets[changed].amax(1) < 1).float().mean() > 0.5
    assert torch.equal(build([{"name": name, "p": 0}], 10)(images, labels, seeded())[0], images)


def test_each_span_of_a_training_has_the_steps_that_have_not_ended() -> None:
    steps = [
        "flip",
        {"name": "cutout", "size": 4, "until": 0.5},
        {"name": "jitter", "p": 0.5, "until": 0.8},
    ]
    flip, cutout, jitter = check(steps)
    assert cutout["until"] == 0.5
    found = augment.spans(steps)
    assert found == [(0.5, [flip, cutout, jitter]), (0.8, [flip, jitter]), (1.0, [flip])]
    assert augment.spans([]) == [(1.0, [])]
    assert augment.spans(["flip", {"name": "grey", "until": 1}]) == [
        (1.0, check(["flip", {"name": "grey", "until": 1}]))
    ]
    images, labels = pictures(20, 8, 8), torch.arange(20)
    ended, plain = build([cutout], 20), build([{"name": "cutout", "size": 4}], 20)
    assert torch.equal(
        ended(images, labels, seeded(), None)[0], plain(images, labels, seeded(), None)[0]
    )


def test_check_returns_what_yaml_can_keep_and_read_back() -> None:
    text = """
    - flip
    - {name: crop, scale: [0.5, 1], p: 0.5}
    - {name: jitter, brightness: 0, hue: 1e-1}
    - {name: cutout, size: 16}
    - {name: cutout, size: 0.5, fill: mean}
    """
    plain = check(yaml.safe_load(text))
    assert plain == [
        {"name": "flip"},
        {"name": "crop", "scale": [0.5, 1.0], "p": 0.5},
        {"name": "jitter", "brightness": 0.0, "hue": 0.1},
        {"name": "cutout", "size": 16},
        {"name": "cutout", "size": 0.5, "fill": "mean"},
    ]
    assert check(yaml.safe_load(yaml.safe_dump(plain))) == plain
    assert check([{"name": "crop", "scale": (0.5, 1.0)}]) == [{"name": "crop", "scale": [0.5, 1.0]}]


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (["flop"], "unknown augmentation 'flop' in augment: did you mean 'flip'?"),
        (
            ["qqq"],
            "unknown augmentation 'qqq' in augment: known are flip, alternating_flip, translate, ",
        ),
        (
            [{"name": "translate", "pixel": 4}],
            "unknown parameter 'pixel' of augmentation 'translate': did you mean 'pixels'?",
        ),
        (
            [{"name": "mixup", "n_classes": 4}],
            "unknown parameter 'n_classes' of augmentation 'mixup'",
        ),
        (
            [{"name": "flip", "p": 1.5}],
            "parameter 'p' of augmentation 'flip' must be a number from 0 to 1, got 1.5",
        ),
        (
            [{"name": "rotate", "p": -1}],
            "parameter 'p' of augmentation 'rotate' must be a number from 0 to 1, got -1",
        ),
        (
            [{"name": "translate", "pixels": 2.5}],
            "'translate' must be a whole number from 0 up, got 2.5",
        ),
        ([{"name": "translate", "pixels": True}], "must be a whole number from 0 up, got True"),
        ([{"name": "translate", "border": "wrap"}], "must be one of reflect, zero, got 'wrap'"),
        ([{"name": "translate", "border": ["zero"]}], "must be one of reflect, zero, got ['zero']"),
        (
            [{"name": "crop", "scale": [0.9, 0.5]}],
            "must be two rising numbers from 0.01 to 1, got [0.9, 0.5]",
        ),
        ([{"name": "crop", "scale": 0.5}], "must be two rising numbers from 0.01 to 1, got 0.5"),
        (
            [{"name": "cutout", "size": 1.5}],
            "must be a whole number from 1 up, or a number from 0 to 1, got 1.5",
        ),
        ([{"name": "mixup", "alpha": "much"}], "must be a number from 0.01 up, got 'much'"),
        ([{"name": "mixup", "alpha": float("nan")}], "must be a number from 0.01 up, got nan"),
        ([{"name": "contrast", "most": float("inf")}], "must be a number from 0 up, got inf"),
        ([{"name": "contrast", "most": None}], "must be a number from 0 up, got None"),
        (
            [{"pixels": 2}],
            "must be a name, or a mapping with a name and parameters, got {'pixels': 2}",
        ),
        ([3], "must be a name, or a mapping with a name and parameters, got 3"),
        ("flip", "augment must be a list of augmentations, got 'flip'"),
        ({"name": "flip"}, "augment must be a list of augmentations, got {'name': 'flip'}"),
    ],
)
def test_mistakes_are_named_before_anything_runs(steps: list[str], message: str) -> None:
    for function in (check, lambda given: build(given, 10)):
        with pytest.raises(UserError) as caught:
            function(steps)
        assert message in str(caught.value)


@pytest.mark.parametrize(
    "steps",
    [
        ["shift_wrap", "contrast", "cutmix", "blacken_border"],
        ["flip", "rotate", "jitter", "erase"],
        ["flip", {"name": "cutout", "size": 16}, "auto_augment"],
        [{"name": "jitter", "hue": 0.1, "p": 0.8}, {"name": "mixup", "p": 0.5}, "cutmix"],
    ],
)
def test_the_reports_recipes_run(steps: list[str]) -> None:
    images, targets = build(steps, 10)(pictures(32, 32, 32), torch.arange(32) % 10, seeded())
    assert 0 <= images.min() < images.max() <= 1
    if targets.dim() == 2:
        torch.testing.assert_close(targets.sum(1), torch.ones(32))
