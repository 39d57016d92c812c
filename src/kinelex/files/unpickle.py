"""Pickles without the danger: containers, numbers, texts and numpy arrays, and nothing else.

A pickle is a program: any other name that it asks for is refused. The few names that arrays need are answered
with objects of :mod:`kinelex.files.pickled_arrays`, so that not even numpy sees an unchecked shape or type.
"""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, NoReturn

from kinelex.errors import InputError
from kinelex.files.pickled_arrays import NAMES, Dtype, Encode, Piece, RefusedError

_LARGE = 1024  # bytes from which on an array may be left in the file
_ALLOWED = "numbers, texts, lists, dicts and numpy arrays"


def read_pickle(path: Path, leave_arrays: bool = False) -> Any:
    """The content of a pickle that holds containers, numbers, texts and numpy arrays only.

    Args:
        leave_arrays: leave the numbers of large arrays in the file, so that memory holds no data set: an
            empty array stands for each, and ``shape_of`` and ``whole_array`` say what it is.

    Raises:
        InputError: the pickle asks for anything else (nothing was run), or is no whole pickle.

    >>> import tempfile, numpy as np
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
            return _Unpickler(_Bounded(file, os.path.getsize(path)), leave_arrays).load()
    except RefusedError as refusal:
        raise InputError(f"{path}: the pickle {refusal}, which was refused: expects {_ALLOWED}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except Exception as error:  # a damaged pickle can provoke nearly any exception
        what = str(error) or type(error).__name__
        raise InputError(f"{path}: not a readable pickle (truncated or damaged): {what}") from error


class _Bounded:
    """A file that refuses to read past its end, so that a false length costs no memory."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._size = file, size

    def read(self, count: int = -1) -> bytes:
        self._check(count)
        return self._file.read(count)

    def readline(self) -> bytes:
        return self._file.readline()

    def readinto(self, buffer: Any) -> int:
        self._check(len(buffer))
        return self._file.readinto(buffer)  # type: ignore[attr-defined]

    def skip(self, count: int) -> int:
        """Pass over some bytes; gives where they start."""
        self._check(count)
        return self._file.seek(count, os.SEEK_CUR) - count

    def _check(self, count: int) -> None:
        if count > self._size - self._file.tell():
            raise EOFError("ends too early")


class _Unpickler(pickle._Unpickler):  # the one in Python: a false memo index costs it no memory
    """An unpickler that answers the names of numpy's arrays, and no other."""

    dispatch: ClassVar[Any] = dict(pickle._Unpickler.dispatch)
    stack: list[Any]
    read: Any

    def __init__(self, file: _Bounded, leave_arrays: bool) -> None:
        super().__init__(file, encoding="latin1")
        self._file, self._leave = file, leave_arrays

    def _load_frame(self) -> None:
        self.read(8)  # frames are for readers that fetch ahead: without them the file's place is known

    def _load_raw(self, width: int, is_text: bool) -> None:
        """Bytes or text behind a length of ``width`` bytes."""
        length = int.from_bytes(self.read(width), "little")
        if self._leave and length >= _LARGE and self._is_for_array(is_text):
            self.stack.append(Piece(self._file.skip(length), length, is_text))
            return
        raw = self.read(length)
        self.stack.append(str(raw, "utf-8", "surrogatepass") if is_text else raw)

    def _is_for_array(self, is_text: bool) -> bool:
        """Whether what comes next are an array's numbers: by what stands before them."""
        before = self.stack[:-1] if is_text else self.stack  # text is first made bytes of, by _codecs.encode
        if is_text and not (self.stack and isinstance(self.stack[-1], Encode)):
            return False
        return len(before) > 1 and isinstance(before[-2], Dtype) and isinstance(before[-1], bool)

    def _load_bytearray(self) -> None:  # the inherited one makes room for the length before it reads
        self.stack.append(bytearray(self.read(int.from_bytes(self.read(8), "little"))))

    dispatch[pickle.FRAME[0]] = _load_frame
    dispatch[pickle.BYTEARRAY8[0]] = _load_bytearray
    dispatch[pickle.BINBYTES[0]] = lambda self: self._load_raw(4, False)
    dispatch[pickle.BINBYTES8[0]] = lambda self: self._load_raw(8, False)
    dispatch[pickle.BINUNICODE[0]] = lambda self: self._load_raw(4, True)
    dispatch[pickle.BINUNICODE8[0]] = lambda self: self._load_raw(8, True)

    def find_class(self, module: str, name: str) -> Any:
        found = NAMES.get((module, name))
        if found is None:
            raise RefusedError(f"wants to run {module}.{name}")
        return found

    def persistent_load(self, pid: Any) -> NoReturn:
        raise RefusedError("refers to objects outside of it")
