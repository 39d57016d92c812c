"""From a source of clips to a page of players, a GIF or an MP4."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from html import escape
from pathlib import Path
from typing import Any

from rich.console import Console

from kinelex import __version__
from kinelex.datasets.single import ReadOptions
from kinelex.errors import unknown_name
from kinelex.files.atomic import check_target, spare_stores, write_numbers
from kinelex.reports.page.player import clip_player
from kinelex.reports.page.templates import template
from kinelex.reports.page.view import seen_from
from kinelex.reports.show.clips import Shown, ShowOptions, find_shown
from kinelex.reports.show.film import USUAL_RATE, write_film
from kinelex.runtime.predictions import NONE, ClipPrediction

MOST_BYTES = 4_600_000  # of the clips on a page: the page stays below 5 MB
_COORDINATES = 3_400_000  # of them for coordinates


class Page:
    """A page of players: ``html`` is all of it, and a notebook shows it.

    Args:
        title: what stands on top.
        shown: the clips with what stands beside them, in their order.
        notes: what there is to say about the choice.
        top: how many classes of a prediction.
    """

    def __init__(self, title: str, shown: Sequence[Shown], notes: Sequence[str] = (), top: int = 3) -> None:
        self.clips, self.notes = list(shown), list(notes)
        cards, size, share = [], 0, _COORDINATES // max(len(shown), 1)
        render = template("kinelex.reports.show", "card.html.j2").render
        for one in shown:
            player = clip_player(one.clip.coordinates, one.clip.layout, one.clip.id, one.clip.fps, share)
            beside = {"bars": _bars(one.prediction, top), "persons": _persons(one.prediction)}
            cards.append(render(one=one, player=player, facts=_facts(one), **beside))
            size += len(cards[-1].encode())
            if size > MOST_BYTES and len(cards) > 1:
                cards.pop()
                self.notes.append(
                    f"{len(cards)} of these {len(shown)} clips are here: more make it too large"
                )
                break
        self.clips = self.clips[: len(cards)]
        views = dict.fromkeys(
            seen_from(c.layout, c.coordinates.shape[3]) for c in (one.clip for one in shown)
        )
        self.html = template("kinelex.reports.show", "page.html.j2").render(
            title=title, version=__version__, cards=cards, notes=self.notes, views=list(views)
        )

    def write(self, path: str | Path) -> Path:
        """Write the page to a file.

        Raises:
            InputError: it cannot be written there.
        """
        path = Path(path)
        check_target(path)
        spare_stores(path)
        write_numbers(path, self.html)
        return path

    def _repr_html_(self) -> str:
        style = f"width: 100%; height: {720 if len(self.clips) > 1 else 620}px; border: 0"
        return f'<iframe srcdoc="{escape(self.html)}" style="{style}" title="clips"></iframe>'


def _facts(one: Shown) -> str:
    frames, persons, _, channels = one.clip.coordinates.shape
    length = f"{frames} frame{'s' * (frames != 1)}"
    length += f", {frames / one.clip.fps:.1f} s" if one.clip.fps else ""
    people = f", {persons} persons" if persons > 1 else ""
    return f"{length}{people}, {one.clip.layout.name} in {channels}-D"


def _bars(said: ClipPrediction | None, top: int) -> list[tuple[str, str, bool]]:
    """Class, per cent, and whether it is the answer."""
    if said is None:
        return []
    rows = [(name, f"{100 * p:.1f}", name == said.answer) for name, p in said.top(top)]
    return [(NONE, "", True), *rows] if said.known is False else rows


def _persons(said: ClipPrediction | None) -> list[str]:
    """What is said of each of several persons."""
    several = said.persons if said is not None and len(said.persons) > 1 else ()
    return [f"person {n}: {one.answer}, {100 * one.probability:.1f} %" for n, one in enumerate(several)]


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
