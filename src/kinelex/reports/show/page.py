"""One self-contained page of players."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from kinelex import __version__
from kinelex.files.atomic import check_target, spare_stores, write_numbers
from kinelex.reports.page.player import clip_player
from kinelex.reports.page.templates import template
from kinelex.reports.page.view import seen_from
from kinelex.reports.show.clips import Shown
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
