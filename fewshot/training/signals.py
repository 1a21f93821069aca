"""Take SIGINT and SIGTERM at the end of a step, so that what is saved then is complete."""

from __future__ import annotations

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
