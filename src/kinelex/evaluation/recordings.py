"""Long recordings with label intervals: put together from clips, or read with their labels."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kinelex.data import Sequence, SkeletonStore, open_store
from kinelex.datasets.pku import parse_prompt_key
from kinelex.datasets.pku_intervals import PkuIntervals
from kinelex.errors import InputError
from kinelex.evaluation.detection_metrics import Spans
from kinelex.skeleton import SkeletonLayout


@dataclass(frozen=True)
class Recording:
    """A long recording whose events are known.

    Args:
        clip: the recording.
        layout: the layout of its joints.
        true: its events, in frames.
    """

    clip: Sequence
    layout: SkeletonLayout
    true: Spans


def from_clips(
    store: SkeletonStore, rows: np.ndarray, clips: int, gap: float, seed: int = 0
) -> list[Recording]:
    """Recordings put together from clips, with gaps before, between and after them.

    The clips of a recording are of one subject, where the store knows subjects, in an order that is drawn. In
    a gap the body stands as the clip before ended, and then each joint goes on a straight line to where the
    next clip begins.

    Args:
        store: the store.
        rows: its clips.
        clips: how many there are in a recording.
        gap: mean length of the gaps, as a share of the median length of the clips; they are drawn between
            half of it and one and a half.
        seed: of what is drawn.

    Shape:
        - rows: (n,)
    """
    rng = np.random.default_rng(seed)
    mean = gap * float(np.median(store.lengths[rows]))
    order = rng.permutation(rows)
    recordings: list[Recording] = []
    for subject in np.unique(store.subjects[order]).tolist():
        own = order[store.subjects[order] == subject]
        for first in range(0, len(own), clips):
            part = own[first : first + clips]
            pauses = np.round(rng.uniform(0.5 * mean, 1.5 * mean, len(part) + 1)).astype(int)
            recordings.append(_put_together(store, part, pauses, f"recording {len(recordings)}"))
    return recordings


def _put_together(store: SkeletonStore, rows: np.ndarray, pauses: np.ndarray, name: str) -> Recording:
    persons = int(store.persons[rows].max())
    parts, spans, at = [], [], 0
    clips = [_with_places(np.asarray(store.sequence(row)), persons) for row in rows.tolist()]
    for number, pause in enumerate(pauses.tolist()):
        before = clips[max(number - 1, 0)][-1 if number else 0]
        after = clips[min(number, len(clips) - 1)][0 if number < len(clips) else -1]
        parts.append(_gap(before, after, pause))
        at += pause
        if number < len(clips):
            parts.append(clips[number])
            spans.append((at, at + len(clips[number])))
            at += len(clips[number])
    rates = store.fps[rows]
    fps = None if np.isnan(rates).any() or len(np.unique(rates)) > 1 else float(rates[0])
    clip = Sequence(name, np.concatenate(parts).astype(np.float32), fps=fps)
    return Recording(clip, store.layout, Spans(np.array(spans), store.labels[rows], np.ones(len(rows))))


def _with_places(x: np.ndarray, persons: int) -> np.ndarray:
    return np.concatenate([x, np.zeros((len(x), persons - x.shape[1], *x.shape[2:]), x.dtype)], axis=1)


def _gap(before: np.ndarray, after: np.ndarray, frames: int) -> np.ndarray:
    """Standing still, then on straight lines from posture to posture; who is in one of them only stays there.

    Shape:
        - before, after: (M, V, C); returns: (frames, M, V, C)
    """
    share = np.clip(np.linspace(-1, 1, frames + 2)[1:-1], 0, 1)[:, None, None, None]
    moved = (1 - share) * before + share * after
    there = [np.asarray(one.any(axis=2, keepdims=True)) for one in (before, after)]
    moved = np.where(there[0] & there[1], moved, np.where(share < 0.5, before, after))
    return moved.astype(before.dtype)


def from_store(path: Path, intervals: Path, class_names: tuple[str, ...]) -> Iterator[Recording]:
    """The recordings of a store with a table of their events, of the form that ``kinelex events --csv`` has.

    Args:
        path: a skeleton store, a recording in each row.
        intervals: columns ``recording``, ``class``, ``start`` and ``end`` (seconds); others do not count.
        class_names: the classes that are known.

    Raises:
        InputError: no such file, columns that are not there, names that are unknown, or times that are none.
    """
    store = open_store(path)
    events = _read_intervals(intervals, set(store.ids), class_names)
    for row, name in enumerate(store.ids):
        fps = float(store.fps[row])
        if name not in events:
            continue
        if np.isnan(fps):
            raise InputError(f"{name} of {path} does not say its frame rate, and its events are in seconds")
        labels, spans = zip(*events[name], strict=True)
        true = Spans(fps * np.array(spans), np.array(labels), np.ones(len(labels)))
        yield Recording(Sequence(name, np.asarray(store.sequence(row)), fps=fps), store.layout, true)


def from_pku(store: SkeletonStore, rows: np.ndarray, folder: Path) -> Iterator[Recording]:
    """The whole videos that clips of PKU-MMD were cut from, with all their label lines.

    Args:
        store: the store of the clips.
        rows: the clips.
        folder: the raw files.

    Raises:
        InputError: clips of another data set, or videos without their files.
    """
    intervals = PkuIntervals([folder])
    for video in sorted({parse_prompt_key(store.ids[row]).video for row in rows.tolist()}):
        x, events = intervals.recording(video)
        labels, starts, ends = np.array(events).T
        true = Spans(np.stack([starts, ends], axis=1), labels, np.ones(len(labels)))
        yield Recording(Sequence(video, x, fps=30.0), store.layout, true)


def _read_intervals(
    path: Path, recordings: set[str], class_names: tuple[str, ...]
) -> dict[str, list[tuple[int, tuple[float, float]]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as a table of events: {error}") from error
    numbers = {name: number for number, name in enumerate(class_names)}
    events: dict[str, list[tuple[int, tuple[float, float]]]] = {}
    for line, row in enumerate(rows, start=2):
        where = f"{path}: line {line}"
        try:
            recording, label = row["recording"], row["class"]
            start, end = float(row["start"]), float(row["end"])
        except (KeyError, TypeError, ValueError):
            raise InputError(
                f"{where}: expects the columns recording, class, start and end (seconds), got "
                f"{', '.join(f'{key}={value}' for key, value in row.items())[:200]}"
            ) from None
        if recording not in recordings or label not in numbers:
            wrong = f"recording {recording!r}" if recording not in recordings else f"class {label!r}"
            raise InputError(f"{where}: there is no {wrong}")
        if not 0 <= start < end < np.inf:
            raise InputError(f"{where}: expects 0 <= start < end in seconds, got {start} and {end}")
        events.setdefault(recording, []).append((numbers[label], (start, end)))
    if not events:
        raise InputError(f"{path} has no event")
    return events
