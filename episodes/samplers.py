"""Index arithmetic on labels: shuffled batches, N-way k-shot episodes, balanced pairs.

A sampler is a function of its arguments alone: what it draws for step 17 does not depend on step 16.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from episodes.errors import UserError
from episodes.rng import generator


class EpisodeIndices(NamedTuple):
    """support int64 [n_support], query int64 [n_query], their local labels, and classes int64 [n_way]."""

    support: Tensor
    support_labels: Tensor
    query: Tensor
    query_labels: Tensor
    classes: Tensor


@lru_cache(maxsize=4)
def _permutation(n: int, seed: int, epoch: int) -> Tensor:
    return torch.randperm(n, generator=generator(seed, "batches", epoch))


def batch(n: int, size: int, step: int, seed: int) -> Tensor:
    """Indices of one shuffled batch, int64 [min(size, n)].

    Batches are cut from endless permutations of 0..n-1 laid end to end: every batch has the same size and
    every image comes equally often, whether or not the size divides n.
    """
    size = min(size, n)
    epoch, start = divmod(step * size, n)
    order = _permutation(n, seed, epoch)
    if start + size <= n:
        return order[start : start + size]
    return torch.cat([order[start:], _permutation(n, seed, epoch + 1)[: start + size - n]])


def _parts(count: int, shots: int, queries: int) -> tuple[int, int]:
    """How many of a class's images are support and query: as asked, or in proportion where there are fewer."""
    if count >= shots + queries:
        return shots, queries
    n_support = min(max(1, round(count * shots / (shots + queries))), count - 1)
    return n_support, count - n_support


def episode(
    members: Sequence[Tensor],
    n_way: int,
    shots: int,
    queries: int,
    draw: torch.Generator,
    strict: bool = True,
) -> EpisodeIndices:
    """An N-way k-shot task: support and query are disjoint, classes in random order.

    members: indices of each class, as `splits.by_class` gives them.
    strict: every class of the task has shots + queries images. Otherwise a smaller class gives what it has,
    divided in the same proportion, and only classes of a single image are left out.
    Raises UserError where fewer than n_way classes can take part (source of the protocol: Vinyals et al.,
    Matching Networks, arXiv 1606.04080).
    """
    needed = shots + queries if strict else 2
    able = [label for label, each in enumerate(members) if len(each) >= needed]
    if len(able) < n_way:
        raise UserError(
            f"a {n_way}-way episode of {shots} shots and {queries} queries needs {n_way} classes of {needed} "
            f"images or more, and only {len(able)} are there: ask for fewer ways, shots or queries."
        )
    classes = torch.tensor(able)[torch.randperm(len(able), generator=draw)[:n_way]]
    support, query, n_support, n_query = [], [], [], []
    for label in classes.tolist():
        each = members[label]
        a, b = _parts(len(each), shots, queries)
        order = each[torch.randperm(len(each), generator=draw)[: a + b]]
        support.append(order[:a])
        query.append(order[a:])
        n_support.append(a)
        n_query.append(b)
    ways = torch.arange(n_way)
    return EpisodeIndices(
        torch.cat(support),
        ways.repeat_interleave(torch.tensor(n_support)),
        torch.cat(query),
        ways.repeat_interleave(torch.tensor(n_query)),
        classes,
    )


def pairs(
    members: Sequence[Tensor], n: int, draw: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Balanced pairs drawn on labels: left, right int64 [n], same float [n]; the first half agree in class.

    The two images of a pair of one class differ wherever the class has two; with a single image they are the
    same one, for two augmented views to be made of it.
    """
    classes = [each for each in members if len(each) > 0]
    if len(classes) < 2:
        raise UserError("pairs need images of two classes or more.")
    counts = torch.tensor([len(each) for each in classes])
    flat, starts = torch.cat(classes), counts.cumsum(0) - counts
    n_same = n // 2

    def within(chosen: Tensor) -> Tensor:
        return (torch.rand(len(chosen), generator=draw) * counts[chosen]).long()

    first = torch.randint(len(classes), (n,), generator=draw)
    other = (first + torch.randint(1, len(classes), (n,), generator=draw)) % len(classes)
    left = within(first)
    # for a pair of one class, a step of 1..count-1 from the left image never lands on it again
    apart = 1 + (torch.rand(n, generator=draw) * (counts[first] - 1)).long()
    agree = torch.arange(n) < n_same
    right = torch.where(agree, (left + apart) % counts[first], within(other))
    right_class = torch.where(agree, first, other)
    return flat[starts[first] + left], flat[starts[right_class] + right], agree.float()
