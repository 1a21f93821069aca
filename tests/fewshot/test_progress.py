"""Oracle: a list that records every status line, in one thread and in several."""

import threading

import pytest

from fewshot import progress


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "less than a second"),
        (4.4, "4 s"),
        (90, "90 s"),
        (150, "2 min"),
        (5400, "90 min"),
        (12000, "3 h 20 min"),
    ],
)
def test_durations_have_two_digits_or_so(seconds: float, words: str) -> None:
    assert progress.duration(seconds) == words


def test_without_a_listener_nothing_happens():
    progress.update("step 1/2")


def test_lines_reach_the_innermost_listener_and_none_silences_a_block():
    outer: list[str] = []
    inner: list[str] = []
    with progress.shown_by(outer.append):
        progress.update("a")
        with progress.shown_by(inner.append):
            progress.update("b")
        with progress.shown_by(None):
            progress.update("c")
        progress.update("d")
    progress.update("e")
    assert outer == ["a", "d"]
    assert inner == ["b"]


def test_labels_are_nested_prefixes():
    lines: list[str] = []
    with progress.shown_by(lines.append), progress.within("trial 2/5"):
        progress.update("step 1/2")
        with progress.within("fold 3"):
            progress.update("step 2/2")
        progress.update("evaluation")
    assert lines == [
        "trial 2/5: step 1/2",
        "trial 2/5: fold 3: step 2/2",
        "trial 2/5: evaluation",
    ]


def test_listener_and_label_are_restored_after_an_error():
    lines: list[str] = []

    def fail() -> None:
        with progress.shown_by(None), progress.within("trial 1/1"):
            raise RuntimeError("inside")

    with progress.shown_by(lines.append):
        with pytest.raises(RuntimeError, match="inside"):
            fail()
        progress.update("next")
    assert lines == ["next"]


def test_threads_do_not_write_to_the_listener_of_another_thread():
    lines: list[str] = []
    with progress.shown_by(lines.append):
        thread = threading.Thread(target=progress.update, args=("from a thread",))
        thread.start()
        thread.join()
    assert lines == []
