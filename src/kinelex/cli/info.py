"""The verb ``info``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kinelex.errors import InputError


def info(
    path: Path | None = None, *, layout: str | None = None, html: Path | None = None, verify: bool = False
) -> dict[str, Any]:
    """Show what a store, a prompt store or a run holds, or the joints of a layout.

    Args:
        path: a skeleton store, a prompt store or a run directory; none with --layout.
        layout: list joints, parents and parts of this layout: a built-in name or a YAML file.
        html: also check every clip of a skeleton store and write its data-set card to this file.
        verify: also compare every clip of a store with its checksum.
    """
    from rich.console import Console

    from kinelex.cli.describe import describe, describe_layout

    if (path is None) == (layout is None) or (layout is not None and (html is not None or verify)):
        raise InputError("expects a store, a prompt store or a run directory, or else --layout NAME alone")
    description, shown = describe(path, html, verify) if path is not None else describe_layout(str(layout))
    Console().print(shown)
    return description
