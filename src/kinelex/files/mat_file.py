"""Real numeric arrays of MATLAB's .mat files (version 5, as ``save`` makes them unless told ``-v7.3``).

``scipy.io.loadmat`` reads more, but a damaged file can end the whole process in it (a segmentation fault).
Source: MathWorks, MAT-File Format, level 5.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from kinelex.errors import InputError
from kinelex.files.bounded import read_bytes

_HEADER = 128  # bytes
_MOST = 2**25  # bytes of all unpacked variables: a clip of an hour; as 8-bit numbers they grow eightfold
_MATRIX, _COMPRESSED = 14, 15
_STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_NUMERIC = range(6, 16)  # classes double, single, int8 to uint64
_TEXT = 4  # class char
_ENCODINGS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16"}
_COMPLEX = 0x0800
_ORDER = {b"IM": "<", b"MI": ">"}  # the header's last two bytes: little and big end first


def read_mat(path: Path) -> dict[str, np.ndarray]:
    """The real numeric arrays of a file by name; other variables (texts, cells, ...) are left out.

    Numbers have the type they are stored in, which MATLAB makes as small as they allow. Arrays are read-only.
    """
    return {name: value for name, value in _variables(path).items() if isinstance(value, np.ndarray)}


def mat_variable(content: dict[str, np.ndarray], name: str, path: Path) -> np.ndarray:
    """One of a file's arrays."""
    if name not in content:
        names = ", ".join(content) or "none"
        raise InputError(f"{path}: expects the variable {name!r}, the file has {names}")
    return content[name]


def read_mat_frames(path: Path, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The variable ``name`` of a file, of shape ``(*shape, T)`` with the frames last."""
    x = mat_variable(read_mat(path), name, path)
    x = x[..., None] if x.shape == shape else x  # MATLAB drops a last dimension of 1
    if x.shape[:-1] != shape:
        wanted = ", ".join(map(str, (*shape, "T")))
        raise InputError(f"{path}: variable {name!r} has shape {x.shape}, expects ({wanted})")
    return x


def read_mat_texts(path: Path) -> dict[str, str]:
    """The texts of a file by name; other variables are left out."""
    return {name: value for name, value in _variables(path).items() if isinstance(value, str)}


def _variables(path: Path) -> dict[str, np.ndarray | str]:
    content = read_bytes(path)
    if content[:8] == b"\x89HDF\r\n\x1a\n" or content.startswith(b"MATLAB 7.3"):
        raise InputError(f"{path}: a .mat file of version 7.3: save it again in MATLAB with the option -v7")
    order = _ORDER.get(content[_HEADER - 2 : _HEADER])
    if order is None:
        raise InputError(f"{path}: no .mat file of version 5, or truncated or damaged")
    try:
        variables = (_variable(body, order) for body in _matrices(content[_HEADER:], order))
        return dict(filter(None, variables))
    except (_DamagedError, zlib.error) as error:
        raise InputError(f"{path}: not a readable .mat file (truncated or damaged): {error}") from error


class _DamagedError(Exception):
    """What in a file is not as it has to be."""


def _elements(content: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Type and body of every element."""
    at = 0
    while at < len(content):
        if len(content) - at < 8:
            raise _DamagedError("it ends within a tag")
        kind, size = (int(n) for n in np.frombuffer(content, f"{order}u4", 2, at))
        start, end = at + 8, at + 8 + size
        at = end if kind == _COMPRESSED else end + -size % 8
        if kind >> 16:  # up to four bytes are in the tag itself
            kind, size, start, at = kind & 0xFFFF, kind >> 16, start - 4, start
            if size > 4:
                raise _DamagedError(f"{size} bytes in a tag for 4")
            end = start + size
        if end > len(content):
            raise _DamagedError(f"an element of {size} bytes ends after the file")
        yield kind, content[start:end]


def _matrices(content: bytes, order: str) -> Iterator[bytes]:
    left = _MOST
    for kind, body in _elements(content, order):
        if kind == _COMPRESSED:
            unpacker = zlib.decompressobj()
            body = unpacker.decompress(body, left + 1)
            left -= len(body)
            if left < 0:
                raise _DamagedError(f"its variables unpack to more than {_MOST} bytes")
            if not unpacker.eof:
                raise _DamagedError("a packed variable has no end")
            yield from (inner for k, inner in _elements(body, order) if k == _MATRIX)
        elif kind == _MATRIX:
            yield body


def _variable(body: bytes, order: str) -> tuple[str, np.ndarray | str] | None:
    """Name and value of a matrix element; None if it is neither a numeric array nor a text."""
    parts = list(_elements(body, order))
    if len(parts) < 3:
        raise _DamagedError("a variable without flags, shape and name")
    flags = int(_numbers(parts[0], order, "u4", 2)[0])
    if flags & 0xFF not in (*_NUMERIC, _TEXT):
        return None
    shape = [int(n) for n in _numbers(parts[1], order, "i4", None)]
    name = parts[2][1].decode("ascii", errors="backslashreplace")
    if flags & _COMPLEX:
        raise _DamagedError(f"variable {name!r} holds complex numbers, expects real ones")
    if len(shape) < 2 or min(shape) < 0 or len(parts) != 4:
        raise _DamagedError(f"variable {name!r} has no shape or no values")
    if flags & 0xFF == _TEXT:
        return name, _text(parts[3], order)
    kind = _STORED.get(parts[3][0])
    if kind is None:
        raise _DamagedError(f"variable {name!r} has values of no known type")
    return name, _numbers(parts[3], order, kind, math.prod(shape)).reshape(shape, order="F")


def _text(element: tuple[int, bytes], order: str) -> str:
    encoding = _ENCODINGS.get(element[0])
    if encoding is None:
        raise _DamagedError("a text of no known encoding")
    if encoding == "utf-16":
        encoding = "utf-16-le" if order == "<" else "utf-16-be"
    return element[1].decode(encoding, errors="replace")


def _numbers(element: tuple[int, bytes], order: str, kind: str, count: int | None) -> np.ndarray:
    found, body = element
    size = np.dtype(kind).itemsize
    if _STORED.get(found) != kind or len(body) % size or count not in (None, len(body) // size):
        raise _DamagedError(f"{len(body)} bytes of type {found}, expects {count} numbers of type {kind}")
    return np.frombuffer(body, f"{order}{kind}")
