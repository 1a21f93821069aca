"""SIGINT and SIGTERM: taken at the end of a step, when what is saved is complete, or passed on."""

from __future__ import annotations

import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fewshot.errors import Interrupted


@contextmanager
def stop_requested() -> Iterator[Callable[[], bool]]:
    """Collect the first signal inside the block; a second one raises at once.

    Only the main thread receives signals. In any other thread the answer is always no.

    Yields:
        A function that returns whether a signal came.

    Raises:
        Interrupted: at the second signal.
    """
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return

    def handle(number: int, frame: object) -> None:
        if received:
            raise Interrupted
        received.append(number)

    handled = (signal.SIGINT, signal.SIGTERM)
    previous = {number: signal.signal(number, handle) for number in handled}
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def passed_on_to_children() -> Iterator[None]:
    """Pass a signal inside the block on to all child processes, and raise in this one.

    Raises:
        Interrupted: at a signal, which only the main thread receives.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: object) -> None:
        for child in multiprocessing.active_children():
            child.terminate()
        raise Interrupted

    handled = (signal.SIGINT, signal.SIGTERM)
    previous = {number: signal.signal(number, handle) for number in handled}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def ctrl_c_held_back() -> Iterator[None]:
    """Deliver SIGINT after the block; processes that start in it never receive it.

    A terminal sends it to all processes of a command. A process that is still importing would
    answer with a traceback, and ends in an orderly way when its parent passes the signal on.
    """
    arrived: list[int] = []
    in_main_thread = threading.current_thread() is threading.main_thread()
    # The mask is for the processes that start; a signal to this process then reaches another
    # thread, and Python answers it in the main thread.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    if in_main_thread:
        handler = signal.signal(signal.SIGINT, lambda number, frame: arrived.append(number))
    try:
        yield
    finally:
        if in_main_thread:
            signal.signal(signal.SIGINT, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if arrived:
            signal.raise_signal(signal.SIGINT)
