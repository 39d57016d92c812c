"""Events in long recordings: who does what, from when to when, how sure."""

from __future__ import annotations

from collections.abc import Sequence as Rows
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from kinelex.errors import InputError, unknown_name
from kinelex.inference.clips import Clips, clip_of
from kinelex.inference.repetitions import USUAL_FPS
from kinelex.inference.usual_windows import usual_windows
from kinelex.inference.windows import FrameScores, judge_of, score_frames

if TYPE_CHECKING:
    from kinelex.inference.model import Model

GO_ON = 0.5  # an event goes on while its class stays above this share of the height that it began with
OVERLAP = 0.1  # of two events that overlap by more, as intersection over union, the surer one stays
COLUMNS = ("recording", "person", "class", "start", "end", "confidence")
_MOST_WINDOWS = 8


@dataclass(frozen=True)
class EventOptions:
    """How events are looked for.

    Args:
        windows: lengths of the windows, seconds; by default those that a quarter, half and three quarters
            of the clips that the model knows are shorter than.
        least: probability of a class, the mean over windows, with which an event begins.
        together: read all persons of a recording together, for classes of what persons do to each other.

    Raises:
        InputError: a value out of range.

    >>> EventOptions(windows=(0.5, 1)).least
    0.5
    """

    windows: tuple[float, ...] | None = None
    least: float = 0.5
    together: bool = False

    def __post_init__(self) -> None:
        given = (1.0,) if self.windows is None else self.windows
        if not 1 <= len(given) <= _MOST_WINDOWS or not all(0 < one <= 3600 for one in given):
            raise InputError(
                f"expects 1 to {_MOST_WINDOWS} lengths of windows in seconds, got {self.windows}"
            )
        if not 0 < self.least <= 1:
            raise InputError(f"expects a least probability above 0, at most 1, got {self.least}")


def event_options(**given: Any) -> EventOptions:
    """Options by name; windows may be one number.

    Raises:
        InputError: no such option, or a value out of range.

    >>> event_options(windows=2).windows
    (2.0,)
    """
    unknown = [name for name in given if name not in EventOptions.__dataclass_fields__]
    if unknown:
        raise unknown_name("option of events", unknown[0], EventOptions.__dataclass_fields__)
    if given.get("windows") is not None:
        given["windows"] = tuple(float(one) for one in np.atleast_1d(given["windows"]))
    return EventOptions(**given)


@dataclass(frozen=True)
class Event:
    """One event.

    Args:
        recording: name of the recording.
        person: their place; None where all persons were read together.
        label: the class.
        start, end: seconds from the beginning of the recording.
        confidence: mean probability of the class in the frames of the event.
    """

    recording: str
    person: int | None
    label: str
    start: float
    end: float
    confidence: float

    def numbers(self) -> dict[str, Any]:
        """What can stand in JSON, or be a row of a table."""
        return {
            "recording": self.recording,
            "person": "all" if self.person is None else self.person,
            "class": self.label,
            "start": round(self.start, 3),
            "end": round(self.end, 3),
            "confidence": round(self.confidence, 4),
        }


@dataclass(frozen=True, repr=False)
class Timeline:
    """The events of one recording, and the curves that they were found in.

    Args:
        recording: its name.
        seconds: its length.
        classes: names of the classes.
        scores: of each person who is seen, or of all together.
        events: in order of time.
        fps_known: whether the recording says its frame rate; else it was taken for 30 frames per second.
    """

    recording: str
    seconds: float
    classes: tuple[str, ...]
    scores: tuple[FrameScores, ...]
    events: tuple[Event, ...] = field(default=())
    fps_known: bool = True

    def numbers(self) -> dict[str, Any]:
        """What can stand in JSON."""
        events = [one.numbers() for one in self.events]
        return {"recording": self.recording, "seconds": round(self.seconds, 3), "events": events}

    def __repr__(self) -> str:
        listed = "; ".join(f"{e.label} {e.start:.1f}–{e.end:.1f} s ({e.confidence:.2f})" for e in self.events)
        return f"{type(self).__name__}({self.recording!r}, {self.seconds:.1f} s: {listed or 'no event'})"


def find_timelines(model: Model, groups: Rows[Clips], options: EventOptions) -> list[Timeline]:
    """The events of recordings.

    Raises:
        InputError: recordings that the run cannot read.
    """
    for clips in groups:
        model.reading(clips)  # all are checked before one is computed
    if options.windows is None:
        seconds, of = usual_windows(model)
        text = ", ".join(f"{one:g}" for one in seconds)
        model.say(f"windows of {text} seconds, by the lengths of {of}")
        options = replace(options, windows=tuple(seconds))
    return [_timeline(model, clips, row, options) for clips in groups for row in range(len(clips.ids))]


def _timeline(model: Model, clips: Clips, row: int, options: EventOptions) -> Timeline:
    recording = clip_of(clips, row, clips.ids[row])
    x, name, known = recording.coordinates, recording.id, recording.fps is not None
    fps = recording.fps or USUAL_FPS
    lengths = [max(1, round(seconds * fps)) for seconds in options.windows or ()]
    persons = np.flatnonzero(x.any(axis=(0, 2, 3))).tolist()
    scores = tuple(
        score_frames(recording, clips.layout, judge_of(model), lengths, len(model.classes), fps, person)
        for person in ([None] if options.together else persons)
    )
    events = [event for one in scores for event in find_events(one, model.classes, options.least)]
    events.sort(key=lambda event: (event.start, event.end))
    return Timeline(name, len(x) / fps, model.classes, scores, tuple(events), known)


def find_events(scores: FrameScores, classes: Rows[str], least: float = 0.5) -> list[Event]:
    """The events in curves of the classes.

    An event of a class begins where its curve comes to ``least`` and lasts as long, before and after, as it
    stays above half of that; frames in which nobody is seen are taken off its ends. Of events of a person
    that overlap much, of one class or of several, the surer one stays.

    >>> curves = np.zeros((60, 2))
    >>> curves[10:30, 1] = 0.8
    >>> found = find_events(FrameScores("a", 0, 30.0, curves, np.ones(60, bool)), ("jump", "wave"))
    >>> [(e.label, round(e.start, 2), e.end, round(e.confidence, 2)) for e in found]
    [('wave', 0.33, 1.0, 0.8)]
    """
    spans, labels, sure = spans_of(scores, [least])
    keep = suppress(spans, sure)
    return [
        Event(
            scores.recording,
            scores.person,
            classes[int(labels[place])],
            float(spans[place, 0] / scores.fps),
            float(spans[place, 1] / scores.fps),
            float(sure[place]),
        )
        for place in sorted(keep, key=lambda place: tuple(spans[place]))
    ]


def spans_of(scores: FrameScores, heights: Rows[float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Spans of each class at several heights of its curve, before overlaps are settled.

    Shape:
        - returns: (n, 2) frames; (n,) classes; (n,) mean of the curve
    """
    spans, labels = [np.zeros((0, 2), np.int64)], [np.zeros(0, np.int64)]
    sums = np.concatenate([np.zeros((1, scores.curves.shape[1])), np.cumsum(scores.curves, axis=0)])
    for label, curve in enumerate(scores.curves.T):
        found = [hysteresis(curve, height, GO_ON * height) for height in heights if curve.max() >= height]
        if found:
            own = np.unique(np.concatenate(found), axis=0)
            own = np.array([_seen_part(scores.seen, *span) for span in own.tolist()])
            own = own[own[:, 1] > own[:, 0]]
            spans.append(own)
            labels.append(np.full(len(own), label))
    all_spans, of = np.concatenate(spans), np.concatenate(labels)
    starts, ends = all_spans.T
    return all_spans, of, (sums[ends, of] - sums[starts, of]) / np.maximum(ends - starts, 1)


def _seen_part(seen: np.ndarray, start: int, end: int) -> tuple[int, int]:
    """A span without the frames at its ends in which nobody is seen."""
    there = np.flatnonzero(seen[start:end])
    return (start + int(there[0]), start + int(there[-1]) + 1) if len(there) else (start, start)


def hysteresis(curve: np.ndarray, high: float, low: float) -> np.ndarray:
    """Spans in which a curve stays at ``low`` or above and comes to ``high`` somewhere.

    Shape:
        - curve: (T,)
        - returns: (n, 2) int64: first frame, and the one after the last

    >>> hysteresis(np.array([0.3, 0.9, 0.4, 0.1, 0.4]), high=0.5, low=0.3).tolist()
    [[0, 3]]
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[False], curve >= low, [False]]).astype(np.int8)))
    spans = edges.reshape(-1, 2)
    tops = np.append(0, np.cumsum(curve >= high))
    return spans[tops[spans[:, 1]] > tops[spans[:, 0]]].astype(np.int64)


def suppress(spans: np.ndarray, sure: np.ndarray, overlap: float = OVERLAP) -> list[int]:
    """Places of the spans that stay where of two that overlap more the surer one does.

    Shape:
        - spans: (n, 2); sure: (n,)

    >>> suppress(np.array([[0, 10], [1, 10], [20, 30]]), np.array([0.5, 0.9, 0.1]))
    [1, 2]
    """
    left, keep = np.argsort(-sure, kind="stable"), []
    while len(left):
        first, left = int(left[0]), left[1:]
        keep.append(first)
        left = left[overlaps(spans[first], spans[left]) <= overlap]
    return keep


def overlaps(one: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union in time (tIoU) of a span with others.

    Shape:
        - one: (2,); others: (n, 2)
        - returns: (n,)

    >>> overlaps(np.array([0, 4]), np.array([[2, 6], [4, 8], [0, 4]])).round(3).tolist()
    [0.333, 0.0, 1.0]
    """
    shared = np.minimum(one[1], others[:, 1]) - np.maximum(one[0], others[:, 0])
    shared = np.maximum(shared, 0)
    union = (one[1] - one[0]) + (others[:, 1] - others[:, 0]) - shared
    return shared / np.maximum(union, 1e-12)
