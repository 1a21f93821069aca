"""Oracles: the meta device, on which every tensor of a copied value must lie, and plain tensors."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from episodes.types import Episode, Features, FeatureSet, ImageSet, Labelled, Pairs


def labelled(n: int, pool_indices: Tensor | None = None) -> Labelled:
    return Labelled(torch.rand(n, 3, 4, 4), torch.arange(n), pool_indices)


def test_an_image_set_is_as_long_as_its_labels():
    images = torch.zeros(5, 3, 4, 4, dtype=torch.uint8)
    assert len(ImageSet("five", images, torch.arange(5), tuple("abcde"), "none", {})) == 5


def features(n: int = 4) -> Features:
    values = torch.rand(n, 3, generator=torch.Generator().manual_seed(0))
    return values.as_subclass(Features)


def test_a_feature_set_is_as_long_as_its_labels():
    assert len(FeatureSet(features(5), torch.arange(5), tuple("abcde"))) == 5


@pytest.mark.parametrize(
    "select",
    [
        lambda x: x[torch.tensor([2, 0])],
        lambda x: x[1:],
        lambda x: x.repeat(2, 1),
        lambda x: torch.cat([x, x]),
        lambda x: x.to(torch.float64),
        lambda x: x.split(2)[1],
        lambda x: x.chunk(2)[0],
    ],
)
def test_selected_joined_and_moved_features_are_features(select: Callable[[Tensor], Tensor]):
    selected = select(features())
    assert isinstance(selected, Features)
    expected = select(features().as_subclass(Tensor))
    assert type(expected) is Tensor
    assert torch.equal(selected.as_subclass(Tensor), expected)


@pytest.mark.parametrize(
    "compute",
    [
        lambda x: 2 * x,
        lambda x: x - x.mean(0),
        lambda x: x @ x.T,
        lambda x: x.argmax(1),
        lambda x: torch.nn.functional.normalize(x, dim=-1),
    ],
)
def test_the_results_of_computations_are_plain_tensors(compute: Callable[[Tensor], Tensor]):
    result = compute(features())
    assert type(result) is Tensor
    assert torch.equal(result, compute(features().as_subclass(Tensor)))


def test_to_copies_every_tensor_of_a_batch_to_the_device():
    batch = labelled(3, torch.tensor([7, 8, 9])).to("meta")
    assert [value.device.type for value in batch if value is not None] == ["meta"] * 3
    assert [tuple(value.shape) for value in batch if value is not None] == [
        (3, 3, 4, 4),
        (3,),
        (3,),
    ]


def test_to_leaves_missing_pool_indices_missing():
    assert labelled(3).to("meta").pool_indices is None


def test_to_copies_support_query_and_classes_of_an_episode():
    episode = Episode(labelled(2), labelled(5), torch.tensor([4, 1])).to("meta")
    assert (len(episode.support.labels), len(episode.query.labels)) == (2, 5)
    for value in (episode.support.images, episode.query.labels, episode.classes):
        assert value.is_meta


def test_to_copies_all_fields_of_pairs_in_their_order():
    left, right = torch.rand(4, 3, 2, 2), torch.rand(4, 3, 2, 2)
    pairs = Pairs(left, right, torch.ones(4), torch.zeros(2, 4, dtype=torch.int64))
    assert all(torch.equal(a, b) for a, b in zip(pairs.to("cpu"), pairs, strict=True))
    assert all(value.is_meta for value in pairs.to("meta"))
