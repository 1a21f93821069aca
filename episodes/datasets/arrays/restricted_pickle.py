"""Read pickles of NumPy arrays and plain containers, without NumPy's own part in it.

A pickle names functions and calls them. Even those of NumPy alone are dangerous: they can make an
array of Python objects at addresses that the file chooses. Here every name stands for a function
below, which only makes arrays of numbers from bytes. Python's own reader is used instead of the
faster one in C, because a few bytes can make that one allocate all of the memory.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from io import BytesIO
from typing import Any, ClassVar

import numpy as np

_TYPES = frozenset(["b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"])
_ERRORS = (
    pickle.UnpicklingError,
    EOFError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    MemoryError,
    OverflowError,
)


class Unreadable(Exception):
    """A pickle is damaged, or asks for something that it must not have."""


class _Type:
    """The type of an array: `numpy.dtype` in a pickle."""

    def __init__(self, name: object, *_: object) -> None:
        if name not in _TYPES:
            raise pickle.UnpicklingError(f"an array of the type {str(name)[:20]} is not allowed")
        self.dtype = np.dtype(str(name))

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.dtype = self.dtype.newbyteorder(state[1] if state[1] in ("<", ">") else "|")


class _Array:
    """An array: `numpy.ndarray` in a pickle."""

    def __init__(self) -> None:
        self.values = np.empty(0)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, is_fortran, content = state
        values = np.frombuffer(content, kind.dtype)
        self.values = values.reshape(shape, order="F" if is_fortran else "C")


def _array(*_: object) -> _Array:
    """Stand for `_reconstruct`: the type, shape and content follow."""
    return _Array()


def _number(kind: _Type, content: bytes) -> Any:
    """Stand for `scalar`."""
    return np.frombuffer(content, kind.dtype, 1)[0].item()


def _bytes(text: str, encoding: str) -> bytes:
    """Stand for `_codecs.encode`, by which older pickles hold bytes."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"the encoding {encoding[:20]} is not allowed")
    return text.encode("latin1")


_STANDING_FOR: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
    ("numpy._core.multiarray", "_reconstruct"): _array,
    ("numpy._core.multiarray", "scalar"): _number,
    ("_codecs", "encode"): _bytes,
}


class _Reader(pickle._Unpickler):
    dispatch: ClassVar = dict(pickle._Unpickler.dispatch)

    def find_class(self, module: str, name: str) -> Any:
        own = _STANDING_FOR.get((module.replace("numpy.core", "numpy._core"), name))
        if own is None:
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed")
        return own

    def load_build(self) -> None:
        """Restore arrays and their types alone: anything else would change this module."""
        if not isinstance(self.stack[-2], _Array | _Type):  # type: ignore[attr-defined]
            raise pickle.UnpicklingError("a change of an object is not allowed")
        super().load_build()  # type: ignore[misc]

    dispatch[pickle.BUILD[0]] = load_build  # type: ignore[assignment]


def read(content: bytes) -> dict[bytes, Any]:
    """Return the dictionary in a pickle; values that are arrays are NumPy arrays.

    Raises:
        Unreadable: it is damaged, is something else, or asks for code to be run.
    """
    try:
        values = _Reader(BytesIO(content), encoding="bytes").load()
    except _ERRORS as error:
        reason = " ".join(str(error).split())[:100] or type(error).__name__
        raise Unreadable(f"cannot be read ({reason})") from error
    if not isinstance(values, dict):
        raise Unreadable("is not a dictionary")
    return {
        key: value.values if isinstance(value, _Array) else value for key, value in values.items()
    }
