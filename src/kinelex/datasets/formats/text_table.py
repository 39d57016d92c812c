"""Private machinery: a text of numbers into one array, all at once, with every number exactly as Python's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

_SPACE, _END, _RETURN = 32, 10, 13


@dataclass(frozen=True)
class TextTable:
    """The numbers of a text and the lines that they stand in.

    Args:
        values: all numbers, as ``float`` reads them.
        first: of each line, the index of its first number.
        count: of each line, how many numbers it has; never 0.

    Shape:
        - values: (numbers,) float64
        - first, count: (lines,) int64

    >>> table = TextTable.parse(b"2 0.1\\n-3e5\\n")
    >>> table.values.tolist(), table.first.tolist(), table.count.tolist()
    ([2.0, 0.1, -300000.0], [0, 2], [2, 1])
    >>> table.text(1)
    b'0.1'
    """

    values: np.ndarray
    first: np.ndarray
    count: np.ndarray
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
