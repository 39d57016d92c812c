"""Private machinery of the readers of text files with one frame per line."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from kinelex.errors import InputError

_PLAIN = re.compile(rb"[-+.,0-9eE \t\r]*")  # without it float() would take nan, inf and 1_000


def read_lines(path: Path) -> tuple[list[bytes], bool]:
    """The lines of a file without their ends, and whether the last one has an end.

    A last line without an end may have lost digits of its last number, so that another number stands
    there: whoever reads numbers must not trust it. Blank lines at the end of the file are left out.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    lines = [line.rstrip(b"\r") for line in content.split(b"\n")]
    found = len(lines)
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise InputError(f"{path}: the file is empty")
    return lines, len(lines) < found or content.endswith(b"\r")


def split_line(line: bytes, comma: bool, count: int, where: str) -> list[bytes]:
    """The fields of a line.

    Args:
        line: the line without its end.
        comma: fields are divided by commas; else by white space.
        count: how many fields are expected.
        where: what to call the line in messages, for example ``FILE: line 3``.

    >>> split_line(b"1,2", True, 2, "a.txt: line 1")
    [b'1', b'2']
    """
    fields = line.split(b"," if comma else None)
    if len(fields) != count:
        raise InputError(f"{where}: expects {count} numbers, got {len(fields)}")
    return fields


def read_table(path: Path, columns: int) -> np.ndarray:
    """A file of lines with as many numbers in each, divided by white space.

    Shape:
        - returns: (lines, columns) float64
    """
    lines, ended = read_lines(path)
    if not ended:
        raise InputError(f"{path}: line {len(lines)}: has no end of line; the file is truncated")
    rows = [split_line(line, False, columns, f"{path}: line {i}") for i, line in enumerate(lines, start=1)]
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
