"""``skipped.csv``: the raw files that were no clips, beside the stores that they are missing from."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from kinelex.datasets.reader import Skipped
from kinelex.errors import InputError
from kinelex.files.atomic import remove_leftovers, write_whole

SKIPPED_FILE = "skipped.csv"
_HEADER = ["file", "reason", "store"]
_LONGEST = 10_000  # characters of a reason: a csv reader takes no cell above 131 072


def other_rows(out: Path) -> list[list[str]]:
    """The rows of the neighbours of a store."""
    path = out.with_name(SKIPPED_FILE)
    if not path.exists():
        return []
    try:
        with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
            header, *rows = csv.reader(file)
    except (csv.Error, ValueError):
        header, rows = [], []
    if header != _HEADER:
        raise InputError(
            f"{path} is no list of skipped files (columns {', '.join(_HEADER)}): move it away, or "
            "put the store into another folder"
        )
    return [row for row in rows if len(row) == 3 and row[2] != out.name]


def write_skipped(out: Path, skipped: list[Skipped]) -> None:
    """Bring ``skipped.csv`` up to date: this store's rows are replaced, those of its neighbours stay."""
    path = out.with_name(SKIPPED_FILE)
    remove_leftovers(path)
    rows = other_rows(out)
    rows += [[str(s.path), s.reason.removeprefix(f"{s.path}: ")[:_LONGEST], out.name] for s in skipped]
    if not rows:
        path.unlink(missing_ok=True)
        return
    text = io.StringIO(newline="")
    csv.writer(text).writerows([_HEADER, *rows])
    write_whole(path, text.getvalue().encode("utf-8", "surrogateescape"))
