"""Oracle: nested loops over class names; and the authors' demo of the modified Hausdorff distance.

Lake's demo classifies the 20 one-shot runs by that distance, with an error of 38.8%
(https://github.com/brendenlake/omniglot, python/one-shot-classification/demo.py).
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from episodes import datasets
from episodes.datasets import omniglot
from episodes.datasets.locations import data_root
from episodes.errors import UserError
from episodes.tasks.superclass_tasks import superclass_tasks
from episodes.types import ImageSet, TrainTest

needs_runs = pytest.mark.skipif(
    not omniglot.is_here(omniglot.RUNS, data_root()), reason="all_runs.zip of Omniglot is not here"
)


def image_set(labels: list[int], groups: dict[str, tuple[str, ...]]) -> ImageSet:
    images = torch.zeros(len(labels), 3, 4, 4, dtype=torch.uint8)
    return ImageSet("letters", images, torch.tensor(labels), tuple("abcde"), "0", groups)


def test_each_superclass_is_a_task_of_its_training_and_test_images() -> None:
    groups = {"second": ("d", "e"), "first": ("c", "a", "b")}
    train, test = image_set([3, 0, 2, 4, 1, 0], groups), image_set([4, 1, 3, 2, 2], groups)
    tasks = superclass_tasks(TrainTest(train, test))
    assert [task.n_way for task in tasks] == [2, 3]
    labels = torch.cat([train.labels, test.labels])
    for task, members in zip(tasks, groups.values(), strict=True):
        for part, first, last in (("support", 0, 6), ("query", 6, 11)):
            indices = getattr(task, part)[0].tolist()
            expected = [i for i in range(first, last) if "abcde"[labels[i]] in members]
            assert indices == expected
            for index, label in zip(indices, getattr(task, f"{part}_labels")[0], strict=True):
                assert "abcde"[labels[index]] == members[label]
                assert task.classes[0][label] == labels[index]


def test_a_set_without_superclasses_or_with_one_of_a_single_class_has_no_tasks() -> None:
    plain = image_set([0, 1], {})
    with pytest.raises(UserError, match="letters has no superclasses"):
        superclass_tasks(TrainTest(plain, plain))
    single = replace(plain, groups={"one": ("a",), "many": ("b", "c", "d", "e")})
    with pytest.raises(UserError, match="'one' of letters has one class"):
        superclass_tasks(TrainTest(single, single))


@needs_runs
def test_the_one_shot_runs_are_20_tasks_of_20_classes_within_an_alphabet() -> None:
    data = datasets.load(omniglot.RUNS)
    (tasks,) = superclass_tasks(data)
    assert tasks.support.shape == tasks.query.shape == tasks.classes.shape == (20, 20)
    labels = torch.cat([data.train.labels, data.test.labels])
    for part, own in (("support", tasks.support_labels), ("query", tasks.query_labels)):
        assert torch.equal(labels[getattr(tasks, part)], tasks.classes.gather(1, own))
    assert torch.cat([tasks.support, tasks.query]).unique().numel() == 800


def ink(image: torch.Tensor) -> np.ndarray:
    """Return the centred coordinates of the ink of a drawing."""
    places = np.argwhere(image.numpy() > 127).astype(float)
    return places - places.mean(0)


def hausdorff(a: np.ndarray, b: np.ndarray) -> float:
    """Return the modified Hausdorff distance (Dubuisson and Jain, 1994)."""
    distances = cdist(a, b)
    return max(distances.min(0).mean(), distances.min(1).mean())


@needs_runs
@pytest.mark.slow
def test_the_modified_hausdorff_distance_has_the_error_of_the_authors_demo() -> None:
    data = datasets.load(omniglot.RUNS, image_size=105)
    (tasks,) = superclass_tasks(data)
    drawings = [ink(image[0]) for part in data for image in part.images]
    wrong = 0
    for run in range(len(tasks)):
        support = [drawings[i] for i in tasks.support[run]]
        for query, label in zip(tasks.query[run], tasks.query_labels[run], strict=True):
            distances = [hausdorff(drawings[query], drawing) for drawing in support]
            wrong += int(tasks.support_labels[run][int(np.argmin(distances))] != label)
    assert wrong / 400 == pytest.approx(0.388, abs=0.001)
