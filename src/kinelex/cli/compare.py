"""The verb ``compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def compare(runs: list[Path], *, protocol: str | None = None, out: Path | None = None) -> dict[str, Any]:
    """Compare runs that evaluate has judged on the same clips.

    Runs that differ only in the seed become one row, mean ± standard deviation. Each two runs are tested by
    McNemar's exact test on their score files.

    Args:
        runs: run directories; the others are compared with the first.
        protocol: what they were judged on; by default the one they were trained on.
        out: folder for comparison.html and the table as CSV, Markdown and LaTeX.
    """
    from kinelex.reports import compare as compare_runs

    return compare_runs(runs, protocol, out)
