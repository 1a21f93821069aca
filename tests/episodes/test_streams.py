"""Oracles: images whose pixels show their own index, plain loops, and arithmetic by hand."""

import itertools
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from episodes import augment, streams
from episodes.types import Features, FeatureSet, ImageSet

N, CLASSES = 24, ("a", "b", "c")
LABELS = torch.arange(N) % 3
ALL = torch.arange(N)


def image_set(dtype: torch.dtype = torch.uint8) -> ImageSet:
    """Return images whose every pixel is the index of the image."""
    images = torch.arange(N, dtype=dtype).view(N, 1, 1, 1).expand(N, 3, 6, 5).clone()
    return ImageSet("numbers", images, LABELS, CLASSES, "none", {})


def index_of(images: Tensor) -> Tensor:
    """Read the index off the pixels of each image."""
    pixels = (images * 255).round().long().flatten(1)
    assert (pixels == pixels[:, :1]).all()
    return pixels[:, 0]


def plain(
    images: Tensor, labels: Tensor, generator: torch.Generator, mirror: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    return images, labels


def noisy(
    images: Tensor, labels: Tensor, generator: torch.Generator, mirror: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    return torch.rand(images.shape, generator=generator), labels


def pool(indices: Tensor = ALL) -> streams.Pool:
    return streams.pool(image_set(), indices, "cpu")


def is_image_batch(images: Tensor) -> bool:
    return (
        images.dtype == torch.float32
        and images.shape[1:] == (3, 6, 5)
        and 0 <= images.min() <= images.max() <= 1
    )


def flat(item: object) -> list[Tensor]:
    if item is None or isinstance(item, Tensor):
        return [] if item is None else [item]
    return [tensor for value in item for tensor in flat(value)]


def test_as_float_maps_255_to_one_and_does_not_change_features_or_its_input():
    images = torch.tensor([[0, 51, 255]], dtype=torch.uint8)
    assert torch.equal(streams.as_float(images), torch.tensor([[0.0, 0.2, 1.0]]))
    assert images.tolist() == [[0, 51, 255]]
    features = torch.tensor([[-3.0, 700.0]])
    assert torch.equal(streams.as_float(features), features)


def test_labelled_returns_the_selected_images_in_order():
    indices = torch.tensor([5, 0, 23, 5])
    images, labels, _ = streams.labelled(image_set(), indices, "cpu")
    assert is_image_batch(images)
    assert torch.equal(index_of(images), indices)
    assert torch.equal(labels, LABELS[indices])


@pytest.mark.parametrize("size", [1, 4, 10, 100])
def test_chunks_cover_everything_in_order(size: int):
    indices = ALL.flip(0)[:10]
    chunks = list(streams.chunks(image_set(), indices, size, "cpu"))
    assert [len(chunk.labels) for chunk in chunks] == [len(part) for part in indices.split(size)]
    assert torch.equal(torch.cat([index_of(chunk.images) for chunk in chunks]), indices)
    assert torch.equal(torch.cat([chunk.labels for chunk in chunks]), LABELS[indices])


def test_batches_join_every_image_with_its_own_label():
    indices = torch.tensor([2, 3, 4, 7, 11, 19, 20])
    stream = streams.batches(pool(indices), 3, plain, seed=0)
    occurrences = []
    for step in range(7):
        images, labels, _ = stream(step)
        assert is_image_batch(images)
        assert labels.dtype == torch.int64
        assert torch.equal(labels, LABELS[index_of(images)])
        occurrences += index_of(images).tolist()
    assert sorted(occurrences) == sorted(3 * indices.tolist())


@pytest.mark.parametrize("size", [4, 5, 24])
def test_alternating_flip_mirrors_each_image_in_every_other_epoch(size: int):
    """Five epochs of 24 images, bright on the right; batches of five straddle two epochs."""
    images = image_set().images
    images[..., 3:] = 200
    bright = streams.Pool(images, LABELS, 3)
    stream = streams.batches(bright, size, augment.build(["alternating_flip"], 3), seed=0)
    mirrored_by_image: dict[int, list[bool]] = {index: [] for index in range(N)}
    for step in range(5 * N // size):
        for image in (stream(step).images * 255).round().long():
            is_mirrored = int(image[0, 0, 0]) == 200
            index = int(image[0, 0, -1 if is_mirrored else 0])
            mirrored_by_image[index].append(is_mirrored)
    for mirrored in mirrored_by_image.values():
        assert len(mirrored) == 5
        assert all(first != second for first, second in itertools.pairwise(mirrored))
    assert 3 < sum(mirrored[0] for mirrored in mirrored_by_image.values()) < 21


@pytest.mark.parametrize("n", [24, 20])
def test_shards_together_are_the_whole_batch(n: int):
    """Batches of 8 of 20 images straddle two epochs."""
    images = image_set().images.clone()
    images[..., 3:] = 200
    bright = streams.pool(replace(image_set(), images=images), ALL[:n], "cpu")
    flip = augment.build(["alternating_flip"], 3)
    whole = streams.batches(bright, 8, flip, seed=0)
    shards = [streams.batches(bright, 8, flip, seed=0, shard=(index, 2)) for index in range(2)]
    for step in range(7):
        batches = [shard(step) for shard in shards]
        assert [len(batch.labels) for batch in batches] == [4, 4]
        for index, batch in enumerate(batches):
            assert torch.equal(batch.images, whole(step).images[index::2])
            assert torch.equal(batch.labels, whole(step).labels[index::2])


def test_shards_are_augmented_independently_and_the_first_like_the_whole():
    whole = streams.batches(pool(), 4, noisy, seed=0)(3).images
    first, second = (
        streams.batches(pool(), 8, noisy, seed=0, shard=(index, 2))(3).images for index in range(2)
    )
    assert torch.equal(first, whole)  # as many images, the same noise
    assert not torch.equal(first, second)


def test_label_smoothing_agrees_with_arithmetic_by_hand():
    images, labels, _ = streams.batches(pool(), 8, plain, seed=0, smoothing=0.3)(0)
    assert labels.shape == (8, 3)
    for index, row in zip(index_of(images).tolist(), labels.tolist(), strict=True):
        assert row == pytest.approx([0.8 if label == index % 3 else 0.1 for label in range(3)])


def test_label_smoothing_of_mixed_labels_agrees_with_arithmetic_by_hand():
    def halves(
        images: Tensor, labels: Tensor, generator: torch.Generator, mirror: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        return images, torch.tensor([0.5, 0.5, 0.0]).expand(len(images), 3)

    labels = streams.batches(pool(), 4, halves, seed=0, smoothing=0.3)(0).labels
    assert torch.allclose(labels, torch.tensor([0.45, 0.45, 0.1]).expand(4, 3))


MIXED = augment.build(("flip", {"name": "translate", "pixels": 2}, "cutmix"), 3)
STREAMS: dict[str, Callable[[int], Callable]] = {
    "batches": lambda seed: streams.batches(pool(), 7, noisy, seed),
    "batches, cutmix": lambda seed: streams.batches(pool(), 7, MIXED, seed, 0.1),
    "episodes": lambda seed: streams.episodes(pool(), 2, 2, 3, noisy, seed),
    "pairs": lambda seed: streams.pairs(pool(), 7, noisy, seed),
}


@pytest.mark.parametrize("name", STREAMS)
def test_a_step_returns_the_same_item_in_any_order_of_calls(name: str):
    stream, again, other = STREAMS[name](0), STREAMS[name](0), STREAMS[name](1)
    forward = {step: flat(stream(step)) for step in range(6)}
    for step in (4, 1, 5, 0, 1):
        assert all(torch.equal(a, b) for a, b in zip(flat(again(step)), forward[step], strict=True))
    assert not torch.equal(forward[0][0], forward[1][0])
    assert not torch.equal(forward[0][0], flat(other(0))[0])


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_changes_neither_the_pool_nor_the_global_generator(name: str):
    original, state = pool(), torch.get_rng_state()
    own = pool()
    stream = {
        "batches": lambda: streams.batches(own, 7, noisy, 0),
        "batches, cutmix": lambda: streams.batches(own, 7, MIXED, 0, 0.1),
        "episodes": lambda: streams.episodes(own, 2, 2, 3, noisy, 0),
        "pairs": lambda: streams.pairs(own, 7, noisy, 0),
    }[name]()
    stream(0)
    assert torch.equal(own.images, original.images)
    assert torch.equal(own.labels, original.labels)
    assert torch.equal(torch.get_rng_state(), state)


def test_episodes_map_back_and_smooth_only_the_query():
    stream = streams.episodes(
        pool(), n_way=2, shots=2, queries=3, augment=plain, seed=0, smoothing=0.2
    )
    for step in range(10):
        support, query, classes = stream(step)
        assert is_image_batch(support.images)
        assert is_image_batch(query.images)
        assert support.labels.dtype == torch.int64
        in_support, in_query = index_of(support.images), index_of(query.images)
        assert not set(in_support.tolist()) & set(in_query.tolist())
        assert torch.equal(classes[support.labels], LABELS[in_support])
        for index, row in zip(in_query.tolist(), query.labels.tolist(), strict=True):
            assert row == pytest.approx(
                [0.9 if int(label) == index % 3 else 0.1 for label in classes]
            )
    labels = streams.episodes(pool(), 2, 2, 3, plain, seed=0)(0).query.labels
    assert labels.dtype == torch.int64
    assert sorted(labels.tolist()) == [0, 0, 0, 1, 1, 1]


def test_pairs_have_the_right_labels_and_independent_augmentation():
    left, right, same, classes = streams.pairs(pool(), 40, plain, seed=0)(0)
    assert is_image_batch(left)
    assert is_image_batch(right)
    assert torch.equal(same.bool(), index_of(left) % 3 == index_of(right) % 3)
    assert same.sum() == 20
    assert torch.equal(classes, torch.stack([index_of(left) % 3, index_of(right) % 3]))
    single = streams.pairs(pool(torch.tensor([0, 1, 2])), 40, noisy, seed=0)(0)
    assert (single.left != single.right).flatten(1).any(1).all()


def test_append_adds_the_share_after_the_unchanged_originals():
    def inverted(
        images: Tensor, labels: Tensor, generator: torch.Generator, mirror: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        return 1 - images, labels

    extended = streams.append(pool(), 0.5, inverted, seed=0, chunk=5)
    assert len(extended.images) == len(extended.labels) == N * 1.5
    assert extended.images.dtype == torch.uint8
    assert torch.equal(extended.images[:N], image_set().images)
    assert torch.equal(extended.labels[:N].argmax(1), LABELS)
    copied = 255 - extended.images[N:, 0, 0, 0].long()
    assert len(set(copied.tolist())) == N // 2
    assert torch.equal(extended.labels[N:], torch.eye(3)[copied % 3])

    def copies(seed: int) -> tuple[int, ...]:
        return tuple(streams.append(pool(), 0.5, plain, seed).images[N:, 0, 0, 0].tolist())

    assert copies(0) == copies(0) == tuple(copied.tolist())
    assert len({copies(seed) for seed in range(10)}) == 10


@pytest.mark.parametrize(("share", "expected"), [(1.0, 24), (0.25, 6), (0.1, 2), (0.01, 0)])
def test_append_rounds_the_share(share: float, expected: int):
    assert len(streams.append(pool(), share, MIXED, seed=0).labels) == N + expected


def test_append_returns_the_soft_labels_of_cutmix():
    extended = streams.append(pool(), 1.0, augment.build(("cutmix",), 3), seed=0)
    mixed = extended.labels[N:]
    for image, row in zip(extended.images[N:], mixed, strict=True):
        # The fraction of the pixels that come from each class.
        expected = (image[0].long() % 3).flatten().bincount(minlength=3) / image[0].numel()
        assert torch.allclose(row, expected, atol=1e-6)
    assert ((mixed > 0.01) & (mixed < 0.99)).any()
    labels = streams.batches(extended, 36, plain, seed=0)(0).labels
    assert torch.allclose(labels.sum(1), torch.ones(36))


def feature_set() -> FeatureSet:
    features = torch.randn(N, 7, generator=torch.Generator().manual_seed(0))
    return FeatureSet(features.as_subclass(Features), LABELS, CLASSES)


def test_features_can_take_the_place_of_images():
    source = feature_set()
    batch = streams.labelled(source, ALL[3:5], "cpu")
    assert torch.equal(batch.images, source.features[3:5])
    assert torch.equal(batch.labels, LABELS[3:5])
    chunks = list(streams.chunks(source, ALL, 10, "cpu"))
    assert torch.equal(torch.cat([chunk.images for chunk in chunks]), source.features)


def test_streams_of_features_return_features_with_their_own_labels():
    source = feature_set()
    features = streams.pool(source, ALL, "cpu")
    batch = streams.batches(features, 5, plain, seed=0)(3)
    task = streams.episodes(features, 2, 2, 3, plain, seed=0)(0)
    pairs = streams.pairs(features, 4, plain, seed=0)(0)
    for rows, labels in (
        (batch.images, batch.labels),
        (task.support.images, task.classes[task.support.labels]),
        (task.query.images, task.classes[task.query.labels]),
        (pairs.left, pairs.classes[0]),
        (pairs.right, pairs.classes[1]),
    ):
        assert isinstance(rows, Features)
        indices = torch.cdist(rows.as_subclass(Tensor), source.features).argmin(1)
        assert torch.equal(rows, source.features[indices])
        assert torch.equal(labels, LABELS[indices])


def superclass_pool() -> streams.Pool:
    """Return a pool of 12 classes of 4 images: superclasses of 3 and of 9 classes."""
    labels = torch.arange(48) % 12
    names = tuple("abcdefghijkl")
    groups = {"few": names[:3], "many": names[3:]}
    images = torch.zeros(48, 3, 6, 5, dtype=torch.uint8)
    return streams.pool(
        ImageSet("letters", images, labels, names, "0", groups), torch.arange(48), "cpu"
    )


def test_episodes_within_a_superclass_have_its_classes_alone():
    stream = streams.episodes(superclass_pool(), 5, 1, 2, plain, 0, within_superclass=1.0)
    tasks = [stream(step) for step in range(60)]
    ways = [len(task.classes) for task in tasks]
    for task in tasks:
        members = {int(label) < 3 for label in task.classes}
        assert len(members) == 1
        assert len(task.classes) == (3 if members.pop() else 5)
        assert set(task.support.labels.tolist()) == set(range(len(task.classes)))
    assert 15 < ways.count(3) < 45


def test_the_share_within_a_superclass_is_as_asked_and_zero_changes_nothing():
    pool = superclass_pool()
    half = streams.episodes(pool, 5, 1, 2, plain, 0, within_superclass=0.5)
    counts = [len({int(label) < 3 for label in half(step).classes}) for step in range(200)]
    # A task of all classes is within "many" with probability C(9,5)/C(12,5) = 0.16.
    assert 90 < counts.count(1) < 145
    usual, zero = (
        streams.episodes(pool, 5, 1, 2, plain, 0, **more)
        for more in ({}, {"within_superclass": 0.0})
    )
    assert torch.equal(usual(3).classes, zero(3).classes)


def test_pairs_within_a_superclass_compare_its_classes_alone():
    stream = streams.pairs(superclass_pool(), 40, plain, 0, within_superclass=1.0)
    seen = set()
    for step in range(20):
        members = {int(label) < 3 for label in stream(step).classes.flatten()}
        assert len(members) == 1
        seen |= members
    assert seen == {True, False}
