"""What numpy's names in a pickle are answered with: arrays and types that check what they are given."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kinelex.errors import InputError

_KINDS = "biufcSU"  # bool, whole, real and complex numbers, bytes, text: no objects, no records
_NUMPY = ("numpy.core", "numpy._core")  # the names of one package in numpy 1 and 2


class RefusedError(Exception):
    """The pickle asked for something that it does not get."""


def shape_of(x: np.ndarray) -> tuple[int, ...]:
    """The shape of an array from a pickle, also of one that was left in the file."""
    left = getattr(x, "left", None)
    return x.shape if left is None else left.shape


def whole_array(x: np.ndarray, path: Path) -> np.ndarray:
    """An array from the pickle at ``path``, also one that was left in the file."""
    left = getattr(x, "left", None)
    if left is None:
        return np.asarray(x)
    try:
        with open(path, "rb") as file:
            file.seek(left.piece.start)
            raw = file.read(left.piece.length)
        if left.piece.is_text:
            raw = raw.decode("utf-8", "surrogatepass").encode("latin1")
        return np.frombuffer(raw, left.dtype).reshape(left.shape, order="F" if left.fortran else "C")
    except (OSError, ValueError) as error:
        raise InputError(f"the numbers of an array are damaged: {error}") from error


class Piece(NamedTuple):
    """Bytes that stay in the file; ``is_text`` where protocols 0 to 2 wrote them as text."""

    start: int
    length: int
    is_text: bool


class Left(NamedTuple):
    """An array whose numbers stay in the file."""

    piece: Piece
    shape: tuple[int, ...]
    dtype: np.dtype
    fortran: bool


class Dtype:
    """What a pickle says about an array's type."""

    __slots__ = ("order", "text")

    def __init__(self, text: str, order: str = "=") -> None:
        self.text, self.order = text, order

    def __setstate__(self, state: tuple) -> None:
        order, details = state[1], state[2:5]
        if order not in ("<", ">", "=", "|") or any(detail not in (None, ()) for detail in details):
            raise RefusedError(f"asks for the numpy type {state!r:.80}")
        self.order = order

    def numpy(self) -> np.dtype:
        """The type itself, of plain numbers or texts."""
        return np.dtype(self.text).newbyteorder(self.order)  # type: ignore[arg-type]


class _MakeDtype:
    """``numpy.dtype``: plain types only."""

    __slots__ = ()

    def __call__(self, text: Any, *more: Any) -> Dtype:
        if not isinstance(text, str) or not text[:1].isalpha() or np.dtype(text).kind not in _KINDS:
            raise RefusedError(f"asks for the numpy type {text!r:.80}")
        return Dtype(text)


class _Array(np.ndarray):
    """An array on its way out of a pickle; checks its parts before numpy gets them."""

    def __new__(cls, *arguments: Any) -> _Array:
        if arguments:
            raise RefusedError("asks for an array that is not in the file")
        return super().__new__(cls, (0,), np.uint8)

    def __setstate__(self, state: Any) -> None:
        shape, dtype, fortran, raw = state[-4:]
        if not isinstance(dtype, Dtype):
            raise RefusedError("asks for an array without a type")
        if isinstance(raw, Piece):
            size = raw.length if not raw.is_text else None  # as text some bytes take two
            self.left = Left(raw, _shape(shape, dtype.numpy(), size), dtype.numpy(), bool(fortran))
            return
        if not isinstance(raw, bytes | bytearray | str):
            raise RefusedError("asks for an array of objects")
        raw = raw.encode("latin1") if isinstance(raw, str) else bytes(raw)
        checked: Any = (1, _shape(shape, dtype.numpy(), len(raw)), dtype.numpy(), bool(fortran), raw)
        super().__setstate__(checked)


class _Reconstruct:
    """``numpy.core.multiarray._reconstruct``: an empty array, which its state then fills."""

    __slots__ = ()

    def __call__(self, subtype: Any, *_: Any) -> _Array:
        if subtype is not _Array:
            raise RefusedError(f"asks for an array of the type {subtype!r:.80}")
        return _Array()


class _FromBuffer:
    """``numpy.core.numeric._frombuffer``: how protocol 5 writes an array."""

    __slots__ = ()

    def __call__(self, raw: Any, dtype: Any, shape: Any, order: Any, *axes: Any) -> np.ndarray:
        if not isinstance(dtype, Dtype) or not isinstance(raw, bytes | bytearray) or axes:
            raise RefusedError("asks for an array in a way of its own")
        flat = np.frombuffer(raw, dtype.numpy())
        return flat.reshape(_shape(shape, dtype.numpy(), len(raw)), order="F" if order == "F" else "C")


class _Scalar:
    """``numpy.core.multiarray.scalar``: one number."""

    __slots__ = ()

    def __call__(self, dtype: Any, raw: Any) -> Any:
        if not isinstance(dtype, Dtype) or not isinstance(raw, bytes | str):
            raise RefusedError("asks for a number of objects")
        raw = raw.encode("latin1") if isinstance(raw, str) else raw
        return np.frombuffer(raw, dtype.numpy(), count=1)[0].item()


class Encode:
    """``_codecs.encode`` from text to bytes: how protocols 0 to 2 write bytes."""

    __slots__ = ()

    def __call__(self, text: Any, encoding: Any = "latin1") -> bytes | Piece:
        if isinstance(text, Piece) and encoding == "latin1":
            return text
        if not isinstance(text, str) or encoding != "latin1":
            raise RefusedError(f"wants to run _codecs.encode with {encoding!r:.80}")
        return text.encode("latin1")


class _Container:
    """A container of Python's, made from at most one list, tuple or text that the pickle holds."""

    __slots__ = ("kind",)

    def __init__(self, kind: type) -> None:
        self.kind = kind

    def __call__(self, *content: Any) -> Any:
        if len(content) > 1 or any(not isinstance(c, list | tuple | str | bytes) for c in content):
            raise RefusedError(f"wants to run {self.kind.__name__} with {content!r:.80}")
        return self.kind(*content)


def _shape(shape: Any, dtype: np.dtype, size: int | None) -> tuple[int, ...]:
    """A shape that fits the number of bytes that came with it, where that is known."""
    shape = tuple(shape)
    if any(type(n) is not int or n < 0 for n in shape) or dtype.itemsize == 0:
        raise RefusedError(f"asks for an array of shape {shape!r:.80}")
    if size is not None and (count := math.prod(shape) * dtype.itemsize) != size:
        raise ValueError(f"an array of shape {shape} has {size} bytes, expects {count}")
    return shape


NAMES: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _MakeDtype(),
    ("_codecs", "encode"): Encode(),
    **{(f"{package}.multiarray", "_reconstruct"): _Reconstruct() for package in _NUMPY},
    **{(f"{package}.multiarray", "scalar"): _Scalar() for package in _NUMPY},
    **{(f"{package}.numeric", "_frombuffer"): _FromBuffer() for package in _NUMPY},
    ("collections", "OrderedDict"): _Container(dict),
    **{
        (module, kind.__name__): _Container(kind)
        for module in ("builtins", "__builtin__")
        for kind in (list, tuple, set, frozenset, bytes, bytearray)
    },
}
