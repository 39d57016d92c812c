"""A model on joints that come one frame after the other: labels now, and events as they end."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from kinelex.data.sequence import Sequence
from kinelex.errors import InputError
from kinelex.inference.events import GO_ON, Event
from kinelex.inference.model import Model
from kinelex.inference.windows import SEEN, WindowClips, judge_of
from kinelex.pose.grid import on_grid, usual_rate
from kinelex.skeleton import SkeletonLayout

_LONGEST_GAP = 2.0  # seconds without a frame, after which everything begins anew
_FEWEST = 4  # frames of a window
_MOST_FRAMES = 4096  # that are kept
_MOST_RATE = 60.0  # frames per second that windows are put on


@dataclass
class _Open:
    """An event that goes on."""

    start: float
    sure: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Said:
    """What is said of the persons now.

    Args:
        probabilities: of each class, the mean over the windows; 0 where a window is none of the classes.
        seen: who is there.

    Shape:
        - probabilities: (persons, classes); seen: (persons,) bool
    """

    probabilities: np.ndarray
    seen: np.ndarray


class StreamModel:
    """A model that reads joints frame by frame and keeps no more of them than its longest window.

    Args:
        model: the model.
        layout: the layout of the joints that come.
        persons: how many person places they have.
        windows: lengths of the windows that end now, seconds.
        every: seconds from one answer to the next.
        least: probability with which an event begins.

    Raises:
        InputError: joints that cannot be retargeted to the run's.
    """

    def __init__(
        self,
        model: Model,
        layout: SkeletonLayout,
        persons: int,
        windows: tuple[float, ...],
        every: float = 0.2,
        least: float = 0.5,
    ) -> None:
        self.model, self.layout, self.persons = model, layout, persons
        self.windows, self.every, self.least = tuple(sorted(windows)), every, least
        self._judge = judge_of(model)
        self.restart()

    def restart(self) -> None:
        """Forget all that came."""
        self._times: deque[float] = deque(maxlen=_MOST_FRAMES)
        self._frames: deque[np.ndarray] = deque(maxlen=_MOST_FRAMES)
        self._begun: float | None = None
        self._asked = -np.inf
        self._open: dict[tuple[int, int], _Open] = {}
        self.events: deque[Event] = deque(maxlen=100)
        self.said: Said | None = None

    def step(self, joints: np.ndarray, time: float) -> Said | None:
        """Take the next frame; what is said of the persons, new every so often.

        Args:
            joints: an absent person or joint is zeros.
            time: seconds; frames that are not later than the last one are left out.

        Shape:
            - joints: (persons, V, C)

        Raises:
            InputError: joints of another shape.
        """
        places = (self.persons, self.layout.num_joints)
        if joints.ndim != 3 or joints.shape[:2] != places or joints.shape[2] not in (2, 3):
            names = f"{self.persons} places for persons, {places[1]} joints ({self.layout.name})"
            raise InputError(
                f"expects joints of shape (persons, joints, 2 or 3): {names}, got {joints.shape}"
            )
        if self._times and time - self._times[-1] > _LONGEST_GAP:
            self.restart()
        if self._times and time <= self._times[-1]:
            return self.said
        self._begun = time if self._begun is None else self._begun
        self._times.append(time)
        self._frames.append(joints)
        while time - self._times[0] > self.windows[-1]:
            self._times.popleft()
            self._frames.popleft()
        if time - self._asked >= self.every and len(self._times) >= _FEWEST:
            self._asked = time
            self.said = self._ask(time)
            self._follow(self.said, time)
        return self.said

    def _ask(self, now: float) -> Said:
        times = np.array(self._times)
        rate = min(usual_rate(times), _MOST_RATE)
        x = on_grid(np.stack(self._frames), times, rate)
        starts = np.unique([max(0, len(x) - max(_FEWEST, round(s * rate))) for s in self.windows])
        said = np.zeros((self.persons, len(self.model.classes)))
        seen = np.asarray(x[-_FEWEST:].any(axis=(0, 2, 3)))
        for person in np.flatnonzero(seen).tolist():
            own = np.ascontiguousarray(x[:, person : person + 1])
            there = np.asarray(own.any(axis=(1, 2, 3)))
            usable = np.array([start for start in starts if there[start:].mean() >= SEEN], np.int64)
            if len(usable):
                spans = np.stack([usable, np.full(len(usable), len(x))], axis=1)
                clips = WindowClips(Sequence("live", own, fps=rate), self.layout, spans)
                said[person] = self._judge(clips).sum(axis=0) / len(starts)
        return Said(said, seen)

    def _follow(self, said: Said, now: float) -> None:
        """Begin, go on with and end events; a window speaks for its middle."""
        begun = now if self._begun is None else self._begun
        middle = max(0.0, now - begun - self.windows[0] / 2)
        for person, row in enumerate(said.probabilities):
            for label in np.flatnonzero(row >= self.least).tolist():
                self._open.setdefault((person, label), _Open(middle))
        for (person, label), one in list(self._open.items()):
            sure = float(said.probabilities[person, label])
            if sure >= GO_ON * self.least:
                one.sure.append(sure)
                continue
            del self._open[person, label]
            name = self.model.classes[label]
            self.events.append(Event("live", person, name, one.start, middle, float(np.mean(one.sure))))

    def going_on(self) -> list[tuple[int, str, float]]:
        """Events that have not ended: person, class, begin in seconds."""
        return [(person, self.model.classes[k], one.start) for (person, k), one in self._open.items()]
