"""The timeline page: one self-contained HTML file about the events in recordings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kinelex import __version__
from kinelex.files.atomic import check_target, spare_stores
from kinelex.inference.events import Event, Timeline
from kinelex.inference.windows import FrameScores
from kinelex.reports.page.templates import template, write_page
from kinelex.reports.page.view import seen_from, skeleton_frames
from kinelex.reports.run.style import CLASS_COLOURS
from kinelex.skeleton import SkeletonLayout

Drawn = Callable[[str], tuple[np.ndarray, SkeletonLayout]]  # a recording's name: its frames and layout

_WIDTH, _HEIGHT = 1000, 60  # of the curves, in SVG units
_POINTS = 500  # of a curve at most
_CURVES = 4  # classes that are drawn of a person
_STRIPS = 60  # events whose skeletons are drawn
_FRAMES = 4
_MINUTE = 900  # pixels, at least
_STEPS = (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)  # seconds between ticks
_LAST_TICK = 0.92  # of the length: the number stands to the right of its tick


def write_timelines(path: Path, timelines: Sequence[Timeline], about: str, frames: Drawn) -> Path:
    """Write the page: no reference to anything outside the file.

    Args:
        path: the file.
        timelines: what was found, by recording.
        about: what told the classes, in words.
        frames: gives the frames and the layout of a recording, to draw its events.

    Raises:
        InputError: the file cannot be written.
    """
    check_target(path)
    spare_stores(path)
    names = list(dict.fromkeys(event.label for one in timelines for event in one.events))
    names += [label for one in timelines for label in _highest(one) if label not in names]
    colours = {name: CLASS_COLOURS[place % len(CLASS_COLOURS)] for place, name in enumerate(names)}
    shown = [_recording(one, colours, frames) for one in timelines]
    page = template("kinelex.reports.timeline").render(
        version=__version__,
        about=about,
        facts=_facts(timelines),
        recordings=shown,
        colours=list(colours.items()),
        seen_from=next((one["seen_from"] for one in shown if one["seen_from"]), ""),
        more=any(len(one.events) > _STRIPS for one in timelines),
    )
    return write_page(path, page)


def _facts(timelines: Sequence[Timeline]) -> list[tuple[str, str]]:
    events = [event for one in timelines for event in one.events]
    seconds, classes = sum(one.seconds for one in timelines), len({event.label for event in events})
    covered = sum(event.end - event.start for event in events)
    return [
        (str(len(timelines)), "recording" if len(timelines) == 1 else "recordings"),
        (clock(seconds), "in all"),
        (str(len(events)), "event" if len(events) == 1 else "events"),
        (str(classes), "class found" if classes == 1 else "classes found"),
        (clock(covered), "in events"),
    ]


def clock(seconds: float) -> str:
    """A time as minutes and seconds.

    >>> clock(3.25), clock(754.0), clock(3661)
    ('3.2 s', '12:34', '1:01:01')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _highest(timeline: Timeline) -> list[str]:
    """The classes whose curves are drawn of each person."""
    return list(dict.fromkeys(timeline.classes[k] for one in timeline.scores for k in _drawn_of(one)))


def _drawn_of(scores: FrameScores) -> list[int]:
    tops = scores.curves.max(axis=0)
    return [k for k in np.argsort(-tops, kind="stable")[:_CURVES].tolist() if tops[k] >= 0.2]


def _recording(timeline: Timeline, colours: dict[str, str], frames: Drawn) -> dict[str, Any]:
    x, layout = frames(timeline.recording)
    lanes = []
    for one in timeline.scores:
        own = [event for event in timeline.events if event.person == one.person]
        bars = [_bar(event, timeline.seconds, colours) for event in own]
        curves = [
            {"colour": colours[timeline.classes[k]], "points": _points(one.curves[:, k])}
            for k in _drawn_of(one)
        ]
        lanes.append({"name": _who(one.person), "bars": bars, "curves": curves})
    rows = [
        {**event.numbers(), "who": _who(event.person), "colour": colours[event.label]}
        | {"strip": _strip(event, x, layout, timeline) if place < _STRIPS else ""}
        for place, event in enumerate(timeline.events)
    ]
    return {
        "name": timeline.recording,
        "seconds": clock(timeline.seconds),
        "lanes": lanes,
        "rows": rows,
        "ticks": _ticks(timeline.seconds),
        "width": round(_MINUTE * timeline.seconds / 60) if timeline.seconds > 60 else 0,
        "fps_known": timeline.fps_known,
        "seen_from": seen_from(layout, x.shape[3]) if rows else "",
    }


def _who(person: int | None) -> str:
    return "all persons" if person is None else f"person {person}"


def _bar(event: Event, seconds: float, colours: dict[str, str]) -> dict[str, Any]:
    return {
        "left": f"{100 * event.start / seconds:.3f}",
        "width": f"{100 * (event.end - event.start) / seconds:.3f}",
        "colour": colours[event.label],
        "opacity": f"{0.45 + 0.55 * event.confidence:.2f}",
        "label": event.label,
        "title": f"{event.label}, {event.start:.1f} to {event.end:.1f} s, {100 * event.confidence:.0f} %",
    }


def _points(curve: np.ndarray) -> str:
    """A curve as points of a polyline; of a long one the highest of each stretch."""
    stretches = np.array_split(curve, min(_POINTS, len(curve)))
    at = np.cumsum([0] + [len(one) for one in stretches])
    middles = (at[:-1] + at[1:]) / 2 / len(curve) * _WIDTH
    tops = (1 - np.array([one.max() for one in stretches])) * _HEIGHT
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(middles, tops, strict=True))


def _ticks(seconds: float) -> list[dict[str, str]]:
    step = next((one for one in _STEPS if seconds / one <= 12), _STEPS[-1])
    times = np.arange(0, seconds, step)
    times = times[times <= _LAST_TICK * seconds]
    return [{"left": f"{100 * t / seconds:.3f}", "text": clock(t) if t >= 60 else f"{t:g} s"} for t in times]


def _strip(event: Event, x: np.ndarray, layout: SkeletonLayout, timeline: Timeline) -> str:
    fps = len(x) / timeline.seconds
    first, last = round(event.start * fps), max(round(event.end * fps) - 1, round(event.start * fps))
    chosen = np.linspace(first, min(last, len(x) - 1), _FRAMES).round().astype(int)
    own = x if event.person is None else x[:, event.person : event.person + 1]
    return "".join(skeleton_frames(own, layout, chosen.tolist()))
