"""Numpy's files read with care: headers checked against the file's size, rows one piece at a time."""

from __future__ import annotations

import math
import os
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np

from kinelex.errors import InputError

MOST_BYTES = 1 << 28  # of an array that is unpacked into memory
_MOST_ROWS = 1 << 42  # of an array that is read in pieces
_PIECE = 1 << 20  # bytes read at once where content is only passed over


@dataclass(frozen=True)
class ArrayHeader:
    """What the beginning of a .npy file says."""

    shape: tuple[int, ...]  # shape of the array
    dtype: np.dtype  # its type
    fortran: bool  # whether the first axis changes fastest
    start: int  # bytes before the data

    @property
    def bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def read_header(file: IO[bytes], size: int, where: str, kinds: str = "fiu") -> ArrayHeader:
    """The header of a .npy file, checked against the size of the file."""
    try:
        one = np.lib.format.read_magic(file) == (1, 0)
        read = np.lib.format.read_array_header_1_0 if one else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(file)
    except Exception as error:  # the header is a Python literal: a damaged one provokes whatever it likes
        raise InputError(f"{where}: not a readable .npy array (truncated or damaged): {error}") from error
    if dtype.kind not in kinds or dtype.itemsize == 0:
        raise InputError(f"{where}: holds {dtype}, expects {'numbers' if 'f' in kinds else 'whole numbers'}")
    header = ArrayHeader(shape, dtype, fortran, file.tell())
    if any(type(n) is not int or n < 0 for n in shape) or header.bytes != size - header.start:
        raise InputError(
            f"{where}: truncated or damaged: {size - header.start} bytes, shape {shape} of {dtype} "
            f"takes {header.bytes}"
        )
    return header


def read_npy(path: Path, kinds: str = "fiu") -> np.ndarray:
    """A whole .npy file."""
    return np.array(map_npy(path, kinds))


def map_npy(path: Path, kinds: str = "fiu") -> np.ndarray:
    """A .npy file, memory-mapped: nothing is read until it is used."""
    try:
        with open(path, "rb") as file:
            header = read_header(file, os.path.getsize(path), str(path), kinds)
        order: Any = "F" if header.fortran else "C"
        if header.bytes == 0:
            return np.zeros(header.shape, header.dtype)
        return np.memmap(path, header.dtype, "r", header.start, header.shape, order)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error


def open_zip(path: Path) -> zipfile.ZipFile:
    """An .npz file."""
    try:
        return zipfile.ZipFile(path)
    except Exception as error:  # damaged directories provoke more than BadZipFile
        raise InputError(f"{path}: not a readable .npz file (truncated or damaged): {error}") from error


def bounded_member(archive: zipfile.ZipFile, name: str, most: int = MOST_BYTES) -> zipfile.ZipInfo:
    """What an archive says about one of its files that is to be unpacked into memory."""
    where = f"{archive.filename}: {name}"
    try:
        info = archive.getinfo(name)
    except KeyError:
        raise InputError(f"{where}: is not there") from None
    if info.file_size > most:
        raise InputError(f"{where}: unpacks to {info.file_size} bytes, expects at most {most}")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise InputError(f"{where}: is packed by another method than deflate: pack it again")
    return info


def read_member(
    archive: zipfile.ZipFile, name: str, kinds: str = "fiu", most: int = MOST_BYTES
) -> np.ndarray:
    """One whole array of an .npz file."""
    where = f"{archive.filename}: {name}"
    try:
        info = bounded_member(archive, f"{name}.npy", most)
        with archive.open(info) as file:
            header = read_header(file, info.file_size, where, kinds)
            if header.bytes // header.dtype.itemsize > most // 4:  # 8-bit numbers grow when they are used
                raise InputError(f"{where}: has shape {header.shape}, expects at most {most // 4} numbers")
            content = file.read(header.bytes + 1)  # one more: the checksum's turn
        if header.bytes == 0:
            return np.zeros(header.shape, header.dtype)
        if header.dtype.kind == "U":
            _check_letters(np.frombuffer(content, f"{header.dtype.str[0]}u4"), where)
        flat = np.frombuffer(content, header.dtype)
        return flat.reshape(header.shape, order="F" if header.fortran else "C")
    except InputError:
        raise
    except Exception as error:  # zlib, zipfile and numpy each have errors of their own
        raise InputError(f"{where}: truncated or damaged: {error}") from error


def _check_letters(letters: np.ndarray, where: str) -> None:
    if ((letters > 0x10FFFF) | ((letters >= 0xD800) & (letters < 0xE000))).any():
        raise InputError(f"{where}: truncated or damaged: holds what is no text")


def read_npz(path: Path, most: int = MOST_BYTES) -> dict[str, np.ndarray]:
    """All arrays of an .npz file that holds numbers and texts; no pickle is run.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: it is damaged, or takes more than ``most`` bytes.
    """
    if not path.exists():
        raise FileNotFoundError(str(path))
    found: dict[str, np.ndarray] = {}
    with open_zip(path) as archive:
        for member in archive.namelist():
            name = member.removesuffix(".npy")
            found[name] = read_member(archive, name, "biufU", most)
            most -= found[name].nbytes
    return found


class MemberRows:
    """Rows of one array in an .npz file, a few at a time; the array is never in memory.

    An array that is stored as it is can be read from any row on. A compressed one is decompressed from
    its beginning; reading forward goes on where it was.

    Args:
        path: the .npz file.
        name: name of the array.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._stream: IO[bytes] | None = None
        self.path, self.name, self.where = path, name, f"{path}: {name}"
        with open_zip(path) as archive:
            try:
                self._info = bounded_member(archive, f"{name}.npy", _MOST_ROWS)
                with archive.open(self._info) as file:
                    self.header = read_header(file, self._info.file_size, self.where)
            except InputError:
                raise
            except Exception as error:
                raise InputError(f"{self.where}: truncated or damaged: {error}") from error
        if self.header.fortran and len(self.header.shape) > 1 or not self.header.shape:
            raise InputError(f"{self.where}: expects rows that lie together (C order)")

    def __len__(self) -> int:
        return self.header.shape[0]

    @property
    def row_bytes(self) -> int:
        """Size of one row."""
        return self.header.bytes // max(1, len(self))

    def check(self) -> None:
        """Read all of it once against its checksum, so that no damaged row becomes a clip."""
        try:
            with open_zip(self.path) as archive, archive.open(self._info) as file:
                while file.read(_PIECE):
                    pass
        except InputError:
            raise
        except Exception as error:
            raise InputError(f"{self.where}: truncated or damaged: {error}") from error

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Rows ``start`` to ``stop``, (stop - start, ...)."""
        try:
            position = self.header.start + start * self.row_bytes
            count = (stop - start) * self.row_bytes
            content = self._read(position, count)
        except Exception as error:
            raise InputError(f"{self.where}: truncated or damaged: {error}") from error
        if len(content) != count:
            raise InputError(f"{self.where}: truncated: row {start} is not whole")
        return np.frombuffer(content, self.header.dtype).reshape(stop - start, *self.header.shape[1:])

    def _read(self, position: int, count: int) -> bytes:
        if self._info.compress_type == zipfile.ZIP_STORED:
            with open(self.path, "rb") as file:
                file.seek(self._data_start + position)
                return file.read(count)
        if self._stream is None or self._stream.tell() > position:
            self._close()
            self._stream = zipfile.ZipFile(self.path).open(self._info)  # noqa: SIM115 - for the next rows too
        self._stream.seek(position)  # passes over what lies between
        return self._stream.read(count)

    def _close(self) -> None:
        if self._stream is not None:
            self._stream.close()

    __del__ = _close

    @cached_property
    def _data_start(self) -> int:
        """Where the content of a stored member begins: behind its local header, name and extra field."""
        with open(self.path, "rb") as file:
            file.seek(self._info.header_offset + 26)
            lengths = np.frombuffer(file.read(4), "<u2")
        return self._info.header_offset + 30 + int(lengths.sum())
