"""Oracle: rows of numbers written by hand."""

import torch

from episodes.tasks.task_set import TaskSet, joined


def numbered(*starts: int) -> TaskSet:
    """Return tasks of two ways, one shot and one query whose numbers begin at `starts`."""
    rows = torch.tensor([[start, start + 1] for start in starts])
    labels = torch.tensor([[0, 1]] * len(starts))
    return TaskSet(rows, labels, rows + 100, labels.flip(1), rows + 200)


def test_rows_select_tasks_with_all_that_belongs_to_them():
    tasks = numbered(10, 20, 30)
    assert (len(tasks), tasks.n_way) == (3, 2)
    for some in (tasks[1:], tasks[torch.tensor([1, 2])], joined([tasks[1:2], tasks[2:]])):
        assert some.support.tolist() == [[20, 21], [30, 31]]
        assert some.support_labels.tolist() == [[0, 1], [0, 1]]
        assert some.query.tolist() == [[120, 121], [130, 131]]
        assert some.query_labels.tolist() == [[1, 0], [1, 0]]
        assert some.classes.tolist() == [[220, 221], [230, 231]]
