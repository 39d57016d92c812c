"""The verb ``export-data``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any


def export_data(
    store: Path, *, to: str, out: Path, protocol: str | None = None, frames: int | None = None
) -> dict[str, Any]:
    """Write a store in a format that other people's code reads.

    Args:
        store: the skeleton store.
        to: the format: ctrgcn_npz, pyskl or npy.
        out: the file to make; for npy a folder.
        protocol: which clips train and which test; by default the store's first, in pyskl all of them.
        frames: length of padded clips; longer ones lose their end; by default that of the longest.
    """
    from kinelex.datasets.export import export_data as export

    summary = export(store, to, out, protocol=protocol, frames=frames)
    print(summary)
    return asdict(summary)
