"""Damaged and hostile model files end in one sentence, whatever is in them.

Oracle: more than 220 files that were made from a good one by hand or by chance; the limits and the
audit events of the process while they are read.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fewshot.errors import UserError
from fewshot.model import file_format, model_card
from tests.fewshot.model import hostile_files
from tests.fewshot.model.stored_classifier import classifier

MEMORY = 1 << 30  # bytes beyond those of the process
SECONDS = 20.0
# Events of Python that a model file must never cause.
FORBIDDEN = ("os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "socket.")
events: list[tuple[str, str]] = []
listening = False


def note(event: str, arguments: tuple[Any, ...]) -> None:
    """Note what the process opens, starts and connects to."""
    if not listening:
        return
    if event == "open" or event.startswith(FORBIDDEN):
        events.append((event, str(arguments[0]) if arguments else ""))


sys.addaudithook(note)


@contextmanager
def bounded() -> Iterator[None]:
    """Bound the memory of the process, and listen to what it does."""
    global listening
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, before[1]))
    events.clear()
    listening = True
    try:
        yield
    finally:
        listening = False
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("model") / "good.fewshot"
    file_format.save(classifier(), path)
    file_format.load(path, "cpu")  # imports what is needed
    return path.read_bytes()


def files(kind: str, good: bytes) -> dict[str, bytes]:
    """Return the wrong files of a kind."""
    if kind == "damaged":
        return dict(hostile_files.damaged(good, seed=28))
    if kind == "headers":
        return dict(hostile_files.headers(good))
    changes = hostile_files.NETWORKS if kind == "networks" else hostile_files.CHANGES
    return {name: hostile_files.changed(good, change) for name, change in changes.items()}


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is measured on Linux")
@pytest.mark.parametrize(
    ("kind", "n_files"), [("damaged", 105), ("headers", 14), ("changes", 75), ("networks", 30)]
)
def test_each_wrong_file_is_one_sentence(kind: str, n_files: int, good: bytes, tmp_path: Path):
    path, faults, wrong = tmp_path / "wrong.fewshot", [], files(kind, good)
    assert len(wrong) >= n_files
    for name, content in wrong.items():
        path.write_bytes(content)
        started = time.perf_counter()
        with bounded():
            fault = _fault_of_loading(path)
        fault = fault or _fault_of_reading(path)
        if time.perf_counter() - started > SECONDS:
            fault = f"it took {time.perf_counter() - started:.0f} s"
        foreign = [
            event for event in events if event[0] != "open" or not _may_be_opened(event[1], path)
        ]
        if fault or foreign:
            faults.append(f"{name}: {fault} {foreign}")
    assert not faults, "\n".join(faults)


def _may_be_opened(name: str, path: Path) -> bool:
    """Return whether a file is the model file or part of Python and its libraries."""
    libraries = ("/proc/", sys.prefix, sys.base_prefix, str(Path(file_format.__file__).parents[2]))
    return name == str(path) or name.startswith(libraries)


def _fault_of_loading(path: Path) -> str:
    """Return what is wrong with the answer to a wrong file; nothing if it is one sentence."""
    try:
        file_format.load(path, "cpu")
    except UserError as error:
        text = str(error)
        is_sentence = "\n" not in text and text.endswith((".", "?")) and str(path) in text
        return "" if is_sentence and len(text) < 600 else f"no sentence: {text[:700]}"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    return "it was loaded"


def _fault_of_reading(path: Path) -> str:
    """Return what is wrong with the answer of `show`, which may be that it sees nothing wrong."""
    try:
        model_card.text(model_card.read(path))
    except UserError:
        return ""
    except BaseException as error:
        return f"show: {type(error).__name__}: {error}"
    return ""


def test_the_files_are_wrong_only_where_they_were_changed(good: bytes, tmp_path: Path):
    path = tmp_path / "same.fewshot"
    path.write_bytes(hostile_files.changed(good, lambda parts: None))
    assert file_format.load(path, "cpu").classes == classifier().classes


def test_a_class_named_like_a_path_is_a_name(good: bytes, tmp_path: Path):
    path = tmp_path / "path.fewshot"

    def change(parts: hostile_files.Parts) -> None:
        parts.about["classes"][0] = "../../\x1b[31mcat"
        counts = parts.about["card"]["class_counts"]
        parts.about["card"]["class_counts"] = dict(
            zip(parts.about["classes"], counts.values(), strict=True)
        )

    path.write_bytes(hostile_files.changed(good, change))
    assert file_format.load(path, "cpu").classes[0] == "../../\x1b[31mcat"
    assert "\x1b" not in model_card.text(model_card.read(path))
    assert sorted(tmp_path.iterdir()) == [path]
