"""Oracle: nested loops over tasks, rows and images in numpy."""

import numpy as np
import pytest
import torch

from episodes.rng import generator
from episodes.tasks.task_set import TaskSet
from fewshot.heads import pool
from tests.fewshot.heads.tasks import random_tasks


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_inner_products_agree_with_loops(dtype: torch.dtype) -> None:
    features, tasks = random_tasks(3, n_features=17, dtype=dtype)
    rows = torch.randn(3, 4, 17, generator=generator(0, "rows"), dtype=dtype)
    products = pool.inner_products(rows, features, tasks.query)
    expected = np.zeros((3, 4, tasks.query.shape[1]))
    for t in range(3):
        for r in range(4):
            for q, image in enumerate(tasks.query[t]):
                expected[t, r, q] = rows[t, r].double().numpy() @ features[image].double().numpy()
    assert products.dtype == dtype
    np.testing.assert_allclose(products.numpy(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("n", [3, 4, 9])
def test_an_image_may_occur_several_times(n: int) -> None:
    features = torch.arange(n, dtype=torch.float32)[:, None]
    products = pool.inner_products(torch.ones(1, 1, 1), features, torch.tensor([[2, 0, 2, 2]]))
    assert products.tolist() == [[[2, 0, 2, 2]]]


@pytest.mark.parametrize("unequal", [False, True])
def test_class_means_agree_with_loops(unequal: bool) -> None:
    features, tasks = random_tasks(3, unequal=unequal)
    mixed = torch.randperm(tasks.support.shape[1], generator=generator(0, "order"))
    tasks = TaskSet(
        tasks.support[:, mixed],
        tasks.support_labels[:, mixed],
        tasks.query,
        tasks.query_labels,
        tasks.classes,
    )
    means = pool.class_means(features, tasks)
    for t in range(3):
        for w in range(tasks.n_way):
            members = [
                features[i].numpy()
                for i, label in zip(tasks.support[t], tasks.support_labels[t], strict=True)
                if label == w
            ]
            np.testing.assert_allclose(means[t, w].numpy(), sum(members) / len(members), rtol=1e-5)


@pytest.mark.parametrize("image", [-1, 5])
def test_an_image_outside_the_pool_is_an_error(image: int) -> None:
    with pytest.raises(IndexError, match="outside the pool of 5 images"):
        pool.inner_products(torch.ones(1, 1, 5), torch.eye(5), torch.tensor([[0, image]]))
