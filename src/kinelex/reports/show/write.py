"""From a source of clips to a page, a GIF or an MP4."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from kinelex.datasets.single import ReadOptions
from kinelex.errors import unknown_name
from kinelex.reports.show.clips import ShowOptions, find_shown
from kinelex.reports.show.film import USUAL_RATE, write_film
from kinelex.reports.show.page import Page


def show(
    source: Any,
    out: str | Path | None = None,
    options: ShowOptions | None = None,
    console: Console | None = None,
    **changes: Any,
) -> Page:
    """Clips as a page of interactive players, which a notebook shows and ``out`` keeps.

    Args:
        source: a store, a run directory (its test clips, with its predictions), a video, a clip, a folder of
            clips, each opened or as a path; or an array, with ``layout``.
        out: an ``.html`` file; or ``.gif`` or ``.mp4``, which show one clip unless several are asked for.
        options: which clips, and what stands beside them.
        console: where messages go; stderr by default.
        **changes: fields of ``options`` and of its ``read``, such as ``clips``, ``run``, ``layout``, ``fps``.

    Raises:
        InputError: a source that cannot be read, no such clip, or a file that cannot be written.

    Shape:
        - source: an array is (T, V, C) or (T, M, V, C); C coordinates in metres or pixels

    >>> import numpy as np
    >>> page = show(np.ones((9, 25, 3)), layout="ntu25", fps=30)
    >>> len(page.clips), page.html[:15]
    (1, '<!doctype html>')
    """
    asked = _changed(options or ShowOptions(), changes)
    console = console or Console(stderr=True)
    film = None if out is None or Path(out).suffix.lower() in (".html", ".htm") else out
    if film is not None and not asked.names and asked.most is None:
        asked = replace(asked, most=1)
    shown, notes = find_shown(source, asked, console)
    if any(one.clip.fps is None for one in shown):
        notes.append(f"clips that do not say their frame rate play at {USUAL_RATE:g} frames per second")
    path = source if isinstance(source, str | Path) else getattr(source, "path", shown[0].clip.id)
    page = Page(Path(path).resolve().name, shown, notes, asked.top)
    if film is not None:
        write_film(page.clips, film)
    elif out is not None:
        page.write(out)
    return page


def _changed(options: ShowOptions, changes: dict[str, Any]) -> ShowOptions:
    own, raw = ({field.name for field in fields(of)} for of in (ShowOptions, ReadOptions))
    unknown = next((name for name in changes if name not in own | raw), None)
    if unknown is not None:
        raise unknown_name("option of show", unknown, own | raw)
    read = replace(changes.get("read", options.read), **{k: v for k, v in changes.items() if k in raw})
    return replace(options, **{**{k: v for k, v in changes.items() if k in own}, "read": read})
