"""Numbers in text, exactly as Python reads them: all at once where every line is as expected, or by line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from kinelex.errors import InputError
from kinelex.files.bounded import read_bytes

_SPACE, _END, _RETURN = 32, 10, 13


@dataclass(frozen=True)
class TextTable:
    """The numbers of a text and the lines that they stand in.

    Shape:
        - values: (numbers,) float64; first, count: (lines,) int64

    >>> table = TextTable.parse(b"2 0.1\\n-3e5\\n")
    >>> table.values.tolist(), table.first.tolist(), table.count.tolist()
    ([2.0, 0.1, -300000.0], [0, 2], [2, 1])
    >>> table.text(1)
    b'0.1'
    """

    values: np.ndarray  # all numbers, as ``float`` reads them
    first: np.ndarray  # of each line, the index of its first number
    count: np.ndarray  # of each line, how many numbers it has; never 0
    _digits: bytes
    _starts: np.ndarray

    @classmethod
    def parse(cls, data: bytes) -> TextTable | None:
        r"""Read a text; None unless all is numbers, one space between two, and a ``\n`` or ``\r\n`` per line.

        Without its separators a text is its numbers in a row, and where each begins is where its separator
        was, less the separators before: what Arrow calls an array of strings, which it casts to numbers.
        """
        if not data.endswith(b"\n"):
            return None
        text = np.frombuffer(data, np.uint8)
        at = np.flatnonzero(text <= _SPACE)
        kind = text[at]
        returns = np.flatnonzero(kind == _RETURN)
        if (kind[returns + 1] != _END).any() or (at[returns + 1] != at[returns] + 1).any():
            return None
        at -= np.arange(len(at), dtype=np.int32)  # in place: new memory costs more than the subtraction
        numbers = kind != _RETURN
        starts = np.zeros(len(at) - len(returns) + 1, np.int32)
        starts[1:] = at[numbers]
        digits = data.translate(None, b" \r\n")
        if len(digits) != starts[-1]:
            return None  # other separators than these three
        strings = pa.StringArray.from_buffers(len(starts) - 1, pa.py_buffer(starts), pa.py_buffer(digits))
        try:
            values = strings.cast(pa.float64()).to_numpy()  # an empty string is no number: no gaps
        except pa.ArrowException:
            return None
        last = np.flatnonzero(kind[numbers] == _END)
        first = np.concatenate([[0], last[:-1] + 1])
        return cls(values, first, last - first + 1, digits, starts)

    def text(self, value: int) -> bytes:
        """How a number is written."""
        return self._digits[self._starts[value] : self._starts[value + 1]]

    def size(self, value: np.ndarray) -> np.ndarray:
        """With how many characters numbers are written."""
        return self._starts[value + 1] - self._starts[value]


_PLAIN = re.compile(rb"[-+.,0-9eE \t\r]*")  # without it float() would take nan, inf and 1_000


def read_lines(path: Path) -> tuple[list[bytes], bool]:
    """The lines of a file without their ends, and whether the last one has an end.

    A last line without an end may have lost digits of its last number, so that another number stands
    there: whoever reads numbers must not trust it. Blank lines at the end of the file are left out.
    """
    content = read_bytes(path)
    lines = [line.rstrip(b"\r") for line in content.split(b"\n")]
    found = len(lines)
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise InputError(f"{path}: the file is empty")
    return lines, len(lines) < found or content.endswith(b"\r")


def split_line(line: bytes, comma: bool, count: int, where: str) -> list[bytes]:
    """The fields of a line.

    >>> split_line(b"1,2", True, 2, "a.txt: line 1")
    [b'1', b'2']
    """
    fields = line.split(b"," if comma else None)
    if len(fields) != count:
        raise InputError(f"{where}: expects {count} numbers, got {len(fields)}")
    return fields


def read_table(path: Path, columns: int, comma: bool = False) -> np.ndarray:
    """A file of lines with as many numbers in each, divided by white space or by commas.

    Shape:
        - returns: (lines, columns) float64
    """
    lines, ended = read_lines(path)
    if not ended:
        raise InputError(f"{path}: line {len(lines)}: has no end of line; the file is truncated")
    rows = [split_line(line, comma, columns, f"{path}: line {i}") for i, line in enumerate(lines, start=1)]
    try:
        values = parse_numbers([field for row in rows for field in row], str(path))
    except InputError:
        for i, row in enumerate(rows, start=1):  # again, to name the line
            parse_numbers(row, f"{path}: line {i}")
        raise
    return values.reshape(len(rows), columns)


def parse_numbers(fields: list[bytes], where: str) -> np.ndarray:
    """Plain decimal numbers that single precision can hold.

    Shape:
        - returns: (fields,) float64

    >>> parse_numbers([b"1.5", b"-2e-1"], "a.txt: line 1")
    array([ 1.5, -0.2])
    """
    try:
        values = np.array(list(map(float, fields)))
    except ValueError:
        values = np.full(1, np.nan)  # the search below names the field
    largest = np.finfo(np.float32).max
    if _PLAIN.fullmatch(b" ".join(fields)) and (np.abs(values) <= largest).all():
        return values
    wrong = next(i for i, field in enumerate(fields) if not _is_number(field, float(largest)))
    shown = fields[wrong][:20].decode("ascii", errors="backslashreplace")
    raise InputError(f"{where}: field {wrong + 1} is {shown!r}, expects a number")


def _is_number(field: bytes, largest: float) -> bool:
    try:
        return bool(_PLAIN.fullmatch(field)) and abs(float(field)) <= largest
    except ValueError:
        return False
