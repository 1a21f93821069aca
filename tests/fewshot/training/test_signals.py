"""Oracle: signals that the process sends to itself, and Python's own handlers before and after."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from fewshot.errors import Interrupted
from fewshot.training.signals import ctrl_c_held_back, passed_on_to_children, stop_requested

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def handlers() -> list[object]:
    return [signal.getsignal(number) for number in SIGNALS]


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_is_only_noted(number: signal.Signals):
    before = handlers()
    with stop_requested() as is_stopping:
        assert not is_stopping()
        os.kill(os.getpid(), number)
        assert is_stopping()
    assert handlers() == before


def send_both() -> None:
    with stop_requested():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)


def test_the_second_signal_interrupts_at_once_and_the_handlers_are_restored():
    before = handlers()
    with pytest.raises(Interrupted):
        send_both()
    assert handlers() == before


def test_without_a_signal_an_error_passes_and_the_handlers_are_restored():
    before = handlers()

    def fail() -> None:
        with stop_requested():
            raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"):
        fail()
    assert handlers() == before


def test_other_threads_handle_no_signals():
    before, answers = handlers(), []

    def work() -> None:
        with stop_requested() as is_stopping:
            answers.extend([is_stopping(), handlers() == before])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert answers == [False, True]


def test_a_signal_reaches_the_children_and_interrupts():
    before = handlers()
    child = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,))
    child.start()
    with pytest.raises(Interrupted), passed_on_to_children():
        os.kill(os.getpid(), signal.SIGINT)
    child.join(timeout=30)
    assert child.exitcode == -signal.SIGTERM
    assert handlers() == before


def test_ctrl_c_comes_after_a_block_and_never_reaches_what_the_block_starts():
    code = "import os, signal; os.kill(os.getpid(), signal.SIGINT); print('goes on')"
    printed, late = [], False

    def start() -> None:
        nonlocal late
        with ctrl_c_held_back():
            os.kill(os.getpid(), signal.SIGINT)
            printed.append(subprocess.check_output([sys.executable, "-c", code], text=True))
            late = True

    is_done = threading.Event()
    other = threading.Thread(target=is_done.wait)  # the kernel may choose it for the signal
    other.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            start()
    finally:
        is_done.set()
        other.join()
    assert (printed, late) == (["goes on\n"], True)
