"""A long recording as windows of several lengths, and what a model says of them as curves over its frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from kinelex.data.named_clips import NamedClips
from kinelex.data.sequence import Sequence as Clip
from kinelex.skeleton import SkeletonLayout

if TYPE_CHECKING:
    from kinelex.inference.model import Model

Judge = Callable[[NamedClips], np.ndarray]  # clips to (n, classes): probabilities, 0 where a clip is unknown

STRIDE = 0.25  # of a window's length
SPEAKS = 0.5  # the middle part of a window, as a share of its length, that what is said of it is for
SEEN = 0.5  # share of a window's frames in which somebody is seen; windows with less are not looked at


def window_spans(frames: int, lengths: Sequence[int], stride: float = STRIDE) -> np.ndarray:
    """Windows that cover a recording: of each length, a stride apart, the last one up to the end.

    A length that the recording does not have gives the whole recording, once.

    Args:
        frames: length of the recording.
        lengths: of the windows, in frames.
        stride: share of a window's length from one to the next.

    Shape:
        - returns: (n, 2) int64, first frame and the one after the last; each window once

    >>> window_spans(10, [4, 50], stride=0.5).tolist()
    [[0, 4], [0, 10], [2, 6], [4, 8], [6, 10]]
    """
    spans = []
    for length in {min(frames, max(1, one)) for one in lengths}:
        step = max(1, round(stride * length))
        starts = np.unique(np.append(np.arange(0, frames - length + 1, step), frames - length))
        spans.append(np.stack([starts, starts + length], axis=1))
    return np.unique(np.concatenate(spans), axis=0)


def part_of(clip: Clip, frames: slice = slice(None), persons: slice = slice(None)) -> Clip:
    """Some frames and persons of a clip, with what is known beside its coordinates; nothing is copied.

    >>> part_of(Clip("a", np.ones((9, 2, 25, 3)), scores=np.ones((9, 2, 25))), slice(2, 6)).scores.shape
    (4, 2, 25)
    """
    beside = {name: getattr(clip, name) for name in ("image_coordinates", "scores")}
    parts: dict[str, Any] = {k: None if v is None else v[frames, persons] for k, v in beside.items()}
    return replace(clip, coordinates=clip.coordinates[frames, persons], **parts)


class WindowClips(NamedClips):
    """Windows of one recording, which may overlap, as clips; the recording is in memory once.

    Args:
        recording: the recording.
        layout: the layout of its joints.
        spans: first frame of each window, and the one after its last.

    Shape:
        - spans: (n, 2)

    Raises:
        InputError: as :class:`NamedClips`.

    >>> from kinelex.skeleton import get_layout
    >>> x = np.arange(1, 7, dtype=np.float32)[:, None, None, None] * np.ones((1, 1, 25, 3))
    >>> windows = WindowClips(Clip("a", x), get_layout("ntu25"), np.array([[0, 4], [2, 6]]))
    >>> windows.ids, windows.sequence(1)[:, 0, 0, 0].tolist()
    (['a, frames 0 to 4', 'a, frames 2 to 6'], [3.0, 4.0, 5.0, 6.0])
    """

    def __init__(self, recording: Clip, layout: SkeletonLayout, spans: np.ndarray) -> None:
        super().__init__([recording], layout, recording.id)
        self._clips = [part_of(recording, slice(*span)) for span in spans.tolist()]
        self._starts = spans[:, 0] * self.persons[0]
        self.ids = [f"{recording.id}, frames {start} to {end}" for start, end in spans.tolist()]
        self.lengths = spans[:, 1] - spans[:, 0]
        self.persons, self.labels, self.fps = (
            np.repeat(column, len(spans)) for column in (self.persons, self.labels, self.fps)
        )

    def person_frames(self) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
        """As :meth:`ArrayClips.person_frames`: windows that overlap share their rows."""
        tables, _, _ = super().person_frames()
        return tables, np.zeros(len(self), np.int64), self._starts


@dataclass(frozen=True)
class FrameScores:
    """What a model says of every frame of a recording, for one person or for all together.

    Args:
        recording: name of the recording.
        person: their place; None where all persons were read together.
        fps: frames per second.
        curves: of each class, the mean probability over all windows in whose middle half a frame is, taken
            as 0 where a window is none of the classes.
        seen: frames in which the person, or anybody, is there.

    Shape:
        - curves: (T, classes); seen: (T,) bool
    """

    recording: str
    person: int | None
    fps: float
    curves: np.ndarray
    seen: np.ndarray


def judge_of(model: Model) -> Judge:
    """What a model says of windows."""

    def judge(clips: NamedClips) -> np.ndarray:
        said, known, least = model.told(model.features(clips, np.arange(len(clips))))
        if least is not None:
            said[known < least] = 0
        return said

    return judge


def score_frames(
    recording: Clip,
    layout: SkeletonLayout,
    judge: Judge,
    lengths: Sequence[int],
    classes: int,
    fps: float,
    person: int | None = None,
    stride: float = STRIDE,
) -> FrameScores:
    """Curves of the classes over a recording; each window is judged once.

    Args:
        recording: the recording.
        layout: the layout of its joints.
        judge: says of clips what they are.
        lengths: of the windows, in frames.
        classes: how many there are.
        fps: frames per second of the result.
        person: whose curves; None reads all persons together.
        stride: share of a window's length from one window to the next.
    """
    own = recording if person is None else part_of(recording, persons=slice(person, person + 1))
    x = own.coordinates
    seen = np.asarray(x.any(axis=(1, 2, 3)))
    spans = window_spans(len(x), lengths, stride)
    count = np.append(0, np.cumsum(seen))
    there = count[spans[:, 1]] - count[spans[:, 0]]
    kept = (there > 0) & (there >= SEEN * (spans[:, 1] - spans[:, 0]))
    said = np.zeros((len(spans), classes))
    if kept.any():
        said[kept] = judge(WindowClips(own, layout, spans[kept]))
    return FrameScores(recording.id, person, fps, _mean_over(said, _middles(spans, len(x)), len(x)), seen)


def _middles(spans: np.ndarray, frames: int) -> np.ndarray:
    """The middle parts of windows; at the ends of the recording a window speaks for its own end too."""
    cut = np.round((1 - SPEAKS) / 2 * (spans[:, 1] - spans[:, 0])).astype(int)
    starts = np.where(spans[:, 0] == 0, 0, spans[:, 0] + cut)
    ends = np.where(spans[:, 1] == frames, frames, spans[:, 1] - cut)
    return np.stack([starts, np.maximum(ends, starts + 1)], axis=1)


def _mean_over(values: np.ndarray, spans: np.ndarray, frames: int) -> np.ndarray:
    """For each frame the mean of the values of all spans that it is in: (frames, classes)."""
    rows = np.concatenate([values, np.ones((len(values), 1))], axis=1)
    steps = np.zeros((frames + 1, rows.shape[1]))
    np.add.at(steps, spans[:, 0], rows)
    np.add.at(steps, spans[:, 1], -rows)
    sums = np.cumsum(steps[:-1], axis=0)
    return np.clip(sums[:, :-1] / np.maximum(sums[:, -1:], 1), 0, 1)
