"""Tables of numbers as text, as spreadsheets, pandas, numpy, R and MATLAB write them.

Divided by comma, semicolon, tab or spaces; a point or a comma in numbers; no header, one, or several rows of
it.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from kinelex.errors import InputError
from kinelex.files.bounded import read_text

_LONGEST_HEADER = 4  # rows
_MOST_COLUMNS = 10_000
_NOTHING = ["", "nan", "NaN", "NAN", "-nan", "NA", "N/A", "n/a", "#N/A", "null", "NULL", "None", "none"]
_NUMBER = re.compile(r"[-+]?(\d+[.,]?\d*|[.,]\d+)([eE][-+]?\d+)?|[-+]?inf(inity)?", re.IGNORECASE)
_COUNTED = re.compile(r"([^\d]*)(\d+)")
_UNIT = re.compile(
    r"[\[(]?(m|cm|mm|px|pixels?|in|inch|inches|deg|rad|s|ms|%|-|met(er|re)s?|\w+met(er|re)s?)?[\])]?", re.I
)


@dataclass(frozen=True)
class Table:
    """A table whose numbers are not read yet.

    Args:
        path: the file.
        header: a name per column; None where there is none, or one that only counts the columns.
        units: a unit per column, where the header has such a row.
        width: number of columns.
    """

    path: Path
    header: tuple[str, ...] | None
    units: tuple[str, ...] | None
    width: int
    _body: str
    _delimiter: str
    _point: str

    def numbers(self, columns: list[int]) -> np.ndarray:
        """The numbers of some columns, (rows, columns) float64; NaN where a cell is empty."""
        import pyarrow as pa
        import pyarrow.csv as pc

        data = self._body.encode()
        names = [str(n) for n in range(self.width)]
        wanted = [names[n] for n in columns]
        try:
            table = pc.read_csv(
                pa.BufferReader(data),
                pc.ReadOptions(use_threads=False, block_size=len(data) + 1, column_names=names),
                pc.ParseOptions(delimiter=self._delimiter),
                pc.ConvertOptions(
                    column_types=dict.fromkeys(wanted, pa.float64()),
                    null_values=_NOTHING,
                    include_columns=wanted,
                    decimal_point=self._point,
                ),
            )
        except pa.ArrowException as error:
            raise InputError(f"{self.path}: expects numbers, as many in each row: {error}") from error
        found = [table.column(n).to_numpy() for n in range(len(wanted))]
        return np.stack(found, axis=1) if found else np.zeros((table.num_rows, 0))


def read_table(path: Path) -> Table:
    """The header of a file and where its numbers are."""
    text = read_text(path)
    lines = _rows_of(text)
    if not lines:
        raise InputError(f"{path}: is empty, expects one row per frame")
    if not text.endswith(("\n", "\r")):
        raise InputError(f"{path}: its last line is not ended and may be truncated: end it with a new line")
    head = [line.lstrip("# ") if line.startswith("#") else line for line in lines[: _LONGEST_HEADER + 1]]
    lines = [*head, *lines[_LONGEST_HEADER + 1 :]]
    delimiter = next((mark for mark in "\t;," if mark in head[0] or mark in head[-1]), " ")
    if delimiter == " ":
        lines = [",".join(line.split()) for line in lines]
    mark = "," if delimiter == " " else delimiter
    try:
        rows = [[c.strip() for c in row] for row in csv.reader(islice(lines, len(head)), delimiter=mark)]
    except csv.Error as error:
        raise InputError(f"{path}: its first rows are no table of numbers: {error}") from error
    if (widest := max(map(len, rows))) > _MOST_COLUMNS:
        raise InputError(
            f"{path}: {widest} columns, expects at most {_MOST_COLUMNS}: a row per frame, not one per clip"
        )
    count = next((n for n, row in enumerate(rows) if not _is_header(row, n)), len(rows))
    if count == len(lines) or count == len(rows):
        raise InputError(f"{path}: has a header and no rows, expects one row per frame")
    width = len(rows[count])
    header, units = _header(path, rows[:count], width)
    point = "," if mark != "," and any(re.fullmatch(r"[-+]?\d+,\d+", cell) for cell in rows[count]) else "."
    return Table(path, header, units, width, "\n".join(lines[count:]) + "\n", mark, point)


def _rows_of(text: str) -> list[str]:
    """The lines but for empty ones; among the numbers one of empty cells is a lost frame, and stays."""
    blank = " " if "\t" in text.partition("\n")[0] else None  # tabs divide cells, or are space
    lines = [line for line in text.splitlines() if line.strip(blank)]
    full = [n for n, line in enumerate(lines) if line.strip(" \t,;")]
    numbers = (n for n in full if any(map(_NUMBER.fullmatch, re.split(r"[\s,;]+", lines[n]))))
    first = next(numbers, len(lines))
    return [lines[n] for n in full if n < first] + lines[first : full[-1] + 1 if full else 0]


def counted(cells: list[str]) -> bool:
    """Whether the cells of a header only count: 0, 1, 2, … as pandas does, or V1, V2, … as R does.

    >>> counted(["0", "1", "2"]), counted(["V1", "V2"]), counted(["0", "2"]), counted(["x0", "y0"])
    (True, True, False, False)
    """
    found = [_COUNTED.fullmatch(cell) for cell in cells]
    if len(cells) < 2 or any(match is None for match in found):
        return False
    prefixes, numbers = zip(*(match.groups() for match in found if match), strict=True)
    first = int(numbers[0])
    # A first frame at 1, 2, 3, 4, 5, 6 is as unlikely as one at 0, 1; one at 1, 2 is not.
    begins = first == 0 or (first == 1 and (prefixes[0] != "" or len(cells) > 5))
    expected = [*range(first, first + len(cells))]
    return begins and len(set(prefixes)) == 1 and [int(n) for n in numbers] == expected


def _is_header(row: list[str], number: int) -> bool:
    """Whether a row names columns: most of its cells are no numbers, or it is the first and only counts."""
    cells = [cell for cell in row if cell]
    words = [cell for cell in cells if not _NUMBER.fullmatch(cell) and cell not in _NOTHING]
    return 2 * len(words) > len(cells) or (number == 0 and counted(row[1:] if row[:1] == [""] else row))


def _header(
    path: Path, rows: list[list[str]], width: int
) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None]:
    """One name per column from the rows of a header, and their units where the last row has them."""
    if not rows:
        return None, None
    for row in rows:
        if len(row) != width:
            raise InputError(f"{path}: {len(row)} names in the header, {width} numbers in a row")
    units = None
    if len(rows) > 1 and any(rows[-1]) and all(_UNIT.fullmatch(cell) for cell in rows[-1]):
        units = tuple(rows.pop())
    if len(rows) > 1:  # a row that says one thing of all columns (the network, the subject) is no name
        rows = [row for row in rows if len(set(row[1:])) > 1] or rows[-1:]
    filled = [_filled(row) if row is not rows[-1] else row for row in rows]
    names = ["_".join(cell for cell in cells if cell) for cells in zip(*filled, strict=True)]
    plain = names[1:] if names[0] == "" else names
    return (None if counted(plain) else tuple(names)), units


def _filled(row: list[str]) -> list[str]:
    """A row of a header with its cells that span several columns, of which only the first has the text."""
    found: list[str] = []
    for cell in row:
        found.append(cell or (found[-1] if found else ""))
    return found
