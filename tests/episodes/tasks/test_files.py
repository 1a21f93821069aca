"""Oracles: the tasks that were written, and what numpy alone reads from a file."""

import json
from dataclasses import dataclass, replace

import numpy as np
import pytest
from torch import Tensor

from episodes.errors import UserError
from episodes.tasks import files, sampling, varying
from episodes.tasks.task_set import TaskSet
from tests.episodes.tasks.test_sampling import pool, same

NAMES = ("ant", "bee", "cat", "dog", "eel", "fox")


@dataclass(frozen=True)
class Images:
    name: str
    identity: str
    classes: tuple[str, ...]
    labels: Tensor


IMAGES = Images("animals", "f" * 32, NAMES, pool(9, 12, 30, 9, 10, 40))


def fixed(count: int = 7) -> TaskSet:
    return sampling.fixed(IMAGES.labels, ways=5, shots=2, queries=3, count=count, seed=0)


@pytest.mark.parametrize(
    "tasks",
    [
        (fixed(),),
        (fixed(1), sampling.fixed(IMAGES.labels, ways=2, shots=1, queries=1, count=3, seed=0)),
        varying.varying(IMAGES.labels, count=20, seed=0),
        (
            sampling.fixed(
                IMAGES.labels, ways=3, shots=1, queries=2, count=9, seed=0, balance="missing"
            ),
        ),
    ],
    ids=["fixed", "two sets", "varying", "missing"],
)
def test_the_tasks_that_were_written_are_read_again(tmp_path, tasks):
    path = tmp_path / "tasks.npz"
    protocol = {"ways": 5, "split": None, "concentration": 2.0}
    files.write(path, tasks, IMAGES, protocol)
    read = files.read(path, IMAGES)
    assert (read.data, read.protocol) == ("animals", protocol)
    assert len(read.tasks) == len(tasks)
    assert all(same(one, other) for one, other in zip(read.tasks, tasks, strict=True))
    again = tmp_path / "again.npz"
    files.write(again, read.tasks, IMAGES, protocol)
    assert again.read_bytes() == path.read_bytes()
    assert sorted(tmp_path.iterdir()) == [again, path]


def test_numpy_alone_reads_a_file(tmp_path):
    path, tasks = tmp_path / "tasks.npz", varying.varying(IMAGES.labels, count=5, seed=0)
    files.write(path, tasks, IMAGES, {"sampler": "varying"})
    with np.load(path, allow_pickle=False) as file:
        assert set(file.files) == set(files.KEYS)
        assert json.loads(str(file["protocol"])) == {"sampler": "varying"}
        support = np.split(file["support"], np.cumsum(file["support_sizes"])[:-1])
        classes = np.split(file["classes"], np.cumsum(file["ways"])[:-1])
        in_task = np.split(file["support_labels"], np.cumsum(file["support_sizes"])[:-1])
        for number, task in enumerate(tasks):
            assert support[number].tolist() == task.support[0].tolist()
            assert (
                file["labels"][support[number]].tolist()
                == classes[number][in_task[number]].tolist()
            )
        assert file["class_names"].tolist() == list(NAMES)
    files.write(path, [fixed(4)], IMAGES)
    with np.load(path, allow_pickle=False) as file:
        assert file["support"].reshape(4, -1).tolist() == fixed(4).support.tolist()


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (replace(IMAGES, name="beasts", identity="e"), ["'beasts'", "differ in content"]),
        (
            replace(IMAGES, classes=("ant", "bee", "cow", "dog", "elk", "fox")),
            ["lacks 2 classes (cat, eel)", "the other 2 classes (cow, elk)"],
        ),
        (replace(IMAGES, classes=(*NAMES, "gnu")), ["has the other 1 classes (gnu)"]),
        (replace(IMAGES, classes=NAMES[::-1]), ["another order"]),
        (replace(IMAGES, labels=IMAGES.labels[:-1]), ["109 images", "not 110"]),
        (replace(IMAGES, labels=IMAGES.labels.sort().values), ["another class or another place"]),
    ],
)
def test_other_data_is_an_error_that_says_what_differs(tmp_path, other, words):
    files.write(tmp_path / "tasks.npz", [fixed()], IMAGES)
    with pytest.raises(UserError) as error:
        files.read(tmp_path / "tasks.npz", other)
    assert all(word in str(error.value) for word in ["tasks of 'animals'", *words])


def test_another_name_of_the_same_data_is_no_error(tmp_path):
    files.write(tmp_path / "tasks.npz", [fixed()], IMAGES)
    assert files.read(tmp_path / "tasks.npz", replace(IMAGES, name="copy")).data == "animals"


@pytest.mark.parametrize(
    ("key", "change", "words"),
    [
        ("support", lambda a: np.concatenate([a[1:2], a[1:]]), "an image twice"),
        ("support", lambda a: a + 1000, "not among the 110"),
        ("query", lambda a: a[:-1], "`query` has the shape"),
        ("query_labels", lambda a: a + 4, "not below its ways"),
        ("query_labels", lambda a: (a + 1) % 5, "not have the class of its task"),
        ("classes", lambda a: np.concatenate([a[1:2], a[1:]]), "a class twice"),
        ("ways", lambda a: np.array([6, 4, *a[2:]]), "differ in their shape"),
        ("sets", lambda a: a + 1, "different numbers of tasks"),
        ("version", lambda a: a + 1, "version 2"),
        ("protocol", lambda a: np.array("{"), "cannot be read as a task file"),
        ("protocol", lambda a: np.array("[1]"), "`protocol` is not a JSON object"),
        ("labels", None, "cannot be read as a task file"),
        ("version", lambda a: np.array("1.0"), "`version` is not a whole number"),
        ("version", lambda a: np.array([1, 1]), "`version` is not a whole number"),
        ("sets", lambda a: a[0], "`sets` is not a one-dimensional array of whole numbers"),
        ("sets", lambda a: a.astype(float), "`sets` is not a one-dimensional array"),
        ("support_sizes", lambda a: a.astype(float), "`support_sizes` is not a one-dimensional"),
        ("support", lambda a: a.astype(str), "`support` is not a one-dimensional array"),
        ("class_names", lambda a: np.arange(6), "`class_names` is not a one-dimensional array"),
        ("labels", lambda a: a[:, None], "`labels` is not a one-dimensional array"),
    ],
)
def test_a_damaged_file_is_an_error(tmp_path, key, change, words):
    path = tmp_path / "tasks.npz"
    files.write(path, [fixed()], IMAGES)
    with np.load(path) as file:
        arrays = dict(file)
    if change is None:
        del arrays[key]
    else:
        arrays[key] = change(arrays[key])
    np.savez(path, **arrays)
    with pytest.raises(UserError, match=words) as error:
        files.read(path, IMAGES)
    assert "tasks.npz" in str(error.value)


def test_a_task_without_support_of_a_class_is_an_error(tmp_path):
    tasks = sampling.fixed(IMAGES.labels, ways=2, shots=2, queries=1, count=1, seed=0)
    only_first = replace(
        tasks, support=tasks.support[:, :2], support_labels=tasks.support_labels[:, :2]
    )
    files.write(tmp_path / "tasks.npz", [only_first], IMAGES)
    with pytest.raises(UserError, match="a class has no support image"):
        files.read(tmp_path / "tasks.npz", IMAGES)


@pytest.mark.parametrize("part", ["support", "query"])
def test_tasks_without_images_are_an_error(tmp_path, part):
    path = tmp_path / "tasks.npz"
    files.write(path, [fixed()], IMAGES)
    with np.load(path) as file:
        arrays = dict(file)
    arrays[part] = arrays[f"{part}_labels"] = np.array([], dtype=np.int32)
    arrays[f"{part}_sizes"] = np.zeros(7, dtype=np.int32)
    np.savez(path, **arrays)
    with pytest.raises(UserError, match="no support images, or no queries"):
        files.read(path, IMAGES)


@pytest.mark.parametrize("content", [None, b"", b"not a zip file", b"PK\x03\x04 damaged"])
def test_what_is_no_task_file_is_an_error(tmp_path, content):
    path = tmp_path / "tasks.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"tasks\.npz (does not exist|cannot be read)"):
        files.read(path, IMAGES)


def test_a_folder_that_does_not_exist_is_an_error(tmp_path):
    with pytest.raises(UserError, match="could not be written"):
        files.write(tmp_path / "missing" / "tasks.npz", [fixed()], IMAGES)
