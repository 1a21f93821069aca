"""Oracles: plain loops over the labels, and text written by hand."""

import numpy as np
import pytest

from episodes.datasets import source


@pytest.mark.parametrize(
    ("per_class", "expected"), [(None, [4, 1, 1, 0]), (3, [3, 3, 1, 0]), (50, [19, 4, 1, 0])]
)
def test_held_out_takes_a_fifth_or_the_given_number_and_leaves_one_for_training(
    per_class: int | None, expected: list[int]
) -> None:
    labels = np.repeat([0, 1, 2, 5], [20, 5, 2, 1])
    is_test = source.held_out(labels, per_class=per_class)
    assert [int(is_test[labels == label].sum()) for label in (0, 1, 2, 5)] == expected


def test_held_out_is_fixed_and_does_not_depend_on_other_classes() -> None:
    labels = np.array([0, 1] * 20)
    is_test = source.held_out(labels)
    assert np.array_equal(is_test, source.held_out(labels))
    alone = source.held_out(np.zeros(20, dtype=np.int64))
    assert np.array_equal(is_test[labels == 0], alone)


def test_chunks_are_small_complete_and_in_order() -> None:
    payloads: list[source.Payload] = [bytes([i % 256]) for i in range(2 * source.CHUNK + 3)]
    chunks = list(source.chunked(payloads))
    assert [len(chunk) for chunk in chunks] == [source.CHUNK, source.CHUNK, 3]
    assert [payload for chunk in chunks for payload in chunk] == payloads


def test_selected_images_have_their_names_clusters_and_folders() -> None:
    part = source.Part(
        np.array([0, 0, 1]),
        ["a.png", "b.png", "c.png"].__getitem__,
        lambda: source.chunked([b"a", b"b", b"c"]),
        clusters=np.array([7, 8, 9]),
        subfolder_of=["", "left", "right"].__getitem__,
    )
    own = part.select(np.array([False, True, True]))
    assert own.subfolder_of is not None
    assert [own.name_of(i) for i in range(2)] == ["b.png", "c.png"]
    assert [own.subfolder_of(i) for i in range(2)] == ["left", "right"]
    assert own.clusters is not None
    assert own.clusters.tolist() == [8, 9]
    assert list(own.chunks()) == [[b"b", b"c"]]


@pytest.mark.parametrize(
    ("count", "expected"),
    [(1, "n0"), (5, "n0, n1, n2, n3, n4"), (1005, "n0, n1, n2, n3, n4 and 1,000 more")],
)
def test_few_names_at_most_five(count: int, expected: str) -> None:
    assert source.few([f"n{i}" for i in range(count)]) == expected


def test_long_names_are_cut_in_messages() -> None:
    assert source.few(["a" * 100_000, "b"]) == "a" * source.LONGEST + "..., b"
