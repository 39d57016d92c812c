"""``skipped.csv``: the raw files that were no clips, beside the stores that they are missing from."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from kinelex._files import remove_leftovers, write_whole
from kinelex.datasets._reader import Skipped

SKIPPED_FILE = "skipped.csv"
_HEADER = ["file", "reason", "store"]


def write_skipped(out: Path, skipped: list[Skipped]) -> None:
    """Bring ``skipped.csv`` up to date: this store's rows are replaced, those of its neighbours stay."""
    path = out.with_name(SKIPPED_FILE)
    remove_leftovers(path)
    rows: list[list[str]] = []
    if path.exists():
        with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
            rows = [row for row in list(csv.reader(file))[1:] if len(row) == 3 and row[2] != out.name]
    rows += [[str(s.path), s.reason.removeprefix(f"{s.path}: "), out.name] for s in skipped]
    if not rows:
        path.unlink(missing_ok=True)
        return
    text = io.StringIO(newline="")
    csv.writer(text).writerows([_HEADER, *rows])
    write_whole(path, text.getvalue().encode("utf-8", "surrogateescape"))
