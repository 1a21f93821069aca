"""Oracles: arrays that NumPy pickled, and pickles whose opcodes are made to do harm."""

from __future__ import annotations

import contextlib
import os
import pickle
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from episodes.datasets.arrays import restricted_pickle
from episodes.datasets.arrays.restricted_pickle import Unreadable


@pytest.mark.parametrize("protocol", [0, 2, 3, 4])
@pytest.mark.parametrize("dtype", ["u1", ">i4", "f8", "?"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_come_back(protocol: int, dtype: str, order: Any) -> None:
    values = np.arange(12).reshape(3, 4).astype(dtype, order=order)
    content = {b"data": values, b"labels": [1, 2], b"n": np.int64(3), b"name": b"a\xff"}
    result = restricted_pickle.read(pickle.dumps(content, protocol))
    np.testing.assert_array_equal(result[b"data"], values)
    assert (result[b"data"].dtype, result[b"labels"], result[b"n"]) == (values.dtype, [1, 2], 3)
    assert result[b"name"] == b"a\xff"


class Call:
    """Pickles as a call of a function."""

    def __init__(self, function: Callable[..., Any], *arguments: Any, state: Any = None) -> None:
        self.parts = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.parts


def objects_at_addresses() -> Call:
    """Return an array of objects whose addresses are bytes of the file."""
    kind = Call(np.dtype, "O8", False, True, state=(3, "|", None, None, None, -1, -1, 0))
    array: Any = np._core.multiarray._reconstruct
    return Call(array, np.ndarray, (0,), b"b", state=(1, (4,), kind, False, b"ABCDEFGH" * 4))


def huge_array() -> Call:
    array: Any = np._core.multiarray._reconstruct
    kind = np.dtype("u1")
    return Call(array, np.ndarray, (10**12,), b"b", state=(1, (10**12,), kind, False, b"ab"))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (objects_at_addresses, "type O8 is not allowed"),
        (huge_array, "cannot reshape"),
        (lambda: Call(np.load, "x.npy", None, True), r"numpy.*load is not allowed"),
        (lambda: Call(getattr, 1, "real"), "getattr is not allowed"),
        (lambda: np.array([object()], dtype=object), "not allowed"),
        (lambda: np.zeros(2, dtype=[("a", "O")]), "not allowed"),
        (lambda: Call(np.dtype, "V8", False, True), "type V8"),
    ],
)
def test_other_calls_are_refused(make: Callable[[], Any], reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        restricted_pickle.read(pickle.dumps({b"data": make()}, 2))


def test_code_never_runs(tmp_path: os.PathLike[str]) -> None:
    marker = os.path.join(tmp_path, "made")
    for call in (Call(os.mkdir, marker), Call(eval, f"__import__('os').mkdir({marker!r})")):
        for protocol in range(5):
            with pytest.raises(Unreadable, match="not allowed"):
                restricted_pickle.read(pickle.dumps(call, protocol))
    assert not os.path.exists(marker)


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x02}r\xff\xff\xff\x7f.",  # remembers an object under a large number
        b"\x80\x05\x96" + (1 << 60).to_bytes(8, "little") + b".",  # a byte array of many bytes
        b"\x80\x04\x8e" + (1 << 60).to_bytes(8, "little") + b".",
        b"\x80\x02cnumpy\ndtype\n}X\x01\x00\x00\x00aK\x01sb.",  # changes a function that it names
        b"\x80\x02}Q.",
        b"(" * 100_000,
        b"",
    ],
)
def test_a_few_bytes_take_no_memory_and_change_nothing(content: bytes) -> None:
    start = time.process_time()
    with contextlib.suppress(Unreadable):
        assert restricted_pickle.read(content) == {}
    assert time.process_time() - start < 1
    assert not hasattr(restricted_pickle._Type, "a")
