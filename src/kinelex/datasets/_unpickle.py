"""Pickles without the danger: containers, numbers, texts and numpy arrays, and nothing else.

A pickle is a program. The one that :func:`read_pickle` runs can build lists, tuples, sets, dicts, numbers,
texts, bytes, None and numpy arrays and numbers (files of numpy 1 and 2); where it asks for any other name
it is refused, and nothing of it was run. The few names that arrays need are answered with objects of this
module that check what they are given, so that not even numpy sees an unchecked shape or type.
"""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import numpy as np

from kinelex.errors import InputError

_KINDS = "biufcSU"  # bool, whole, real and complex numbers, bytes, text: no objects, no records
_NUMPY = ("numpy.core", "numpy._core")  # the names of one package in numpy 1 and 2
_ALLOWED = "numbers, texts, lists, dicts and numpy arrays"


class _Refused(Exception):
    """The pickle asked for something that it does not get."""


def read_pickle(path: Path) -> Any:
    """The content of a pickle that holds containers, numbers, texts and numpy arrays only.

    Raises:
        InputError: the pickle asks for anything else (nothing was run), or is no whole pickle.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "a.pkl"
    >>> _ = path.write_bytes(pickle.dumps({"label": 3, "x": np.arange(3)}))
    >>> read_pickle(path)["label"], read_pickle(path)["x"].tolist()
    (3, [0, 1, 2])
    >>> _ = path.write_bytes(pickle.dumps(os.getcwd))
    >>> read_pickle(path)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    kinelex.errors.InputError: ...a.pkl: the pickle wants to run posix.getcwd, which was refused: expects ...
    """
    try:
        with open(path, "rb") as file:
            return _Unpickler(_Bounded(file, os.path.getsize(path)), encoding="latin1").load()
    except _Refused as refusal:
        raise InputError(f"{path}: the pickle {refusal}, which was refused: expects {_ALLOWED}") from None
    except Exception as error:  # a damaged pickle can provoke nearly any exception
        what = str(error) or type(error).__name__
        raise InputError(f"{path}: not a readable pickle (truncated or damaged): {what}") from error


class _Bounded:
    """A file that refuses to read past its end, so that a false length costs no memory."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._size = file, size

    def read(self, count: int = -1) -> bytes:
        if count > self._size - self._file.tell():
            raise EOFError("ends too early")
        return self._file.read(count)

    def readline(self) -> bytes:
        return self._file.readline()

    def readinto(self, buffer: Any) -> int:
        if len(buffer) > self._size - self._file.tell():
            raise EOFError("ends too early")
        return self._file.readinto(buffer)  # type: ignore[attr-defined]


class _Unpickler(pickle._Unpickler):  # the one in Python: a false memo index costs it no memory
    """An unpickler that answers the names of numpy's arrays, and no other."""

    def find_class(self, module: str, name: str) -> Any:
        found = _NAMES.get((module, name))
        if found is None:
            raise _Refused(f"wants to run {module}.{name}")
        return found

    def persistent_load(self, pid: Any) -> NoReturn:
        raise _Refused("refers to objects outside of it")


class _Dtype:
    """What a pickle says about an array's type."""

    __slots__ = ("order", "text")

    def __init__(self, text: str, order: str = "=") -> None:
        self.text, self.order = text, order

    def __setstate__(self, state: tuple) -> None:
        order, details = state[1], state[2:5]
        if order not in ("<", ">", "=", "|") or any(detail not in (None, ()) for detail in details):
            raise _Refused(f"asks for the numpy type {state!r:.80}")
        self.order = order

    def numpy(self) -> np.dtype:
        """The type itself, of plain numbers or texts."""
        return np.dtype(self.text).newbyteorder(self.order)  # type: ignore[arg-type]


class _MakeDtype:
    """``numpy.dtype``: plain types only."""

    __slots__ = ()

    def __call__(self, text: Any, *more: Any) -> _Dtype:
        if not isinstance(text, str) or not text[:1].isalpha() or np.dtype(text).kind not in _KINDS:
            raise _Refused(f"asks for the numpy type {text!r:.80}")
        return _Dtype(text)


class _Array(np.ndarray):
    """An array on its way out of a pickle; checks its parts before numpy gets them."""

    def __new__(cls, *arguments: Any) -> _Array:
        if arguments:
            raise _Refused("asks for an array that is not in the file")
        return super().__new__(cls, (0,), np.uint8)

    def __setstate__(self, state: Any) -> None:
        shape, dtype, fortran, raw = state[-4:]
        if not isinstance(dtype, _Dtype):
            raise _Refused("asks for an array without a type")
        if not isinstance(raw, bytes | bytearray | str):
            raise _Refused("asks for an array of objects")
        raw = raw.encode("latin1") if isinstance(raw, str) else bytes(raw)
        checked: Any = (1, _shape(shape, dtype.numpy(), raw), dtype.numpy(), bool(fortran), raw)
        super().__setstate__(checked)


class _Reconstruct:
    """``numpy.core.multiarray._reconstruct``: an empty array, which its state then fills."""

    __slots__ = ()

    def __call__(self, subtype: Any, *_: Any) -> _Array:
        if subtype is not _Array:
            raise _Refused(f"asks for an array of the type {subtype!r:.80}")
        return _Array()


class _FromBuffer:
    """``numpy.core.numeric._frombuffer``: how protocol 5 writes an array."""

    __slots__ = ()

    def __call__(self, raw: Any, dtype: Any, shape: Any, order: Any, *axes: Any) -> np.ndarray:
        if not isinstance(dtype, _Dtype) or not isinstance(raw, bytes | bytearray) or axes:
            raise _Refused("asks for an array in a way of its own")
        flat = np.frombuffer(raw, dtype.numpy())
        return flat.reshape(_shape(shape, dtype.numpy(), raw), order="F" if order == "F" else "C")


class _Scalar:
    """``numpy.core.multiarray.scalar``: one number."""

    __slots__ = ()

    def __call__(self, dtype: Any, raw: Any) -> Any:
        if not isinstance(dtype, _Dtype) or not isinstance(raw, bytes | str):
            raise _Refused("asks for a number of objects")
        raw = raw.encode("latin1") if isinstance(raw, str) else raw
        return np.frombuffer(raw, dtype.numpy(), count=1)[0].item()


class _Encode:
    """``_codecs.encode`` from text to bytes: how protocols 0 to 2 write bytes."""

    __slots__ = ()

    def __call__(self, text: Any, encoding: Any = "latin1") -> bytes:
        if not isinstance(text, str) or encoding != "latin1":
            raise _Refused(f"wants to run _codecs.encode with {encoding!r:.80}")
        return text.encode("latin1")


class _Container:
    """A container of Python's, made from at most one list, tuple or text that the pickle holds."""

    __slots__ = ("kind",)

    def __init__(self, kind: type) -> None:
        self.kind = kind

    def __call__(self, *content: Any) -> Any:
        if len(content) > 1 or any(not isinstance(c, list | tuple | str | bytes) for c in content):
            raise _Refused(f"wants to run {self.kind.__name__} with {content!r:.80}")
        return self.kind(*content)


def _shape(shape: Any, dtype: np.dtype, raw: bytes | bytearray) -> tuple[int, ...]:
    """A shape that fits the bytes that came with it."""
    shape = tuple(shape)
    if any(type(n) is not int or n < 0 for n in shape) or dtype.itemsize == 0:
        raise _Refused(f"asks for an array of shape {shape!r:.80}")
    count = 1
    for n in shape:
        count *= n
    if count * dtype.itemsize != len(raw):
        raise ValueError(f"an array of shape {shape} has {len(raw)} bytes, expects {count * dtype.itemsize}")
    return shape


_NAMES: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _MakeDtype(),
    ("_codecs", "encode"): _Encode(),
    **{(f"{package}.multiarray", "_reconstruct"): _Reconstruct() for package in _NUMPY},
    **{(f"{package}.multiarray", "scalar"): _Scalar() for package in _NUMPY},
    **{(f"{package}.numeric", "_frombuffer"): _FromBuffer() for package in _NUMPY},
    **{
        (module, kind.__name__): _Container(kind)
        for module in ("builtins", "__builtin__")
        for kind in (list, tuple, set, frozenset, bytes, bytearray)
    },
}
