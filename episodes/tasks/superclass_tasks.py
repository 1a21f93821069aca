"""Tasks that a data set fixes itself: one for each superclass, such as Omniglot's one-shot runs."""

from __future__ import annotations

import torch

from episodes.errors import UserError
from episodes.tasks.task_set import TaskSet, joined
from episodes.types import TrainTest


def superclass_tasks(data: TrainTest) -> tuple[TaskSet, ...]:
    """Return one task for each superclass: its training images are support, its test images query.

    Indices count the training images first and then the test images.

    Args:
        data: a data set with superclasses.

    Returns:
        A set with all tasks if they have equal shape, otherwise one set for each task.

    Raises:
        UserError: the data set has no superclasses, or one of a single class.
    """
    train = data.train
    if not train.groups:
        raise UserError(
            f"{train.name} has no superclasses that could be tasks: sample tasks, or name "
            "superclasses in groups.yaml beside the images."
        )
    single = [name for name, members in train.groups.items() if len(members) < 2]
    if single:
        raise UserError(
            f"superclass '{single[0]}' of {train.name} has one class, which is no task: give every "
            "superclass two."
        )
    tasks = [_task(data, members) for members in train.groups.values()]
    shapes = {(task.n_way, task.support.shape[1], task.query.shape[1]) for task in tasks}
    if len(shapes) > 1:
        return tuple(tasks)
    return (joined(tasks),)


def _task(data: TrainTest, members: tuple[str, ...]) -> TaskSet:
    """Return the task of the classes of one superclass."""
    train, test = data
    classes = torch.tensor([train.classes.index(name) for name in members])
    label_in_task = torch.full((len(train.classes),), -1)
    label_in_task[classes] = torch.arange(len(classes))
    support = torch.isin(train.labels, classes).nonzero()[:, 0]
    query = torch.isin(test.labels, classes).nonzero()[:, 0]
    return TaskSet(
        support[None],
        label_in_task[train.labels[support]][None],
        len(train) + query[None],
        label_in_task[test.labels[query]][None],
        classes[None],
    )
